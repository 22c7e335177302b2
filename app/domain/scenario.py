"""Scenarios in the contest's format: queries, galleries ("databases" at this edge), truth and predictions.

The published scorer accepts faulty predictions quietly (a missing query is skipped, a duplicate row counts twice), so
everything is validated here before a score is computed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.errors import BadScenario

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class Query:
    """One question of a scenario: ``query_id`` names the line of output, ``image_id`` the photograph asked about."""

    query_id: str
    image_id: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Queries and the gallery in which each is searched; a query never finds its own photograph."""

    scenario_id: str
    queries: tuple[Query, ...]
    gallery: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One scored line of output; ``score`` lies in [0, 1]. ``line`` is where it stands in its file, 0 without one."""

    query_id: str
    image_id: str
    score: float
    line: int = field(default=0, compare=False)


Truth = Mapping[str, frozenset[str]]
"""For each query id the gallery images that show the same individual."""


@dataclass(frozen=True, slots=True)
class ScenarioPack:
    """Scenarios with their truths; ``other_encounter`` counts only matches from another encounter, if given."""

    scenarios: tuple[Scenario, ...]
    truth: Truth = field(default_factory=dict)
    other_encounter: Truth | None = None


def check_pack(pack: ScenarioPack) -> None:
    """Raise BadScenario for an empty pack, a repeated id, or a truth that names what its scenario does not hold."""
    if not pack.scenarios:
        raise BadScenario("the pack holds no scenario")
    _no_repeats("scenario", [scenario.scenario_id for scenario in pack.scenarios])
    _no_repeats("query", [query.query_id for scenario in pack.scenarios for query in scenario.queries])
    galleries: dict[str, frozenset[str]] = {}
    for scenario in pack.scenarios:
        if not scenario.queries or not scenario.gallery:
            raise BadScenario(f"{scenario.scenario_id} has no queries or no database")
        _no_repeats(f"{scenario.scenario_id} database image", scenario.gallery)
        gallery = frozenset(scenario.gallery)
        galleries |= dict.fromkeys((query.query_id for query in scenario.queries), gallery)
    for truth in (pack.truth, pack.other_encounter or {}):
        for query_id, images in truth.items():
            if query_id not in galleries:
                raise BadScenario(f"the ground truth names the query {query_id!r}, which no scenario holds")
            if stray := images - galleries[query_id]:
                raise BadScenario(
                    f"the ground truth of {query_id!r} names {min(stray)!r}, which is not in its database"
                )


def check_predictions(scenario: Scenario, rows: Sequence[Prediction], *, complete: bool = True) -> None:
    """Hold predictions of one scenario against the contest's rules; only with ``complete`` must no query be missing.

    Raises BadScenario naming scenario, line and fault: a missing or unknown query, an image that is not in the
    database, a repeated row, more than 20 rows, a score outside [0, 1] or not a number, the query photograph itself.
    """
    own = {query.query_id: query.image_id for query in scenario.queries}
    gallery = frozenset(scenario.gallery)
    seen: set[tuple[str, str]] = set()
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.query_id] += 1
        pair = row.query_id, row.image_id
        if fault := _fault(row, own, gallery, repeated=pair in seen):
            raise BadScenario(f"{scenario.scenario_id}{f', line {row.line}' if row.line else ''}: {fault}")
        seen.add(pair)
    if crowded := [query_id for query_id, count in counts.items() if count > MAX_ROWS]:
        lines = [row.line for row in rows if row.query_id == crowded[0]][MAX_ROWS:]
        where = f", line {lines[0]}" if lines[0] else ""
        raise BadScenario(
            f"{scenario.scenario_id}{where}: {counts[crowded[0]]} rows for {crowded[0]!r}, more than {MAX_ROWS}"
        )
    if complete and (missing := [query_id for query_id in own if query_id not in counts]):
        raise BadScenario(f"{scenario.scenario_id}: missing query: {missing[0]!r} has no rows ({len(missing)} such)")


def _fault(row: Prediction, own: Mapping[str, str], gallery: frozenset[str], *, repeated: bool) -> str | None:
    if row.query_id not in own:
        return f"unknown query {row.query_id!r}"
    if row.image_id == own[row.query_id]:
        return f"self match: {row.query_id!r} returns its own photograph {row.image_id!r}"
    if row.image_id not in gallery:
        return f"unknown image {row.image_id!r} for {row.query_id!r}: it is not in the database"
    if not 0.0 <= row.score <= 1.0:
        return f"score {row.score} of {row.query_id!r}, {row.image_id!r} lies outside [0, 1]"
    return f"duplicate row: {row.query_id!r}, {row.image_id!r}" if repeated else None


def by_query(rows: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions gathered under their query, in their order."""
    gathered: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        gathered[row.query_id].append(row)
    return gathered


def _no_repeats(what: str, names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadScenario(f"{what} {repeated[0]!r} appears more than once")
