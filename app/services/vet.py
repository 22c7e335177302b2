"""Vet: the local features of photographs asked about against those of a shortlist of annotations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from app.domain.catalogue import Annotation
from app.domain.marks import Marks
from app.domain.partition import Int64
from app.domain.ports import Blobs, Images
from app.domain.ports_local import LocalFeatures, MarksCache

# Local features are looked for in a rendition of this size, in pixels: about the size of a survey's crops.
_LONGEST = 480


@dataclass(frozen=True, slots=True)
class Vet:
    """The use case; ports are safe to use from many threads."""

    blobs: Blobs
    images: Images
    features: LocalFeatures
    kept: MarksCache

    @property
    def installed(self) -> bool:
        """Whether local features can be found here."""
        return self.features.installed

    def __call__(
        self, photographs: Sequence[bytes], annotations: Sequence[Annotation], candidates: Sequence[Annotation]
    ) -> Int64:
        """For each candidate (m) the features that agree with the best of the photographs and annotations asked about.

        Raises ModelUnavailable where there are no local features, Corrupt or StorageFull as reading originals does.
        """
        asked = [self._described(content, None) for content in photographs]
        asked += [self.marks(annotation) for annotation in annotations]
        return np.array(
            [max(self.features.agreeing(one, marks) for one in asked) for marks in map(self.marks, candidates)],
            np.int64,
        )

    def marks(self, annotation: Annotation) -> Marks:
        """The features of a catalogued annotation, found once."""
        box = astuple(annotation.box) if annotation.box else ()
        key = hashlib.sha256(f"{annotation.image.sha256}{box}{_LONGEST}".encode()).hexdigest()
        known = self.kept.get(self.features.fingerprint, key)
        if known is None:
            known = self._described(self.blobs.get(annotation.image.sha256), annotation)
            self.kept.put(self.features.fingerprint, key, known)
        return known

    def _described(self, content: bytes, annotation: Annotation | None) -> Marks:
        box = annotation.box if annotation else None
        photograph = self.images.decode(content, whole=box is not None)
        return self.features.describe(self.images.render(photograph, longest=_LONGEST, box=box))
