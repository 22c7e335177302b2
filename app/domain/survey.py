"""A made-up survey: which synthetic individual was photographed when, from which side, in which encounter.

Nothing here was ever seen at sea. Photograph ``number`` follows from the plan's individuals, years and seed and from
the number alone, so that a survey can be written from any place, in parallel, and a longer one begins with a shorter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import CaptureDate, DatePrecision, Sighting, Viewpoint
from app.domain.errors import InvalidInput
from app.domain.scenario import Query, Scenario, ScenarioPack

SYNTHETIC = "synthetic"
"""How every id of a made-up survey begins: by it a reader can tell what a catalogue is made of."""

LAST_YEAR = 2024
OUTING = 32
"""Photographs of one outing; its encounters are of different individuals."""

_SEASON_DAYS = 122
_OUTINGS_A_DAY = 10
_OUTING_MINUTES = 90
_STRIDE = 433
"""Steps through a season's outings; it shares no factor with their number, so each is visited once."""
_YEARLY = _SEASON_DAYS * _OUTINGS_A_DAY * OUTING
_SPARE = 100 * OUTING
"""Photographs after the survey's last that are looked through for held-out ones."""
_VIEWPOINTS, _VIEWPOINT_SHARES = (Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT), (0.7, 0.15, 0.15)
_MOST_QUERIES, _MOST_TRUTH = 1_000, 200_000
_POPULARITY, _OUTING = 1, 2
"""The key that begins each stream of random numbers here; those of the synthetic pictures begin at 10."""


@dataclass(frozen=True, slots=True)
class SurveyPlan:
    """What to make up: ``longest`` is the longest side of the largest photographs in pixels.

    Raises InvalidInput where a number is out of range or the years have too few outings for the photographs.
    """

    individuals: int = 24
    photographs: int = 360
    years: int = 3
    seed: int = 0
    longest: int = 384

    def __post_init__(self) -> None:
        if min(self.individuals, self.photographs, self.years) < 1 or self.years > 100 or self.seed < 0:
            raise InvalidInput("a survey needs an individual, a photograph, 1 to 100 years and a seed from 0")
        if not 32 <= self.longest <= 2048:
            raise InvalidInput("the longest side of a synthetic photograph lies between 32 and 2,048 pixels")
        needed = -(-(self.photographs + _SPARE) // _YEARLY)
        if needed > self.years:
            raise InvalidInput(f"{self.photographs} photographs need at least {needed} years, not {self.years}")


@dataclass(frozen=True, slots=True)
class Shot:
    """One photograph to be made: ``individual`` and ``encounter`` are numbers from 0, ``year`` counts from 0."""

    number: int
    individual: int
    encounter: int
    year: int
    viewpoint: Viewpoint
    taken: datetime


def shot(plan: SurveyPlan, number: int) -> Shot:
    """Photograph ``number``, from 0; it may lie beyond ``plan.photographs``, which makes it a held-out one.

    Raises InvalidInput for a number that the plan's years have no outing for.
    """
    if not 0 <= number < plan.years * _YEARLY:
        raise InvalidInput(f"photographs of this survey are numbered from 0 to {plan.years * _YEARLY - 1}")
    return _outing(plan.individuals, plan.years, plan.seed, number // OUTING)[number % OUTING]


def sighting(plan: SurveyPlan, made: Shot) -> Sighting:
    """What the sheet says of a photograph: contest-style ids that begin with ``SYNTHETIC``."""
    name = f"{SYNTHETIC}-individual-{made.individual + 1:0{max(3, len(str(plan.individuals)))}d}"
    source_id = f"{SYNTHETIC}{made.number:06d}"
    return Sighting(
        source_id=source_id,
        path=f"images/{source_id}.jpg",
        viewpoint=made.viewpoint,
        captured=CaptureDate(made.taken, DatePrecision.SECOND),
        individual=name,
        encounter=f"{name}-{made.encounter:05d}",
        row=made.number + 2,
    )


def held_out(plan: SurveyPlan, count: int = 3) -> tuple[Shot, ...]:
    """Up to ``count`` photographs that the survey does not hold, of individuals that it shows from the same side.

    They come from outings after the survey, so from encounters that it has never seen, each of another individual, the
    last one lateral. Fewer come back where a sparse survey offers no more.
    """
    known = {(s.individual, s.viewpoint) for s in _shots(plan, 0, plan.photographs)}
    start = -(-plan.photographs // OUTING) * OUTING
    chosen: list[Shot] = []
    for candidate in _shots(plan, start, start + _SPARE):
        if len(chosen) == count:
            break
        lateral = candidate.viewpoint is not Viewpoint.TOP
        fresh = all(candidate.individual != made.individual for made in chosen)
        if fresh and lateral is (len(chosen) == count - 1) and (candidate.individual, candidate.viewpoint) in known:
            chosen.append(candidate)
    return tuple(chosen)


def scenario_pack(sightings: Sequence[Sighting]) -> ScenarioPack:
    """Scenarios like the contest's over a survey, each with at most 1,000 queries spread over it.

    In turn: top against all top (leave one out); top of other encounters against each individual's first; the last
    year's top views against those before; lateral against top; top against lateral. A query is kept only where its
    gallery shows the individual in another photograph; a scenario without queries is left out. Where individuals have
    thousands of photographs there are fewer queries, so that a truth stays below 200,000 lines.
    """
    scenarios: list[Scenario] = []
    truth: dict[str, frozenset[str]] = {}
    elsewhere: dict[str, frozenset[str]] = {}
    for queries, gallery in _questions(sightings):
        shown: dict[str | None, list[Sighting]] = defaultdict(list)
        for seen in gallery:
            shown[seen.individual].append(seen)
        kept = _spread([q for q in queries if any(g is not q for g in shown[q.individual])], _fitting(shown))
        if not kept:
            continue
        name = f"scenario{len(scenarios) + 1:02d}"
        asked = tuple(Query(f"{name}-{q.source_id}", q.source_id) for q in kept)
        scenarios.append(Scenario(name, asked, tuple(g.source_id for g in gallery)))
        for query, seen in zip(asked, kept, strict=True):
            same = [g for g in shown[seen.individual] if g is not seen]
            truth[query.query_id] = frozenset(g.source_id for g in same)
            if others := frozenset(g.source_id for g in same if g.encounter != seen.encounter):
                elsewhere[query.query_id] = others
    return ScenarioPack(tuple(scenarios), truth, elsewhere)


def _questions(sightings: Sequence[Sighting]) -> Iterator[tuple[list[Sighting], list[Sighting]]]:
    top = [s for s in sightings if s.viewpoint is Viewpoint.TOP]
    lateral = [s for s in sightings if s.viewpoint is not Viewpoint.TOP]
    first: dict[str | None, str | None] = {}
    for seen in sorted(top, key=_when):
        first.setdefault(seen.individual, seen.encounter)
    last = max((s.captured.year for s in top), default=0)
    yield top, top
    gallery = _where(top, lambda s: first[s.individual] == s.encounter)
    yield _where(top, lambda s: first[s.individual] != s.encounter), gallery
    yield _where(top, lambda s: s.captured.year == last), _where(top, lambda s: s.captured.year < last)
    yield lateral, top
    yield top, lateral


def _where(sightings: Iterable[Sighting], wanted: Callable[[Sighting], bool]) -> list[Sighting]:
    return [s for s in sightings if wanted(s)]


def _when(seen: Sighting) -> datetime:
    return seen.captured.taken or datetime.min


def _fitting(shown: Mapping[str | None, Sequence[Sighting]]) -> int:
    largest = max((len(seen) for seen in shown.values()), default=0)
    return max(1, min(_MOST_QUERIES, _MOST_TRUTH // max(1, largest)))


def _spread(sightings: list[Sighting], most: int) -> list[Sighting]:
    if len(sightings) <= most:
        return sightings
    return [sightings[i * len(sightings) // most] for i in range(most)]


def _shots(plan: SurveyPlan, start: int, stop: int) -> Iterator[Shot]:
    return (shot(plan, number) for number in range(start, stop))


@lru_cache(maxsize=4)
def _popularity(individuals: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each individual is met, adding up to 1: some are seen all the time, some hardly ever."""
    weights = np.random.default_rng((seed, _POPULARITY)).gamma(2.0, size=individuals) + 0.05
    return np.asarray(weights / weights.sum(), dtype=np.float64)


@lru_cache(maxsize=16)
def _outing(individuals: int, years: int, seed: int, number: int) -> tuple[Shot, ...]:
    """The photographs of one outing, encounter by encounter, each of another individual and from one side."""
    drawn = np.random.default_rng((seed, _OUTING, number))
    encounters = min(individuals, int(drawn.integers(6, 13)))
    met = drawn.choice(individuals, size=encounters, replace=False, p=_popularity(individuals, seed))
    cuts = np.sort(drawn.choice(OUTING - 1, size=encounters - 1, replace=False)) + 1
    bounds = [0, *cuts.tolist(), OUTING]
    start = _outing_start(years, seed, number)
    shots: list[Shot] = []
    for individual, first, stop in zip(met.tolist(), bounds, bounds[1:], strict=False):
        viewpoint = _VIEWPOINTS[int(drawn.choice(len(_VIEWPOINTS), p=_VIEWPOINT_SHARES))]
        seconds = int(drawn.integers(240)) + np.cumsum(drawn.integers(1, 41, size=stop - first))
        encounter = number * OUTING + first
        shots += (
            Shot(encounter + i, individual, encounter, number % years, viewpoint, start + timedelta(seconds=after))
            for i, after in enumerate(seconds.tolist())
        )
    return tuple(shots)


def _outing_start(years: int, seed: int, number: int) -> datetime:
    """Outings never meet: each has 90 minutes of its own, and its encounters end within the first 26 of them.

    So two encounters of one individual are more than an hour apart, as the contest defines encounters.
    """
    slot = (number // years * _STRIDE + seed) % (_SEASON_DAYS * _OUTINGS_A_DAY)
    day, turn = divmod(slot, _OUTINGS_A_DAY)
    return datetime(LAST_YEAR - years + 1 + number % years, 6, 1, 6) + timedelta(
        days=day, minutes=turn * _OUTING_MINUTES
    )
