"""Known or new: how well the score of the best candidate tells a catalogued animal from one that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RECALL = 0.95
_POINTS = 200
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OpenSet:
    """How two heaps of best scores overlap: ``known`` animals have a match in the gallery, ``new`` ones have none.

    ``auroc`` is the chance that a known animal's score exceeds a new one's (ties count half). At ``threshold``, which
    95 % of the known reach, ``fpr95`` of the new would be taken for known. ``curve`` holds (share of new, share of
    known at or above a threshold), from (0, 0) to (1, 1).
    """

    known: int
    new: int
    auroc: float
    fpr95: float
    threshold: float
    curve: tuple[tuple[float, float], ...]


def open_set(known: Sequence[float], new: Sequence[float]) -> OpenSet | None:
    """The overlap of two heaps of scores, None when one of them is empty."""
    if not known or not new:
        return None
    known_, new_ = np.sort(np.asarray(known, np.float64)), np.sort(np.asarray(new, np.float64))
    below = np.searchsorted(new_, known_, "left") + np.searchsorted(new_, known_, "right")
    threshold = float(known_[int(np.floor((1 - _RECALL) * len(known_) + 1e-9))])
    return OpenSet(
        known=len(known),
        new=len(new),
        auroc=float(below.sum() / 2 / len(known) / len(new)),
        fpr95=_reach(new_, np.array([threshold])).item(),
        threshold=threshold,
        curve=_curve(known_, new_),
    )


def _curve(known: Float64, new: Float64) -> tuple[tuple[float, float], ...]:
    steps = np.unique(np.concatenate([known, new]))[::-1]
    # Thinned evenly: a curve in a report has no more points than a reader can see.
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, min(_POINTS, len(steps))).astype(int))]
    points = zip(_reach(new, steps).tolist(), _reach(known, steps).tolist(), strict=True)
    return ((0.0, 0.0), *points)


def _reach(values: Float64, thresholds: Float64) -> Float64:
    """The share of sorted values at or above each threshold."""
    return np.asarray(1 - np.searchsorted(values, thresholds, "left") / len(values), np.float64)
