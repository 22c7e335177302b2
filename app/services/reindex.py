"""Reindex: embed what a space lacks, and build the index from the stored vectors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app.domain.duplicates import FLAT
from app.domain.errors import (
    BadImage,
    Corrupt,
    IndexUnavailable,
    LosingEnsemble,
    ResightError,
    TooLarge,
    UnknownImage,
)
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot, VectorIndex
from app.telemetry import ANNOTATIONS, GENERATION

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Reindex:
    """The use case; one refresh runs at a time, searches go on meanwhile on the generation before.

    ``gate`` is asked before another ensemble is made active, and raises where that would lose.
    """

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    gate: Callable[[], None] = lambda: None
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, progress: Callable[[int], None] | None = None, *, force: bool = False) -> Snapshot:
        """Embed annotations that lack a vector in an active space, then build and swap in a generation.

        ``progress`` is called with the number of annotations embedded so far; ``force`` passes by the gate. Raises
        LosingEnsemble, Unavailable, Corrupt.
        """
        self.activate(force=force)
        done = 0
        while count := self.embed_some():
            done += count
            if progress:
                progress(done)
        return self.refresh()

    def refusal(self) -> str | None:
        """Why the ensemble in force may not be made active; None when it may. Raises Unavailable."""
        try:
            self.gate()
        except LosingEnsemble as error:
            return str(error)
        return None

    def activate(self, *, force: bool = False) -> int:
        """Make the ensemble's spaces the active ones; how many vectors they lack. Raises LosingEnsemble, Unavailable.

        Every way to another ensemble leads through here: the command, the start of a service, and its job.
        """
        if not force:
            self.gate()
        self.catalogue.use_spaces(self.embedder.active_spaces())
        return sum(self.catalogue.lacking(space.name) for space in self.embedder.ensemble.spaces)

    def embed_some(self) -> int:
        """Embed the next annotations that lack a vector in an active space; how many, 0 when none does.

        Raises Unavailable, Corrupt.
        """
        for space in self.embedder.ensemble.spaces:
            if lacking := self.catalogue.missing_vectors(space.name, _BATCH):
                self.blobs.room()
                crops = [
                    (self.images.decode(self.blobs.get(one.image.sha256), whole=one.box is not None), one.box)
                    for one in lacking
                ]
                block = self.embedder.embed(crops, [space])[space.name]
                ids = [one.annotation_id for one in lacking]
                revisions = {one.annotation_id: one.revision for one in lacking}
                self.catalogue.add_vectors(space.name, dict(zip(ids, block, strict=True)), revisions)
                return len(lacking)
        self._hash_all()
        return 0

    def _hash_all(self) -> None:
        """Compute the perceptual hashes that a catalogue of an earlier release lacks."""
        while unhashed := self.catalogue.unhashed(_BATCH):
            self.catalogue.add_hashes({sha256: self._hash(sha256) for sha256 in unhashed})

    def _hash(self, sha256: str) -> int:
        try:
            return self.images.phash(self.images.decode(self.blobs.get(sha256)))
        except (BadImage, Corrupt, TooLarge, UnknownImage):
            # `resight verify` names the damage; here it must not keep the others from being compared.
            return FLAT

    def load(self) -> bool:
        """Serve the stored vectors if they are of this ensemble; says whether none is left to embed.

        Raises Unavailable.
        """
        wanted = {space.name: space.fingerprint for space in self.embedder.active_spaces()}
        if dict(self.catalogue.fingerprints()) != wanted:
            return False
        self.refresh()
        return not any(self.catalogue.missing_vectors(space, 1) for space in wanted)

    def refresh(self) -> Snapshot:
        """Build and swap in what changed in the catalogue, from stored vectors alone.

        Raises Unavailable, as where the storage is away: nothing is begun on a disk that is not there.
        """
        self.blobs.check()
        snapshot = self.index.refresh(self.catalogue)
        GENERATION.set(snapshot.generation)
        ANNOTATIONS.set(len(snapshot.gallery))
        return snapshot

    def catch_up(self) -> None:
        """Refresh when the catalogue has moved on, as after an import by another command; at most one at a time."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            if self._behind():
                self.refresh()
        except ResightError as error:
            structlog.get_logger().warning("index not refreshed", code=error.code, reason=str(error))
        finally:
            self._busy.release()

    def _behind(self) -> bool:
        try:
            return self.index.current().catalogue_version != self.catalogue.version()
        except IndexUnavailable:
            return True
