"""Scenarios from any catalogue: the contest's kinds, across encounters, and new animals against known ones.

Every kind is leave-one-out where a query lies in its own gallery. A query is only asked when its gallery holds a match,
but for new animals against known ones, where having none is the question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScenario
from app.domain.scenario import Query, Scenario, ScenarioPack, Truth

MOST_QUERIES = 2000
_NEW_SHARE = 0.2


class Kind(StrEnum):
    """What a scenario asks; the first seven make the contest's ten (one a year, one a pair of years)."""

    ALL_TOP = "all_top"
    NEW_INDIVIDUALS = "new_individuals"
    NEW_ENCOUNTERS = "new_encounters"
    WITHIN_YEAR = "within_year"
    YEAR_AGAINST_YEAR = "year_against_year"
    LATERAL_AGAINST_TOP = "lateral_against_top"
    TOP_AGAINST_LATERAL = "top_against_lateral"
    ACROSS_ENCOUNTERS = "across_encounters"
    NEW_VERSUS_KNOWN = "new_versus_known"


@dataclass(frozen=True, slots=True)
class Shot:
    """What a scenario needs to know of an annotation; ``year`` is 0 and ``taken`` empty when unknown."""

    image_id: str
    individual: str | None
    encounter: str | None
    viewpoint: Viewpoint
    year: int = 0
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A kind that this catalogue cannot fill, and why."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Built:
    """A pack with both truths, and the kinds that it had to leave out."""

    pack: ScenarioPack
    unfilled: tuple[Unfilled, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    name: str
    queries: list[Shot]
    gallery: list[Shot]
    with_strangers: bool = False


def build(
    shots: Sequence[Shot],
    kinds: Sequence[Kind] = tuple(Kind),
    *,
    seed: int = 0,
    most: int = MOST_QUERIES,
    comparable: Comparable = lambda _, __: True,
) -> Built:
    """Scenarios of these kinds with at most ``most`` queries each, drawn by ``seed``; the same input, the same pack.

    No query is asked that could be compared with nothing in its gallery: ``comparable`` tells of two viewpoints.
    Raises BadScenario when the catalogue can fill none of them.
    """
    named = [shot for shot in sorted(shots, key=lambda shot: shot.image_id) if shot.individual is not None]
    scenarios: list[Scenario] = []
    truth: dict[str, frozenset[str]] = {}
    elsewhere: dict[str, frozenset[str]] = {}
    unfilled = []
    for kind in dict.fromkeys(kinds):
        drafts, reason = _KINDS[kind]
        drawn = np.random.default_rng([seed, list(Kind).index(kind)])
        filled = 0
        for draft in drafts(named, drawn):
            possible = _comparable(draft, comparable)
            if draft.queries and not possible.queries:
                reason = "the ensemble cannot compare these views"
            if scenario := _scenario(_asked(possible, drawn, most), truth, elsewhere):
                scenarios.append(scenario)
                filled += 1
        if not filled:
            unfilled.append(Unfilled(kind, reason))
    if not scenarios:
        raise BadScenario("this catalogue fills no scenario: " + "; ".join(f"{u.kind}: {u.reason}" for u in unfilled))
    return Built(ScenarioPack(tuple(scenarios), truth, elsewhere), tuple(unfilled))


Comparable = Callable[[Viewpoint, Viewpoint], bool]
Drafts = Callable[[Sequence[Shot], np.random.Generator], Iterator[_Draft]]


def _top(shots: Sequence[Shot]) -> list[Shot]:
    return [shot for shot in shots if shot.viewpoint is Viewpoint.TOP]


def _lateral(shots: Sequence[Shot]) -> list[Shot]:
    return [shot for shot in shots if shot.viewpoint in {Viewpoint.LEFT, Viewpoint.RIGHT}]


def _individuals(shots: Sequence[Shot]) -> list[str]:
    return sorted({shot.individual or "" for shot in shots})


def _of(shots: Sequence[Shot], individuals: set[str]) -> list[Shot]:
    return [shot for shot in shots if shot.individual in individuals]


def _all_top(shots: Sequence[Shot], _: np.random.Generator) -> Iterator[_Draft]:
    yield _Draft(Kind.ALL_TOP, _top(shots), _top(shots))


def _new_individuals(shots: Sequence[Shot], drawn: np.random.Generator) -> Iterator[_Draft]:
    top = _top(shots)
    animals = _individuals(top)
    count = max(2, round(_NEW_SHARE * len(animals)))
    if len(animals) > count:
        own = _of(top, set(drawn.choice(animals, count, replace=False).tolist()))
        yield _Draft(Kind.NEW_INDIVIDUALS, own, own)


def _new_encounters(shots: Sequence[Shot], _: np.random.Generator) -> Iterator[_Draft]:
    """The latest encounter of each individual that was met more than once, against every other photograph."""
    top = _top(shots)
    latest = {meetings[-1] for meetings in _meetings(top).values() if len(meetings) > 1}
    queries = [shot for shot in top if shot.encounter in latest]
    yield _Draft(Kind.NEW_ENCOUNTERS, queries, [shot for shot in top if shot.encounter not in latest])


def _within_year(shots: Sequence[Shot], _: np.random.Generator) -> Iterator[_Draft]:
    for year in _years(shots):
        own = [shot for shot in _top(shots) if shot.year == year]
        yield _Draft(f"within_{year}", own, own)


def _year_against_year(shots: Sequence[Shot], _: np.random.Generator) -> Iterator[_Draft]:
    years = _years(shots)
    for year in reversed(years[:-1]):
        late, early = ([shot for shot in _top(shots) if shot.year == one] for one in (years[-1], year))
        both = set(_individuals(late)) & set(_individuals(early))
        yield _Draft(f"{years[-1]}_against_{year}", _of(late, both), _of(early, both))


def _across_views(shots: Sequence[Shot], *, lateral_first: bool) -> Iterator[_Draft]:
    both = set(_individuals(_top(shots))) & set(_individuals(_lateral(shots)))
    top, lateral = _of(_top(shots), both), _of(_lateral(shots), both)
    if lateral_first:
        yield _Draft(Kind.LATERAL_AGAINST_TOP, lateral, top)
    else:
        yield _Draft(Kind.TOP_AGAINST_LATERAL, top, lateral)


def _across_encounters(shots: Sequence[Shot], drawn: np.random.Generator) -> Iterator[_Draft]:
    """One encounter of each individual as its gallery, queries from its others."""
    top = _top(shots)
    shown = {str(drawn.choice(meetings)) for meetings in _meetings(top).values()}
    queries = [shot for shot in top if shot.encounter and shot.encounter not in shown]
    yield _Draft(Kind.ACROSS_ENCOUNTERS, queries, [shot for shot in top if shot.encounter in shown])


def _new_versus_known(shots: Sequence[Shot], drawn: np.random.Generator) -> Iterator[_Draft]:
    """Half of the individuals in the gallery; queries are their other encounters and everything of the other half."""
    top = _top(shots)
    animals = _individuals(top)
    known = set(drawn.choice(animals, len(animals) // 2, replace=False).tolist()) if animals else set()
    shown = {meetings[0] for individual, meetings in _meetings(top).items() if individual in known}
    gallery = [shot for shot in _of(top, known) if shot.encounter in shown]
    asked = [shot for shot in _of(top, known) if shot.encounter and shot.encounter not in shown]
    strangers = _of(top, set(animals) - known)
    if asked and strangers:
        yield _Draft(Kind.NEW_VERSUS_KNOWN, [*asked, *strangers], gallery, with_strangers=True)


_KINDS: dict[Kind, tuple[Drafts, str]] = {
    Kind.ALL_TOP: (_all_top, "no individual has two top views"),
    Kind.NEW_INDIVIDUALS: (_new_individuals, "too few individuals have two top views"),
    Kind.NEW_ENCOUNTERS: (_new_encounters, "no individual has top views of two encounters"),
    Kind.WITHIN_YEAR: (_within_year, "no individual has two top views in one year"),
    Kind.YEAR_AGAINST_YEAR: (_year_against_year, "no individual has top views in the last year and an earlier one"),
    Kind.LATERAL_AGAINST_TOP: (
        lambda shots, _: _across_views(shots, lateral_first=True),
        "no individual has both a lateral and a top view",
    ),
    Kind.TOP_AGAINST_LATERAL: (
        lambda shots, _: _across_views(shots, lateral_first=False),
        "no individual has both a top and a lateral view",
    ),
    Kind.ACROSS_ENCOUNTERS: (_across_encounters, "no individual has top views of two encounters"),
    Kind.NEW_VERSUS_KNOWN: (_new_versus_known, "too few individuals have top views of two encounters"),
}


def _meetings(shots: Sequence[Shot]) -> dict[str, list[str]]:
    """The encounters of each individual, by the time of their first photograph."""
    first: dict[tuple[str, str], str] = {}
    for shot in shots:
        if shot.individual and shot.encounter:
            own = shot.individual, shot.encounter
            first[own] = min(first.get(own, shot.taken), shot.taken)
    met: dict[str, list[str]] = defaultdict(list)
    for individual, encounter in sorted(first, key=lambda own: (first[own], own)):
        met[individual].append(encounter)
    return dict(sorted(met.items()))


def _years(shots: Sequence[Shot]) -> list[int]:
    return sorted({shot.year for shot in _top(shots)} - {0})


def _matches(query: Shot, gallery: dict[str, list[Shot]]) -> list[Shot]:
    return [shot for shot in gallery.get(query.individual or "", ()) if shot.image_id != query.image_id]


def _by_individual(gallery: Sequence[Shot]) -> dict[str, list[Shot]]:
    found: dict[str, list[Shot]] = defaultdict(list)
    for shot in gallery:
        found[shot.individual or ""].append(shot)
    return found


def _comparable(draft: _Draft, comparable: Comparable) -> _Draft:
    """The draft with the queries that something in its gallery, beside themselves, can be compared with."""
    views = Counter(shot.viewpoint for shot in draft.gallery)
    held = {shot.image_id for shot in draft.gallery}
    queries = [
        shot
        for shot in draft.queries
        if any(
            comparable(shot.viewpoint, view) and count > (shot.viewpoint is view and shot.image_id in held)
            for view, count in views.items()
        )
    ]
    return replace(draft, queries=queries)


def _asked(draft: _Draft, drawn: np.random.Generator, most: int) -> _Draft:
    """The draft with the queries that may be asked, at most so many."""
    own = _by_individual(draft.gallery)
    queries = [shot for shot in draft.queries if draft.with_strangers or _matches(shot, own)]
    if len(queries) > most:
        queries = [queries[place] for place in sorted(drawn.choice(len(queries), most, replace=False).tolist())]
    return replace(draft, queries=queries)


def _scenario(draft: _Draft, truth: dict[str, frozenset[str]], elsewhere: dict[str, frozenset[str]]) -> Scenario | None:
    """The scenario of a draft, its matches noted in both truths; None when nothing may be asked."""
    if not draft.queries:
        return None
    own = _by_individual(draft.gallery)
    queries = []
    for shot in draft.queries:
        query = Query(f"{draft.name}-{shot.image_id}", shot.image_id)
        queries.append(query)
        _note(truth, query, matches := _matches(shot, own))
        _note(elsewhere, query, [one for one in matches if _apart(shot, one)])
    return Scenario(draft.name, tuple(queries), tuple(shot.image_id for shot in draft.gallery))


def _apart(one: Shot, other: Shot) -> bool:
    """Whether two photographs are certainly of different encounters."""
    return one.encounter is not None and other.encounter is not None and one.encounter != other.encounter


def _note(truth: dict[str, frozenset[str]], query: Query, matches: Sequence[Shot]) -> None:
    if matches:
        truth[query.query_id] = frozenset(shot.image_id for shot in matches)


def known_and_new(scenario: Scenario, truth: Truth) -> tuple[list[str], list[str]]:
    """Query ids of a scenario with a match in its gallery, and those without."""
    ids = [query.query_id for query in scenario.queries]
    return [one for one in ids if truth.get(one)], [one for one in ids if not truth.get(one)]
