"""Measures of one ranked list: average precision, and the contest's score of a query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.domain.scenario import MAX_ROWS, Prediction


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
