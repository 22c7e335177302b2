"""Ranking: arrays in, candidates out; the same functions serve a match, an import and an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.domain.ensemble import Float32
from app.domain.partition import NOBODY, Int64
from app.domain.ports import Neighbours

Float64 = npt.NDArray[np.float64]


def score_of(cosines: Float32) -> Float64:
    """Scores in [0, 1] of cosines of any shape: (1 + cosine) / 2.

    The contest's winners clip negative cosines to 0, which ties them and costs average precision; this scale does not.
    """
    return np.clip((1.0 + np.asarray(cosines, np.float64)) / 2.0, 0.0, 1.0)


def fuse(cosines: Sequence[Float32], weights: Sequence[float]) -> Float32:
    """Weighted mean of the cosines of several spaces, each of one shape."""
    total = np.average(np.stack(cosines), axis=0, weights=np.asarray(weights, np.float64))
    return np.asarray(total, np.float32)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """The ``k`` best of several result lists over disjoint annotations, for each of n queries; ties by id."""
    annotations = np.concatenate([part.annotations for part in parts], axis=1)
    cosines = np.concatenate([part.cosines for part in parts], axis=1)
    order = np.lexsort((annotations, np.where(annotations < 0, np.inf, -cosines)), axis=1)[:, :k]
    return Neighbours(np.take_along_axis(annotations, order, 1), np.take_along_axis(cosines, order, 1))


def first_of_each(individuals: Int64, limit: int) -> Int64:
    """Positions, best first, of the first row of each individual in a ranked list; at most ``limit``.

    An annotation without an individual (NOBODY) stands for itself.
    """
    seen: set[int] = set()
    positions: list[int] = []
    for position, individual in enumerate(individuals.tolist()):
        if individual != NOBODY and individual in seen:
            continue
        seen.add(individual)
        positions.append(position)
        if len(positions) == limit:
            break
    return np.asarray(positions, np.int64)
