"""Ranking: arrays in, candidates out; the same functions serve a match, an import and an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.partition import NOBODY, Int64
from app.domain.ports import Neighbours

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one query found, best first: annotation ids (m), likenesses (m) in [-1, 1] and bridges (m; -1 without).

    ``folded`` holds for each answer the annotations, best first, that are shown inside it.
    """

    annotations: Int64
    likeness: Float64
    bridges: Int64
    folded: tuple[tuple[int, ...], ...] = ()

    def first(self, k: int) -> Answers:
        """The ``k`` best."""
        return Answers(self.annotations[:k], self.likeness[:k], self.bridges[:k], self.folded[:k])


@dataclass(frozen=True, slots=True, eq=False)
class Ranked(Neighbours):
    """The answers of n queries: ``bridges`` (n, k) and ``folded`` beside the columns of Neighbours.

    ``cosines`` are likenesses: cosines, or what the stages of a profile made of them.
    """

    bridges: Int64
    folded: tuple[tuple[tuple[int, ...], ...], ...]


def score_of(cosines: npt.NDArray[np.floating]) -> Float64:
    """Scores in [0, 1] of likenesses of any shape: (1 + cosine) / 2.

    The contest's winners clip negative cosines to 0, which ties them and costs average precision; this scale does not.
    """
    return np.clip((1.0 + np.asarray(cosines, np.float64)) / 2.0, 0.0, 1.0)


def merged(parts: Sequence[Answers]) -> Answers:
    """Answers over disjoint annotations as one list, best first; ties by id."""
    annotations = np.concatenate([np.zeros(0, np.int64), *(part.annotations for part in parts)])
    likeness = np.concatenate([np.zeros(0), *(part.likeness for part in parts)])
    bridges = np.concatenate([np.zeros(0, np.int64), *(part.bridges for part in parts)])
    order = np.lexsort((annotations, -likeness))
    return Answers(annotations[order], likeness[order], bridges[order])


def averaged(parts: Sequence[Answers]) -> Answers:
    """Answers to several queries as one list, best first: the mean likeness over those that hold an annotation.

    Its bridge is the first that there is. Ties go by id; nothing is folded yet.
    """
    if len(parts) == 1:
        return parts[0]
    every = np.concatenate([part.annotations for part in parts])
    annotations, at = np.unique(every, return_inverse=True)
    total = np.bincount(at, np.concatenate([part.likeness for part in parts]), len(annotations))
    bridges = np.full(len(annotations), -1, np.int64)
    for part in reversed(parts):
        places = np.searchsorted(annotations, part.annotations)
        bridges[places] = np.where(part.bridges >= 0, part.bridges, bridges[places])
    return merged([Answers(annotations, total / np.bincount(at, minlength=len(annotations)), bridges)])


def ranked(answers: Sequence[Answers], k: int) -> Ranked:
    """The first ``k`` answers of each of n queries as arrays (n, k), filled up with id -1 and minus infinity."""
    annotations = np.full((len(answers), k), -1, np.int64)
    cosines = np.full((len(answers), k), -np.inf, np.float32)
    bridges = np.full((len(answers), k), -1, np.int64)
    for row, one in enumerate(answers):
        count = min(k, len(one.annotations))
        annotations[row, :count] = one.annotations[:count]
        cosines[row, :count] = one.likeness[:count]
        bridges[row, :count] = one.bridges[:count]
    return Ranked(annotations, cosines, bridges, tuple(one.folded[:k] for one in answers))


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
