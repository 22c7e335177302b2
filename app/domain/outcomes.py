"""What became of each query, and the figures of many: mAP@20, shares of right answers by rank, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.domain.intervals import Interval, mean_intervals
from app.domain.measures import average_precision_at_20
from app.domain.scenario import Prediction, Scenario, Truth

DEPTHS = (1, 5, 10, 20)
"""The ranks at which the share of queries with a right answer is told (cumulative match characteristic)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A query under one truth: its average precision at 20 and the rank of its first right row, None without one."""

    matches: int
    precision: float
    first: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one query; ``right`` and ``elsewhere`` (other encounters only) are None where there is no match.

    ``best`` is the score of its first row, None when nothing was returned.
    """

    scenario_id: str
    query_id: str
    image_id: str
    best: float | None
    right: Answered | None
    elsewhere: Answered | None


Side = Callable[[Outcome], Answered | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over the queries with a match: ``top5`` is the share with a right answer in the first 5 rows.

    ``intervals`` has one for each of map20, top1, top5, top10 and top20, None where there is nothing to resample.
    """

    queries: int
    map20: float
    top1: float
    top5: float
    top10: float
    top20: float
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)


FIGURES = ("map20", *(f"top{depth}" for depth in DEPTHS))


def outcomes(
    scenario: Scenario, gathered: Mapping[str, Sequence[Prediction]], truth: Truth, elsewhere: Truth
) -> list[Outcome]:
    """One outcome for each query of a scenario, in its order; ``gathered`` holds checked rows by query."""
    found = []
    for query in scenario.queries:
        rows = sorted(gathered.get(query.query_id, ()), key=lambda row: -row.score)
        answered = [_answered(rows, side.get(query.query_id, frozenset())) for side in (truth, elsewhere)]
        best = rows[0].score if rows else None
        found.append(Outcome(scenario.scenario_id, query.query_id, query.image_id, best, *answered))
    return found


def right(outcome: Outcome) -> Answered | None:
    """A query under the truth that counts every match."""
    return outcome.right


def elsewhere(outcome: Outcome) -> Answered | None:
    """A query under the truth that counts only matches from another encounter."""
    return outcome.elsewhere


def figures(answered: Answered) -> tuple[float, ...]:
    """The figures of one query, in the order of FIGURES."""
    return (answered.precision, *(float(answered.first is not None and answered.first <= d) for d in DEPTHS))


def summary(found: Sequence[Outcome], side: Side, groups: Mapping[str, Hashable]) -> Summary | None:
    """The means under one truth, None when no query has a match in it: a 0 would be a measurement.

    ``groups`` gives the animal of an image, drawn as one for the intervals; an image without one stands for itself.
    """
    counted = [(one, answered) for one in found if (answered := side(one))]
    if not counted:
        return None
    columns = np.array([figures(answered) for _, answered in counted], np.float64)
    means = dict(zip(FIGURES, columns.mean(axis=0).tolist(), strict=True))
    intervals = mean_intervals(columns, [groups.get(one.image_id, ("image", one.image_id)) for one, _ in counted])
    return Summary(len(counted), **means, intervals=dict(zip(FIGURES, intervals, strict=True)))


def histogram(found: Sequence[Outcome], side: Side, bins: int = 20) -> list[int]:
    """How many queries have an average precision in each of ``bins`` equal steps of [0, 1], the last one closed."""
    values = [answered.precision for one in found if (answered := side(one))]
    return np.histogram(np.clip(values, 0.0, 1.0), bins=bins, range=(0.0, 1.0))[0].tolist() if values else [0] * bins


def match_curve(found: Sequence[Outcome], side: Side, depth: int = 20) -> list[float]:
    """The share of queries with a right answer among the first 1, 2, ... ``depth`` rows; empty without a match."""
    firsts = [answered.first for one in found if (answered := side(one))]
    counts = np.bincount([first for first in firsts if first and first <= depth], minlength=depth + 1)
    return (np.cumsum(counts)[1:] / len(firsts)).tolist() if firsts else []


def _answered(rows: Sequence[Prediction], matches: frozenset[str]) -> Answered | None:
    if not matches:
        return None
    first = next((place for place, row in enumerate(rows, start=1) if row.image_id in matches), None)
    return Answered(len(matches), average_precision_at_20(rows, matches), first)
