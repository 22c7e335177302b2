"""Calibration: from the score of a candidate to the probability that it is the same animal, and of a new one.

Every curve is monotone in the score, so that probabilities never reorder candidates, and total: a score beyond those
that were fitted gets the nearest fitted probability, which is never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

from app.domain.catalogue import Viewpoint
from app.domain.partition import Int64
from app.domain.trials import SHORTLIST, Float64, Listed, ViewPair, pairs_of

_EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """A probability for every score: linear between knots, level beyond them.

    Raises ValueError unless ``scores`` ascend strictly and ``values`` ascend and lie between 0 and 1, without either.
    """

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no such curve; NaN fails every comparison."""
        sound = (
            len(self.scores) == len(self.values) > 0
            and all(np.isfinite(self.scores))
            and all(one < other for one, other in pairwise(self.scores))
            and all(_EDGE <= value <= 1 - _EDGE for value in self.values)
            and all(one <= other for one, other in pairwise(self.values))
        )
        if not sound:
            raise ValueError("a curve needs ascending scores and ascending probabilities between 0 and 1")

    def __call__(self, scores: Float64) -> Float64:
        """Probabilities of scores of any shape; a score that is no number says nothing and counts as the lowest."""
        asked = np.where(np.isnan(scores), -np.inf, scores)
        return np.asarray(np.interp(asked, self.scores, self.values), np.float64)


@dataclass(frozen=True, slots=True)
class Novelty:
    """P(new) of a question from its best score, the lead over the next individual and the size of the gallery.

    The evidence that the animal is known is ``best`` x score + ``lead`` x lead - ``size`` x log2(individuals); no
    coefficient is negative, so a better best score never makes a new animal likelier. ``curve`` maps it to P(known).
    """

    best: float
    lead: float
    size: float
    curve: Curve

    def evidence(self, best: Float64, lead: Float64, searched: Float64) -> Float64:
        """The evidence (n) of n questions that the animal is among those searched."""
        return np.asarray(self.best * best + self.lead * lead - self.size * np.log2(np.maximum(searched, 1)))

    def __call__(self, best: Float64, lead: Float64, searched: Float64) -> Float64:
        """P(new) of n questions, each in (0, 1)."""
        return 1.0 - self.curve(self.evidence(best, lead, searched))


def lead_of(scores: Float64) -> Float64:
    """How far the best individual of each list (n, m >= 2) is ahead of the second; 0 where there is no second."""
    lead = np.zeros(len(scores))
    two = np.isfinite(scores[:, 1])
    lead[two] = scores[two, 0] - scores[two, 1]
    return lead


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves for P(same) by kind of list and of viewpoint pair, and for P(new) by kind of question.

    A kind that the catalogue had too few pairs of has no curve of its own: the one of mixed galleries stands for it.
    """

    same: Mapping[Listed, Mapping[ViewPair, Curve]]
    new: Mapping[ViewPair, Novelty]

    def probability_same(self, listed: Listed, query: Viewpoint, others: Int64, scores: Float64) -> Float64 | None:
        """P(same) of each candidate of one list (n), best first; None when nothing was fitted for such lists.

        ``others`` are the candidates' viewpoints. Curves differ by viewpoint pair; where they would contradict the
        order of the list, neighbours share their mean within the first SHORTLIST (least squares, as isotonic regression
        does), and whoever comes later has no more than the one before: how long the list is changes nothing above.
        """
        curves = self.same.get(listed, {})
        kinds = [kind if kind in curves else ViewPair.ANY for kind in pairs_of(query, others)]
        if not {*kinds, ViewPair.ANY} <= curves.keys():
            return None
        each, which = np.zeros(len(scores)), np.array(kinds)
        for kind in set(kinds):
            each[which == kind] = curves[kind](scores[which == kind])
        if len(each):
            each[:SHORTLIST] = isotonic_regression(each[:SHORTLIST], increasing=False).x
        return np.minimum.accumulate(each)

    def probability_new(self, kind: ViewPair, best: Sequence[float], searched: int) -> float | None:
        """P(the animal is none of those searched) from the scores of the best individuals, best first.

        Exactly 1 for an empty gallery; None when nothing was fitted for such questions.
        """
        if not best:
            return 1.0
        novelty = self.new.get(kind) or self.new.get(ViewPair.ANY)
        if novelty is None:
            return None
        scores = np.array([[*best, -np.inf][:2]], np.float64)
        return float(novelty(scores[:, 0], lead_of(scores), np.array([searched], np.float64))[0])


def fit_curve(scores: Float64, right: Float64, weights: Float64) -> Curve:
    """Isotonic regression of ``right`` (n, 0 or 1) on ``scores`` (n), each block drawn to the base rate.

    A block of weight w counts as (w x its rate + base rate) / (w + 1): Laplace's rule of succession with one encounter
    of prior knowledge, so that ten right ones of ten are no certainty. Equal scores are one point. Pool adjacent
    violators: Barlow et al. 1972; as calibration: Zadrozny & Elkan 2002. Raises ValueError for a score that is not
    finite, and when there is no right or no wrong one.
    """
    total = float(weights.sum())
    base = float((weights * right).sum()) / total if total > 0 else 0.0
    if not np.isfinite(scores).all() or not 0 < base < 1:
        raise ValueError("a curve is fitted to finite scores, right ones and wrong ones")
    values, where = np.unique(scores, return_inverse=True)
    weight = np.bincount(where, weights)
    values, weight, hits = values[weight > 0], weight[weight > 0], np.bincount(where, weights * right)[weight > 0]
    fitted = isotonic_regression(hits / weight, weights=weight)
    held = np.add.reduceat(weight, fitted.blocks[:-1])
    drawn = (held * fitted.x[fitted.blocks[:-1]] + base) / (held + 1)
    level = np.clip(isotonic_regression(drawn, weights=held + 1).x, _EDGE, 1 - _EDGE)
    return _knots(values, fitted.blocks, level)


def _knots(values: Float64, blocks: Int64, level: Float64) -> Curve:
    """A block is level from its first to its last score; between blocks the curve rises in a line."""
    first, last = values[blocks[:-1]], values[blocks[1:] - 1]
    scores: list[float] = []
    height: list[float] = []
    for low, high, probability in zip(first.tolist(), last.tolist(), level.tolist(), strict=True):
        ends = [low] if low == high else [low, high]
        scores += ends
        height += [probability] * len(ends)
    return Curve(tuple(scores), tuple(height))
