"""Browse: what the catalogue holds, and pictures of it without their metadata."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.catalogue import Annotation, Individual
from app.domain.errors import UnknownAnnotation
from app.domain.ports import Blobs, Catalogue, Images

THUMBNAIL = 320
RENDITION = 2048


@dataclass(frozen=True, slots=True)
class Browse:
    """The use case; pictures are renditions, so that no original leaves with the place where it was taken."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images

    def individuals(self, *, after: str = "", limit: int = 100) -> list[Individual]:
        """A page of individuals by name, those behind ``after``."""
        return self.catalogue.individuals(after=after, limit=limit)

    def individual(self, name: str) -> tuple[Individual, list[Annotation]]:
        """One individual with its annotations by date; raises UnknownIndividual."""
        return self.catalogue.individual(name)

    def annotation(self, annotation_id: int) -> Annotation:
        """One annotation; raises UnknownAnnotation."""
        return self.catalogue.annotation(annotation_id)

    def annotation_id(self, source_id: str) -> int:
        """The annotation that a sheet called ``source_id``; raises UnknownAnnotation."""
        found = self.catalogue.annotation_ids([source_id])
        if source_id not in found:
            raise UnknownAnnotation(f"no annotation has the image_id {source_id!r}")
        return found[source_id]

    def thumbnail(self, annotation_id: int) -> bytes:
        """A small JPEG of the annotation's box; raises UnknownAnnotation, Corrupt."""
        annotation = self.catalogue.annotation(annotation_id)
        content = self.blobs.get(annotation.image.sha256)
        photograph = self.images.decode(content, whole=annotation.box is not None)
        return self.images.render(photograph, longest=THUMBNAIL, box=annotation.box)

    def preview(self, content: bytes) -> bytes:
        """A small JPEG of a photograph that is not stored; raises BadImage and its kin."""
        return self.images.render(self.images.decode(content), longest=THUMBNAIL)

    def rendition(self, sha256: str) -> bytes:
        """A large JPEG of a whole image, without metadata; raises UnknownImage, Corrupt."""
        content = self.blobs.get(self.catalogue.image(sha256).sha256)
        return self.images.render(self.images.decode(content, whole=True), longest=RENDITION)
