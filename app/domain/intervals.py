"""Intervals by resampling: how far a mean could lie from what was measured, had other animals been photographed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

ROUNDS = 2000
SEED = 20_220_428
_LEVEL = 0.95
# Draws of one block: bounds the memory whatever the number of animals.
_BLOCK = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval; None stands for it where fewer than two groups leave nothing to resample."""

    low: float
    high: float


def mean_intervals(
    columns: Float64, groups: Sequence[Hashable], *, rounds: int = ROUNDS, seed: int = SEED
) -> list[Interval | None]:
    """A percentile interval for the mean of each column of ``columns`` (n, m), drawn with replacement by group.

    ``groups`` (n) names what belongs together: queries of one animal succeed and fail together, so whole animals are
    drawn (the cluster bootstrap; Davison & Hinkley 1997, s. 3.8). The same input gives the same interval.
    """
    _, codes = np.unique(np.array([_text(group) for group in groups], dtype=object), return_inverse=True)
    count = int(codes.max()) + 1 if len(codes) else 0
    if count < 2:
        return [None] * columns.shape[1]
    sums = np.stack([np.bincount(codes, weights=column, minlength=count) for column in columns.T], axis=1)
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    drawn, means = np.random.default_rng(seed), []
    block = max(1, _BLOCK // count)
    for start in range(0, rounds, block):
        now = min(block, rounds - start)
        picks = drawn.integers(count, size=(now, count)) + np.arange(now)[:, None] * count
        times = np.bincount(picks.ravel(), minlength=now * count).reshape(now, count).astype(np.float64)
        means.append((times @ sums) / (times @ sizes)[:, None])
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _text(group: Hashable) -> str:
    """A text that sorts: groups are names or numbers, and their order must not depend on the run."""
    return f"{type(group).__name__}:{group}"
