"""What each ranking stage gains and costs on scenarios in the contest's format, over stored vectors, as Markdown.

Usage: python -m benchmarks.ranking DATA SCENARIOS [--only scenario09 scenario10] [--parts stages marks]
       [--profiles cosine contest]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.adapters.csv_scenarios import CsvScenarios
from app.bootstrap import bootstrap
from app.config import read_settings
from app.domain.outcomes import FIGURES, figures, outcomes
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
from app.domain.scenario import Prediction, Scenario, ScenarioPack, Truth, by_query
from app.services.rank import current_snapshot
from benchmarks.animals import by_individual, marks, together
from benchmarks.stored import Stored

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
PARTS = ("stages", "bridges", "individuals", "together", "marks")
BRIDGED = (Profile("direct", ()), Profile("bridged", (Bridge(),)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("scenarios", type=Path)
    arguments.add_argument("--only", nargs="*", default=[], help="scenarios by id; all by default")
    arguments.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS, help="tables; all by default")
    arguments.add_argument("--profiles", nargs="*", default=[], help="rows of the first table; all by default")
    given = arguments.parse_args()
    services = bootstrap(read_settings(data=given.data))
    services.reindex.catch_up()
    pack = CsvScenarios().read(given.scenarios)
    scenarios = [one for one in pack.scenarios if not given.only or one.scenario_id in given.only]
    match = services.match
    snapshot = current_snapshot(match.index, match.embedder)
    names = {query.image_id for s in scenarios for query in s.queries} | {n for s in scenarios for n in s.gallery}
    stored = Stored(snapshot, match.embedder.ensemble, match.catalogue.annotation_ids(names))
    print(f"Ensemble {stored.ensemble.name} {stored.ensemble.version}, {len(snapshot.gallery)} annotations.\n")
    if "stages" in given.parts:
        _stages(stored, pack, scenarios, [p for p in PROFILES if not given.profiles or p.name in given.profiles])
    if "bridges" in given.parts:
        _bridges(stored, pack, scenarios)
    if "individuals" in given.parts:
        by_individual(stored, scenarios)
    if "together" in given.parts:
        together(stored, scenarios)
    if "marks" in given.parts:
        marks(stored, scenarios, match)


def _stages(stored: Stored, pack: ScenarioPack, scenarios: Sequence[Scenario], profiles: Sequence[Profile]) -> None:
    numbers = [scenario.scenario_id.removeprefix("scenario") for scenario in scenarios]
    tables: dict[str, list[str]] = {"mAP@20": [], "in 20": [], "other mAP@20": [], "other in 20": []}
    for profile in profiles:
        started, rows = time.perf_counter(), []
        for scenario in scenarios:
            rows += list(stored.predictions(scenario, profile))
        cost = (time.perf_counter() - started) / sum(len(scenario.queries) for scenario in scenarios) * 1e3
        for title, truth in (("", pack.truth), ("other ", pack.other_encounter or {})):
            scores = [*(_scores([scenario], rows, truth) for scenario in scenarios), _scores(scenarios, rows, truth)]
            for kind, column in zip(("mAP@20", "in 20"), zip(*scores, strict=True), strict=True):
                cells = " | ".join(f"{figure:.3f}" for figure in column)
                tables[title + kind].append(f"| {profile.name} | {cells} | {cost:.1f} |")
    for title, lines in tables.items():
        print(f"**{title}**\n\n| stages | {' | '.join(numbers)} | pooled | ms a query |")
        print("|---" * (len(numbers) + 3) + "|")
        print("\n".join(lines) + "\n")


def _scores(scenarios: Sequence[Scenario], rows: Sequence[Prediction], truth: Truth) -> tuple[float, float]:
    """mAP@20 and the share with a right answer in 20, over the queries with a match; NaN where there is none."""
    gathered = by_query(rows)
    found = [outcome for scenario in scenarios for outcome in outcomes(scenario, gathered, truth, {})]
    columns = np.reshape([figures(one.right) for one in found if one.right], (-1, len(FIGURES)))
    means = columns.mean(axis=0) if len(columns) else np.full(len(FIGURES), np.nan)
    return float(means[FIGURES.index("map20")]), float(means[FIGURES.index("top20")])


def _bridges(stored: Stored, pack: ScenarioPack, scenarios: Sequence[Scenario]) -> None:
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
            precision, share = _scores([scenario], list(stored.predictions(scenario, profile, kept)), pack.truth)
            print(f"| {title} | {scenario.scenario_id} | {precision:.3f} | {share:.3f} |")


if __name__ == "__main__":
    main()
