"""What each ranking stage gains and costs on scenarios in the contest's format, over stored vectors, as Markdown.

Usage: python -m benchmarks.ranking DATA SCENARIOS [--only scenario09 scenario10] [--profiles cosine contest]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from app.adapters.csv_scenarios import CsvScenarios
from app.bootstrap import bootstrap
from app.config import read_settings
from app.domain import measures, ranking
from app.domain.ensemble import Ensemble
from app.domain.measures import Score
from app.domain.partition import VIEWPOINTS, Mask
from app.domain.ports import Snapshot
from app.domain.profiles import (
    CONTEST,
    COSINE,
    REVIEW,
    Augment,
    Bridge,
    Expand,
    Fold,
    Profile,
    Reciprocal,
    Spread,
    Vouch,
)
from app.domain.scenario import MAX_ROWS, Prediction, Scenario, ScenarioPack, Truth
from app.services.rank import Questions, current_snapshot, listed

PROFILES = (
    COSINE,
    Profile("vouch", (Vouch(),)),
    Profile("expand", (Expand(),)),
    Profile("augment", (Augment(),)),
    Profile("reciprocal", (Reciprocal(),)),
    Profile("fold", (Fold(),)),
    Profile("spread", (Spread(),)),
    Profile("augment + vouch", (Augment(), Vouch())),
    Profile("augment + reciprocal", (Augment(), Reciprocal())),
    CONTEST,
    REVIEW,
)
BRIDGED = (Profile("direct", ()), Profile("bridged", (Bridge(),)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("scenarios", type=Path)
    arguments.add_argument("--only", nargs="*", default=[], help="scenarios by id; all by default")
    arguments.add_argument("--profiles", nargs="*", default=[], help="rows of the first table; all by default")
    given = arguments.parse_args()
    services = bootstrap(read_settings(data=given.data))
    services.reindex.catch_up()
    pack = CsvScenarios().read(given.scenarios)
    scenarios = [one for one in pack.scenarios if not given.only or one.scenario_id in given.only]
    match = services.match
    snapshot = current_snapshot(match.index, match.embedder)
    names = {query.image_id for s in scenarios for query in s.queries} | {n for s in scenarios for n in s.gallery}
    stored = _Stored(snapshot, match.embedder.ensemble, match.catalogue.annotation_ids(names))
    print(f"Ensemble {stored.ensemble.name} {stored.ensemble.version}, {len(snapshot.gallery)} annotations.\n")
    _stages(stored, pack, scenarios, [p for p in PROFILES if not given.profiles or p.name in given.profiles])
    _bridges(stored, pack, scenarios)


class _Stored:
    """Vectors of one generation, asked by the image ids of a pack."""

    def __init__(self, snapshot: Snapshot, ensemble: Ensemble, ids: Mapping[str, int]) -> None:
        self.snapshot, self.ensemble, self.ids = snapshot, ensemble, ids
        self._names = {number: name for name, number in ids.items()}

    def predictions(self, scenario: Scenario, profile: Profile, kept: str = "") -> Iterator[Prediction]:
        """At most 20 rows a query. ``kept`` lets bridges lie anywhere: in "any" or only in "other" encounters."""
        columns = self.snapshot.gallery
        mask = np.isin(columns.annotation, [self.ids[name] for name in scenario.gallery])
        asked = np.array([self.ids[query.image_id] for query in scenario.queries], np.int64)
        rows = columns.rows_of(asked)
        for position in np.unique(columns.viewpoint[rows]):
            places = np.flatnonzero(columns.viewpoint[rows] == position)
            # Bridges in other encounters are others for each query, which is then asked alone.
            for some in np.split(places, len(places)) if kept == "other" else [places]:
                through = self._through(rows[some[0]], kept) if kept else None
                yield from self._asked(scenario, some, asked[some], mask, through, profile)

    def _through(self, row: int, kept: str) -> Mask:
        columns = self.snapshot.gallery
        return columns.encounter != columns.encounter[row] if kept == "other" else np.ones(len(columns), np.bool_)

    def _asked(
        self,
        scenario: Scenario,
        places: np.ndarray,
        asked: np.ndarray,
        mask: Mask,
        through: Mask | None,
        profile: Profile,
    ) -> Iterator[Prediction]:
        rows = self.snapshot.gallery.rows_of(asked)
        viewpoint = VIEWPOINTS[self.snapshot.gallery.viewpoint[rows[0]]]
        spaces = [space.name for space in self.ensemble.spaces if viewpoint in space.viewpoints]
        vectors = {space: self.snapshot.vectors(space, asked) for space in spaces}
        questions = Questions(viewpoint, vectors, self.snapshot.gallery.image[rows], through)
        answers = listed(self.snapshot, self.ensemble, questions, mask, MAX_ROWS, profile)
        for place, answer in zip(places.tolist(), answers, strict=True):
            best = answer.first(MAX_ROWS)
            for one, score in zip(best.annotations.tolist(), ranking.score_of(best.likeness).tolist(), strict=True):
                yield Prediction(scenario.queries[place].query_id, self._names[one], score)


def _stages(stored: _Stored, pack: ScenarioPack, scenarios: Sequence[Scenario], profiles: Sequence[Profile]) -> None:
    numbers = [scenario.scenario_id.removeprefix("scenario") for scenario in scenarios]
    tables: dict[str, list[str]] = {"mAP@20": [], "in 20": [], "other mAP@20": [], "other in 20": []}
    for profile in profiles:
        started, rows = time.perf_counter(), []
        for scenario in scenarios:
            rows += list(stored.predictions(scenario, profile))
        cost = (time.perf_counter() - started) / sum(len(scenario.queries) for scenario in scenarios) * 1e3
        for title, truth in (("", pack.truth), ("other ", pack.other_encounter or {})):
            scores = [*_scores(scenarios, rows, truth), measures.score(scenarios, rows, truth)]
            for kind, figures in (("mAP@20", [s.map20 for s in scores]), ("in 20", [s.top20 for s in scores])):
                cells = " | ".join(f"{figure:.3f}" for figure in figures)
                tables[title + kind].append(f"| {profile.name} | {cells} | {cost:.1f} |")
    for title, lines in tables.items():
        print(f"**{title}**\n\n| stages | {' | '.join(numbers)} | pooled | ms a query |")
        print("|---" * (len(numbers) + 3) + "|")
        print("\n".join(lines) + "\n")


def _scores(scenarios: Sequence[Scenario], rows: Sequence[Prediction], truth: Truth) -> list[Score]:
    return [measures.score([scenario], rows, truth) for scenario in scenarios]


def _bridges(stored: _Stored, pack: ScenarioPack, scenarios: Sequence[Scenario]) -> None:
    print("| bridges | scenario | mAP@20 | in 20 |\n|---|---|---|---|")
    views = stored.snapshot.gallery.viewpoint
    for scenario in scenarios:
        sides = [
            views[stored.snapshot.gallery.rows_of(np.array([stored.ids[n] for n in names]))]
            for names in ([query.image_id for query in scenario.queries], scenario.gallery)
        ]
        if np.isin(*sides).any():
            continue
        for title, profile, kept in (
            ("none", BRIDGED[0], ""),
            ("in the scenario's gallery", BRIDGED[1], ""),
            ("catalogue, other encounters", BRIDGED[1], "other"),
            ("catalogue", BRIDGED[1], "any"),
        ):
            score = measures.score([scenario], list(stored.predictions(scenario, profile, kept)), pack.truth)
            print(f"| {title} | {scenario.scenario_id} | {score.map20:.3f} | {score.top20:.3f} |")


if __name__ == "__main__":
    main()
