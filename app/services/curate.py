"""Curate: annotations are edited, removed and restored, each with its history, and the index follows.

Vectors that a change needs are computed first; then one transaction changes the row, its vectors and its history; then
the index is refreshed, one refresh for all changes that wait for it. Whoever is told ``indexed`` is answered by a
generation that holds the change, and so is everybody who asks later.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.domain.catalogue import Annotation
from app.domain.curation import Amendment, Annals, Changes, Edition, Facts, Signature, changed
from app.domain.ensemble import Float32
from app.domain.errors import BadImage, InvalidInput, StaleRevision, Unavailable, UnknownAnnotation
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot, VectorIndex
from app.domain.sheet import latest_today
from app.telemetry import ANNOTATIONS, GENERATION


@dataclass(frozen=True, slots=True)
class Outcome:
    """An annotation after a change that is on disk, and the generation that answers now.

    ``snapshot`` is None when the index could not be refreshed: it follows by itself, and until then matches pass over
    what was removed and rank by what was known before.
    """

    annotation: Annotation
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class Curate:
    """The use case; safe to use from many threads. ``annals`` and ``catalogue`` are two faces of one catalogue."""

    catalogue: Catalogue
    annals: Annals
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex

    def edit(self, annotation_id: int, changes: Changes, *, revision: int, signature: Signature) -> Outcome:
        """Change what is said of an annotation that still has ``revision``.

        Raises UnknownAnnotation, StaleRevision, Conflict, BadImage for a box outside the photograph, InvalidInput for
        a date in the future and Unavailable; then nothing was changed.
        """
        held = self.catalogue.annotation(annotation_id)
        facts = changed(Facts.of(held), changes)
        if facts.captured.day and facts.captured.day > latest_today():
            raise InvalidInput(f"the date {facts.captured.day} lies in the future")
        return self._amend(held, facts, removed=False, revision=revision, signature=signature)

    def remove(self, annotation_id: int, *, revision: int, signature: Signature) -> Outcome:
        """Take an annotation out of the gallery; its row, its photograph and its past are kept.

        Raises UnknownAnnotation, StaleRevision, Unavailable.
        """
        held = self.annals.kept(annotation_id)
        return self._amend(held, Facts.of(held), removed=True, revision=revision, signature=signature)

    def restore(self, annotation_id: int, *, revision: int, signature: Signature) -> Outcome:
        """Bring a removed annotation back as it was; raises UnknownAnnotation, StaleRevision, Conflict, Unavailable."""
        held = self.annals.kept(annotation_id)
        return self._amend(held, Facts.of(held), removed=False, revision=revision, signature=signature)

    def history(self, annotation_id: int) -> list[Edition]:
        """Every change of an annotation, oldest first, also of a removed one; raises UnknownAnnotation."""
        return self.annals.history(annotation_id)

    def kept(self, annotation_id: int) -> Annotation:
        """An annotation, be it removed; raises UnknownAnnotation."""
        return self.annals.kept(annotation_id)

    def named(self, source_id: str) -> Annotation:
        """The annotation that a sheet called ``source_id``, be it removed; raises UnknownAnnotation."""
        for removed in (False, True):
            known = self.catalogue.annotation_ids([source_id], removed=removed)
            if source_id in known:
                return self.annals.kept(known[source_id])
        raise UnknownAnnotation(f"no annotation has the image_id {source_id!r}")

    def _amend(self, held: Annotation, facts: Facts, *, removed: bool, revision: int, signature: Signature) -> Outcome:
        if held.revision != revision:
            raise StaleRevision(f"annotation {held.annotation_id} has revision {held.revision} by now, not {revision}")
        vectors = {} if removed else self._vectors(held, facts)
        version = self.annals.amend(Amendment(held.annotation_id, revision, facts, removed, vectors, signature))
        return Outcome(self.annals.kept(held.annotation_id), self._indexed(version))

    def _vectors(self, held: Annotation, facts: Facts) -> dict[str, Float32]:
        """The vectors that the annotation will lack: none when it keeps its box and stays in its spaces."""
        cut_anew = facts.box != held.box
        if cut_anew:
            self._fits(held, facts)
        elif facts.viewpoint is held.viewpoint and not held.removed:
            return {}
        covered = set() if cut_anew else self.annals.embedded_in(held.annotation_id)
        # Where the catalogue serves another ensemble than this one, `resight reindex` fills in what is lacking.
        served, mine = self.catalogue.fingerprints(), self.embedder.active_spaces()
        usable = {space.name for space in mine if served.get(space.name) == space.fingerprint} - covered
        spaces = [s for s in self.embedder.ensemble.spaces if s.name in usable and facts.viewpoint in s.viewpoints]
        if not spaces:
            return {}
        photograph = self.images.decode(self.blobs.get(held.image.sha256), whole=facts.box is not None)
        return {name: rows[0] for name, rows in self.embedder.embed([(photograph, facts.box)], spaces).items()}

    @staticmethod
    def _fits(held: Annotation, facts: Facts) -> None:
        box, image = facts.box, held.image
        if box and (box.x + box.width > image.width or box.y + box.height > image.height):
            raise BadImage(f"the box lies outside the photograph of {image.width} x {image.height} pixels")

    def _indexed(self, version: int) -> Snapshot | None:
        """The generation that answers now, if it holds this version of the catalogue."""
        try:
            snapshot = self.index.refresh(self.catalogue)
        except Unavailable as error:
            # The change is on disk: to call it failed would be a lie. The next refresh brings it into the index.
            structlog.get_logger().warning("change not indexed yet", code=error.code, reason=str(error))
            return None
        GENERATION.set(snapshot.generation)
        ANNOTATIONS.set(len(snapshot.gallery))
        return snapshot if snapshot.catalogue_version >= version else None
