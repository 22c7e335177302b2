"""Viewpoint bridging: what is known of an individual from the query's side counts for its photographs of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.partition import NOBODY, Int64
from app.domain.profiles import Bridge

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bridges:
    """For each individual (ascending) its annotation most like the query in the query's own view, and the cosine."""

    individual: Int64
    annotation: Int64
    cosine: Float64


NONE = Bridges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def bridges(annotations: Int64, individuals: Int64, cosines: Float64, stage: Bridge) -> Bridges:
    """The best annotation of each individual from answers (m) in the query's view, those above the threshold.

    Annotations without an individual bridge nothing; equal cosines go to the lower id.
    """
    fit = np.flatnonzero((individuals != NOBODY) & (cosines > stage.threshold))
    order = fit[np.lexsort((annotations[fit], -cosines[fit], individuals[fit]))]
    found, first = np.unique(individuals[order], return_index=True)
    return Bridges(found, annotations[order[first]], cosines[order[first]])


def carry(likeness: Float64, individuals: Int64, found: Bridges, stage: Bridge) -> tuple[Float64, Int64]:
    """Likenesses (m) of annotations in another view raised by their individual's bridge, and that annotation's id.

    l + (1 - l) x weight x (c - threshold) / (1 - threshold): never above 1, unchanged (bridge -1) without a bridge.
    """
    if not len(found.individual):
        return likeness, np.full(len(likeness), -1, np.int64)
    at = np.minimum(np.searchsorted(found.individual, individuals), len(found.individual) - 1)
    has = (found.individual[at] == individuals) & (individuals != NOBODY)
    share = stage.weight * np.clip((found.cosine[at] - stage.threshold) / (1.0 - stage.threshold), 0.0, 1.0)
    raised = likeness + (1.0 - likeness) * np.where(has, share, 0.0)
    return raised, np.where(has, found.annotation[at], -1)
