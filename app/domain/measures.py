"""Measures of a ranking: average precision at 20 and its means, as the contest counts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.scenario import MAX_ROWS, Prediction, Scenario, Truth, by_query


@dataclass(frozen=True, slots=True)
class Score:
    """Mean average precision at 20 over ``queries``; a query without a match in the truth is not counted.

    ``top1`` and ``top20`` are the shares of the queries with a right answer in the first or the first 20 rows.
    """

    map20: float
    top1: float
    top20: float
    queries: int


def average_precision(scores: Sequence[float] | npt.NDArray[np.float64], right: Sequence[bool]) -> float:
    """Average precision of returned rows, in [0, 1]; equal scores share one threshold.

    Sum over thresholds of (recall step) x (precision), the definition of scikit-learn's average_precision_score, which
    the contest's scorer calls; 0 when no row is right.
    """
    hits = np.asarray(right, dtype=np.float64)
    if hits.sum() == 0:
        return 0.0
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.cumsum(hits[order])[ends]
    precision = found / (ends + 1)
    return float(np.sum(np.diff(found, prepend=0.0) * precision) / hits.sum())


def average_precision_at_20(rows: Sequence[Prediction], matches: frozenset[str]) -> float:
    """The contest's score of one query: average precision x (matches returned) / min(matches in the truth, 20).

    Raises ValueError when ``matches`` is empty: such a query is not counted at all.
    """
    if not matches:
        raise ValueError("a query without a match has no average precision")
    right = [row.image_id in matches for row in rows]
    return average_precision([row.score for row in rows], right) * sum(right) / min(len(matches), MAX_ROWS)


def per_query(scenario: Scenario, rows: Iterable[Prediction], truth: Truth) -> dict[str, float]:
    """Average precision at 20 for each query of the scenario that has a match in ``truth``."""
    gathered = by_query(rows)
    return {
        query.query_id: average_precision_at_20(gathered.get(query.query_id, []), truth[query.query_id])
        for query in scenario.queries
        if truth.get(query.query_id)
    }


def score(scenarios: Sequence[Scenario], rows: Sequence[Prediction], truth: Truth) -> Score:
    """The score of checked predictions pooled over the queries of ``scenarios`` (the contest's micro-average)."""
    gathered = by_query(rows)
    precisions, firsts, hits = [], [], []
    for scenario in scenarios:
        for query_id, precision in per_query(scenario, rows_of(scenario, gathered), truth).items():
            best = sorted(gathered.get(query_id, []), key=lambda row: -row.score)
            right = [row.image_id in truth[query_id] for row in best]
            precisions.append(precision)
            firsts.append(right[:1] == [True])
            hits.append(any(right[:MAX_ROWS]))
    return Score(_mean(precisions), _mean(firsts), _mean(hits), len(precisions))


def rows_of(scenario: Scenario, gathered: Mapping[str, Sequence[Prediction]]) -> list[Prediction]:
    """The rows that belong to a scenario's queries."""
    return [row for query in scenario.queries for row in gathered.get(query.query_id, ())]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
