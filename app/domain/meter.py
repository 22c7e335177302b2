"""The missed-match meter: how many candidates to look at to miss fewer than 2 % (5 %) of the animals that are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.domain.partition import Int64, Mask
from app.domain.trials import UNFOUND, Float64, Listed, Trials, ViewPair

MISSED = (0.02, 0.05)
"""Shares of missed matches that figures are given for."""

LEAST_ANIMALS = 20
_RULE_OF_THREE = 3.0
_ROUNDS = 400
_SEED = 2_025
# Smaller galleries are parts of this one: its individuals, half, a quarter, an eighth of them.
_PARTS = (2, 4, 8)
_SMALLEST = 10


class Verdict(StrEnum):
    """What can be said."""

    LOOK_AT = "look_at"
    NOT_REACHABLE = "not_reachable"
    TOO_FEW = "too_few"


class YearGap(StrEnum):
    """Years between a query and the nearest sighting of its animal in the gallery."""

    ANY = "any"
    SAME = "same_year"
    ONE = "one_year"
    MORE = "two_or_more"


@dataclass(frozen=True, slots=True)
class Figure:
    """Look at ``look_at`` candidates of a list to miss fewer than ``missed`` of the animals that the gallery holds.

    ``low`` and ``high`` bound ``look_at`` with 95 % (None: even the whole list misses more). ``individuals`` is the
    size of the gallery. The figure rests on ``queries`` photographs of ``encounters`` encounters of ``animals``
    animals; ``unfound`` is the share of them that the whole list misses.
    """

    kind: ViewPair
    listed: Listed
    gap: YearGap
    individuals: int
    missed: float
    verdict: Verdict
    look_at: int | None
    low: int | None
    high: int | None
    unfound: float
    queries: int
    encounters: int
    animals: int

    @property
    def sentence(self) -> str:
        """The figure in words, for receipts and pages."""
        aim = f"miss fewer than {self.missed:.0%} of the animals that were searched"
        basis = f"{self.encounters} encounters of {self.animals} animals"
        if self.verdict is Verdict.TOO_FEW:
            return f"How far to look to {aim} cannot be said: {basis} are too few."
        most = "the whole list may not be enough" if self.high is None else f"at most {self.high}"
        if self.verdict is Verdict.NOT_REACHABLE:
            return f"No depth of the list is known to {aim}: the whole list misses {self.unfound:.1%} ({basis})."
        between = f"95 % interval: at least {self.low}, {most}"
        return f"Look at {self.look_at} {self.listed}s to {aim} ({between}; from {basis})."


def read_meter(kind: ViewPair, trials: Trials) -> list[Figure]:
    """Every figure that trials of one kind of question give: by list, year gap, and size of the gallery.

    Only animals with another encounter in the gallery can be missed. A figure for a share m needs 3 / m encounters
    (the rule of three: with so many and none missed, fewer than m are missed with 95 %; Hanley & Lippman-Hand 1983)
    of LEAST_ANIMALS animals; with fewer its verdict is ``too_few`` and it has no number.
    """
    known = trials.take(trials.known)
    individuals = int(np.median(known.searched)) if len(known) else 0
    figures = [
        figure
        for listed in Listed
        for gap, rows in _gaps(known)
        for figure in _figures(kind, listed, gap, individuals, known.take(rows))
    ]
    for part in _PARTS:
        if (fewer := individuals // part) >= _SMALLEST:
            figures += _figures(kind, Listed.INDIVIDUAL, YearGap.ANY, fewer, known, part=part)
    return figures


def applying(figures: Sequence[Figure], kind: ViewPair, listed: Listed, individuals: int) -> list[Figure]:
    """The figures, one for each share of MISSED, that apply to a question; none for a gallery of another size.

    Of the sizes the smallest that is no smaller than the gallery searched: a larger gallery asks for more looking, so
    that the figure errs on the side of missing less. A gallery up to a tenth larger than the largest still counts.
    """
    found = []
    for missed in MISSED:
        fitting = [
            figure
            for figure in figures
            if (figure.kind, figure.listed, figure.gap, figure.missed) == (kind, listed, YearGap.ANY, missed)
            and individuals <= figure.individuals * 1.1
        ]
        if fitting:
            found.append(min(fitting, key=lambda figure: figure.individuals))
    return found


def look_at(places: Float64, weights: Float64, missed: float) -> float:
    """The smallest N so that less than ``missed`` of the weight has a place beyond N; infinity when there is none.

    ``places`` are infinite where the list holds no right candidate.
    """
    order = np.argsort(places)
    found = np.cumsum(weights[order])
    # Strictly fewer: the tolerance keeps sums of fractions that should be equal from deciding.
    enough = np.flatnonzero(found > (1 - missed) * found[-1] + 1e-9 * found[-1])
    return float(places[order][enough[0]]) if len(enough) else float("inf")


def _gaps(known: Trials) -> Iterator[tuple[YearGap, Mask]]:
    everything = np.ones(len(known), np.bool_)
    years = known.years
    yield from zip(YearGap, (everything, years == 0, years == 1, years > 1), strict=True)


def _figures(
    kind: ViewPair, listed: Listed, gap: YearGap, individuals: int, known: Trials, part: int = 1
) -> list[Figure]:
    places = known.lists[listed].place.astype(np.float64)
    places[places == UNFOUND] = np.inf
    if part > 1:
        places = _thinned(places, known.searched, part)
    weights = known.weights
    animals, owner = np.unique(known.individual, return_inverse=True)
    encounters = len(np.unique(known.encounter))
    unfound = float(weights[np.isinf(places)].sum() / weights.sum()) if len(known) else 0.0
    facts = (unfound, len(known), encounters, len(animals))
    figures = []
    for missed in MISSED:
        if encounters < _RULE_OF_THREE / missed or len(animals) < LEAST_ANIMALS:
            answer: tuple[Verdict, int | None, int | None, int | None] = (Verdict.TOO_FEW, None, None, None)
        else:
            answer = _measured(places, weights, owner, missed)
        figures.append(Figure(kind, listed, gap, individuals, missed, *answer, *facts))
    return figures


def _thinned(places: Float64, searched: Int64, part: int) -> Float64:
    """Places in a gallery with a part of the individuals, drawn at random: the query's own is always kept.

    Of the individuals ahead so many stay as a draw without replacement gives (hypergeometric).
    """
    drawn, found = np.random.default_rng(_SEED), np.isfinite(places)
    ahead = places[found].astype(np.int64) - 1
    others = searched[found] - 1
    thinned = places.copy()
    thinned[found] = 1 + drawn.hypergeometric(ahead, others - ahead, np.maximum(others // part, 0))
    return thinned


def _measured(
    places: Float64, weights: Float64, owner: Int64, missed: float
) -> tuple[Verdict, int | None, int | None, int | None]:
    """The figure and its percentile interval over draws of individuals (cluster bootstrap, Davison & Hinkley 1997)."""
    animals = int(owner.max()) + 1
    drawn = np.random.default_rng(_SEED)
    rounds = []
    for _ in range(_ROUNDS):
        times = np.bincount(drawn.integers(animals, size=animals), minlength=animals)[owner]
        rounds.append(look_at(places, weights * times, missed))
    # Whole numbers of candidates: an end is one of the draws, never a mean of two, of which one may be infinite.
    low, high = np.quantile(rounds, [0.025, 0.975], method="inverted_cdf")
    at = look_at(places, weights, missed)
    verdict = Verdict.LOOK_AT if np.isfinite(at) else Verdict.NOT_REACHABLE
    return verdict, _whole(at), _whole(float(low)), _whole(float(high))


def _whole(places: float) -> int | None:
    return int(places) if np.isfinite(places) else None
