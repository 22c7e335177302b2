"""Two runs on the same queries: paired differences with intervals, and which of them loses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.intervals import Interval, mean_intervals
from app.domain.outcomes import Outcome, Side

POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of (this run's average precision - the other's) over ``queries`` that both answered.

    ``better`` and ``worse`` count the queries that changed by more than 0.001.
    """

    name: str
    queries: int
    mean: float
    interval: Interval | None
    better: int
    worse: int

    @property
    def loses(self) -> bool:
        """Whether the interval lies entirely below zero."""
        return self.interval is not None and self.interval.high < 0


def differences(
    mine: Sequence[Outcome], theirs: Sequence[Outcome], side: Side, groups: Mapping[str, Hashable]
) -> list[Difference]:
    """The difference of each scenario that both runs hold, then of all pooled.

    Queries are paired by their id, where both were asked of the same photograph with as many matches. Empty when there
    is none with a match.
    """
    other = {(one.query_id, one.image_id, a.matches): a.precision for one in theirs if (a := side(one))}
    paired: dict[str, list[tuple[float, Hashable]]] = {}
    for one in mine:
        answered = side(one)
        asked = (one.query_id, one.image_id, answered.matches) if answered else None
        if answered and asked in other:
            group = groups.get(one.image_id, ("image", one.image_id))
            paired.setdefault(one.scenario_id, []).append((answered.precision - other[asked], group))
    if not paired:
        return []
    every = [pair for pairs in paired.values() for pair in pairs]
    return [_difference(name, pairs) for name, pairs in [*paired.items(), (POOLED, every)]]


def _difference(name: str, pairs: Sequence[tuple[float, Hashable]]) -> Difference:
    values = np.array([[value] for value, _ in pairs], np.float64)
    (interval,) = mean_intervals(values, [group for _, group in pairs])
    better, worse = int((values > 1e-3).sum()), int((values < -1e-3).sum())
    return Difference(name, len(pairs), float(values.mean()), interval, better, worse)
