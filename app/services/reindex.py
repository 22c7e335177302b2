"""Reindex: embed what a space lacks, build the index from the stored vectors, and verify what is on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from app.domain.errors import IndexUnavailable, ModelUnavailable, ResightError
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot, VectorIndex
from app.telemetry import ANNOTATIONS, GENERATION

_BATCH = 64
_COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What a read-only check found: one sentence a fault, and how many annotations still lack a vector, by space."""

    ensemble: tuple[str, ...]
    index: tuple[str, ...]
    originals: tuple[str, ...]
    lacking: dict[str, int]

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, changed or stale."""
        return not (self.ensemble or self.index or self.originals or any(self.lacking.values()))


@dataclass(frozen=True, slots=True)
class Reindex:
    """The use case; one refresh runs at a time, searches go on meanwhile on the generation before."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, progress: Callable[[int], None] | None = None) -> Snapshot:
        """Embed annotations that lack a vector in an active space, then build and swap in a generation.

        ``progress`` is called with the number of annotations embedded so far. Raises Unavailable, Corrupt.
        """
        self.catalogue.use_spaces(self.embedder.active_spaces())
        done = 0
        for space in self.embedder.ensemble.spaces:
            while lacking := self.catalogue.missing_vectors(space.name, _BATCH):
                crops = [
                    (self.images.decode(self.blobs.get(one.image.sha256), whole=one.box is not None), one.box)
                    for one in lacking
                ]
                block = self.embedder.embed(crops, [space])[space.name]
                ids = [one.annotation_id for one in lacking]
                self.catalogue.add_vectors(space.name, dict(zip(ids, block, strict=True)))
                done += len(lacking)
                if progress:
                    progress(done)
        return self.refresh()

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
        """Build and swap in what changed in the catalogue, from stored vectors alone."""
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

    def verify(self) -> Verification:
        """Read-only: compare originals and index with the catalogue; nothing is mended."""
        held = self.catalogue.fingerprints()
        return Verification(
            ensemble=tuple(self._foreign(held)),
            index=tuple(self.index.verify(self.catalogue)),
            originals=tuple(self.blobs.faults(self.catalogue.image_shas())),
            lacking={space: len(self.catalogue.missing_vectors(space, _COUNTED)) for space in held},
        )

    def _foreign(self, held: Mapping[str, str]) -> Iterator[str]:
        try:
            wanted = {space.name: space.fingerprint for space in self.embedder.active_spaces()}
        except ModelUnavailable as error:
            yield f"the ensemble cannot be loaded: {error}"
            return
        if not held:
            yield "the catalogue holds no vectors of any ensemble: nothing was imported into this data folder"
        elif dict(held) != wanted:
            yield "the catalogue's vectors are of another ensemble than the one in force; run `resight reindex`"

    def _behind(self) -> bool:
        try:
            return self.index.current().catalogue_version != self.catalogue.version()
        except IndexUnavailable:
            return True
