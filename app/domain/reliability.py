"""Reliability: how far stated probabilities lie from what came true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.domain.trials import Float64

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram: what was stated in [low, high), on average, and what came true.

    ``weight`` counts encounters, not photographs.
    """

    low: float
    high: float
    weight: float
    stated: float
    true: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How honest probabilities are: ``error`` is the expected calibration error, ``brier`` the Brier score.

    ``base`` is the share that came true, and base x (1 - base) what the Brier score would be if only it were stated;
    ``count`` is the number of statements, ``individuals`` that of the animals asked about.
    """

    bins: tuple[Bin, ...]
    error: float
    brier: float
    base: float
    count: int
    individuals: int


def reliability(stated: Float64, right: Float64, weights: Float64, individuals: int) -> Reliability:
    """The reliability of n > 0 statements with weights (n), in ten bins of equal width.

    Expected calibration error = sum over bins of (weight of the bin / all) x |mean stated - share true| (Naeini,
    Cooper & Hauskrecht 2015; with equal width as in Guo et al. 2017). Brier score = weighted mean of
    (stated - true)^2 (Brier 1950).
    """
    total = float(weights.sum())
    where = np.minimum((stated * BINS).astype(np.int64), BINS - 1)
    weight, said, true = (np.bincount(where, weights * part, BINS) for part in (np.ones_like(stated), stated, right))
    bins = tuple(
        Bin(i / BINS, (i + 1) / BINS, float(weight[i]), float(said[i] / weight[i]), float(true[i] / weight[i]))
        for i in np.flatnonzero(weight > 0).tolist()
    )
    return Reliability(
        bins=bins,
        error=sum(one.weight * abs(one.stated - one.true) for one in bins) / total,
        brier=float((weights * (stated - right) ** 2).sum()) / total,
        base=float((weights * right).sum()) / total,
        count=len(stated),
        individuals=individuals,
    )
