"""Local features by OpenCV: SIFT, mutual nearest neighbours, and one similarity that must explain them."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.errors import ModelUnavailable
from app.domain.marks import Marks

_FEATURES, _CONTRAST = 300, 0.02
_AMBIGUOUS = 0.9  # the best must be so much nearer than the second best (Lowe 2004)
_NEAR = 9.0  # pixels
_LARGEST_SCALE = 3.0
_FEWEST = 4


class OpencvLocal:
    """The LocalFeatures port; the library is loaded when it is first needed."""

    @property
    def fingerprint(self) -> str:
        return f"opencv-{self._cv2.__version__}-sift-{_FEATURES}-{_CONTRAST}"

    @cached_property
    def installed(self) -> bool:
        return find_spec("cv2") is not None

    @cached_property
    def _cv2(self) -> Any:
        try:
            import cv2
        except ImportError as error:
            raise ModelUnavailable(
                "the profile verified needs OpenCV, which is not installed: pip install 'resight[local]'"
            ) from error
        cv2.setNumThreads(1)
        return cv2

    def describe(self, picture: bytes) -> Marks:
        cv2 = self._cv2
        grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        # Marks under water are faint: contrast is evened out piece by piece first.
        even = cv2.createCLAHE(3.0, (8, 8)).apply(grey)
        points, found = cv2.SIFT_create(nfeatures=_FEATURES, contrastThreshold=_CONTRAST).detectAndCompute(even, None)
        if found is None:
            return Marks(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
        # RootSIFT (Arandjelovic and Zisserman 2012), as bytes: a fifth of the memory, and no match is lost by it.
        rooted = np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-7))
        return Marks(np.array([one.pt for one in points], np.float32), np.round(rooted * 255).astype(np.uint8))

    def agreeing(self, one: Marks, other: Marks) -> int:
        if min(len(one.positions), len(other.positions)) < _FEWEST:
            return 0
        first, second = _mutual(one.descriptors, other.descriptors)
        if len(first) < _FEWEST:
            return 0
        cv2 = self._cv2
        cv2.setRNGSeed(0)
        moved, inside = cv2.estimateAffinePartial2D(
            one.positions[first],
            other.positions[second],
            method=cv2.RANSAC,
            ransacReprojThreshold=_NEAR,
            maxIters=500,
        )
        if moved is None or not 1 / _LARGEST_SCALE < np.hypot(moved[0, 0], moved[1, 0]) < _LARGEST_SCALE:
            return 0
        return int(inside.sum())


def _mutual(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.intp], ...]:
    """Places of features that are each other's nearest, and unmistakably so."""
    left, right = (rows.astype(np.float32) / np.float32(255) for rows in (one, other))
    cosines = left @ right.T
    nearest = cosines.argmax(axis=1)
    second, best = np.partition(cosines, -2, axis=1)[:, -2:].T
    clear = np.sqrt(np.maximum(2 - 2 * best, 0)) < _AMBIGUOUS * np.sqrt(np.maximum(2 - 2 * second, 0))
    first = np.flatnonzero((cosines.argmax(axis=0)[nearest] == np.arange(len(one))) & clear)
    return first, nearest[first]
