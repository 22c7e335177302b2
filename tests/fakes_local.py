"""Local features faked: those of a picture are the grey levels of its pieces."""

import io

import numpy as np
from PIL import Image

from app.domain.errors import ModelUnavailable
from app.domain.marks import Marks


class FakeFeatures:
    """Counts pieces of equal grey; ``described`` counts the pictures looked at, ``broken`` is said instead."""

    fingerprint = "pieces"
    installed = True

    def __init__(self) -> None:
        self.described, self.broken = 0, ""

    def describe(self, picture: bytes) -> Marks:
        if self.broken:
            raise ModelUnavailable(self.broken)
        self.described += 1
        grey = np.asarray(Image.open(io.BytesIO(picture)).convert("L").resize((4, 4)))
        return Marks(np.zeros((16, 2), np.float32), grey.reshape(16, 1))

    def agreeing(self, one: Marks, other: Marks) -> int:
        apart = np.abs(one.descriptors.astype(int) - other.descriptors.astype(int))
        return int((apart < 16).sum())


class FakeMarks:
    """A cache in memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Marks] = {}

    def get(self, fingerprint: str, key: str) -> Marks | None:
        return self._kept.get((fingerprint, key))

    def put(self, fingerprint: str, key: str, marks: Marks) -> None:
        self._kept[fingerprint, key] = marks
