"""What each ranking stage gains and costs on scenarios in the contest's format, over stored vectors, as Markdown.

Usage: python -m benchmarks.ranking DATA SCENARIOS [--only scenario09 scenario10] [--parts stages chosen]
       [--most 200] [--cache FOLDER] [--write docs/ranking.md]

``--write`` puts each table between its marks in a document, which must have them for all ``--parts``. ``--cache`` keeps
what was measured of a profile, so that a run that was cut short goes on; empty it when the ranking's code has changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.adapters.csv_scenarios import CsvScenarios
from app.adapters.faiss_frozen import FaissFrozen
from app.bootstrap import bootstrap
from app.config import read_settings
from app.domain.frozen import Frozen
from app.domain.profiles import (
    CONTEST,
    COSINE,
    REVIEW,
    Augment,
    Bridge,
    Centre,
    Expand,
    Fold,
    Occasion,
    Profile,
    Reciprocal,
    Spread,
    Vouch,
)
from app.domain.scenario import Scenario
from app.services.rank import current_snapshot
from benchmarks.animals import by_individual, marks, together
from benchmarks.chosen import chosen
from benchmarks.learned import learned
from benchmarks.measured import ANY, OTHER, Measured, Questions
from benchmarks.pages import Page, table
from benchmarks.stored import Stored

NAMED = (COSINE, CONTEST, REVIEW)
STAGES = (
    Profile("cosine"),
    Profile("centre", (Centre(),)),
    Profile("occasion", (Occasion(),)),
    Profile("centre + occasion", (Centre(), Occasion())),
    Profile("vouch", (Vouch(),)),
    Profile("expand", (Expand(),)),
    Profile("augment, crowding 0", (Augment(crowding=0.0),)),
    Profile("augment", (Augment(),)),
    Profile("reciprocal", (Reciprocal(),)),
    Profile("fold", (Fold(),)),
    Profile("spread", (Spread(),)),
    Profile("augment + vouch", (Augment(), Vouch())),
    Profile("augment + reciprocal", (Augment(), Reciprocal())),
    Profile("augment + expand", (Augment(), Expand())),
    Profile("centre + augment + expand", (Centre(), Augment(), Expand())),
    Profile("augment + expand + occasion", (Augment(), Expand(), Occasion())),
    Profile("contest, crowding 0", (Centre(), Augment(crowding=0.0), Expand(), Occasion())),
    Profile("centre + augment + expand + occasion (`contest`)", CONTEST.stages),
    Profile("fold + spread", (Fold(), Spread())),
    Profile("centre + fold + spread", (Centre(), Fold(), Spread())),
    Profile("centre + occasion (0.05) + fold + spread (`review`)", REVIEW.without(Bridge).stages),
    Profile("vouch + fold + spread", (Vouch(), Fold(), Spread())),
    Profile("expand + fold + spread", (Expand(), Fold(), Spread())),
    Profile("augment + fold + spread", (Augment(), Fold(), Spread())),
)
KINDS = (("map20", ANY), ("top20", ANY), ("map20", OTHER), ("top20", OTHER))
# A list that shows each encounter once reaches most of a gallery with fewer: there it says little of the ranking.
LARGE = 100
# Rankings of animals and local features are held against the first scenarios alone: those of top views.
FEW = 3
# The tables of each part.
PARTS = {
    "stages": ("stages", "large", "map20", "top20", "other map20", "other top20"),
    "bridges": ("bridges", "thresholds"),
    "chosen": ("chosen",),
    "individuals": ("individuals",),
    "learned": ("learned",),
    "together": ("together",),
    "marks": ("marks",),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("scenarios", type=Path)
    arguments.add_argument("--only", nargs="*", default=[], help="scenarios by id; all by default")
    arguments.add_argument(
        "--parts", nargs="*", default=list(PARTS), choices=list(PARTS), help="tables; all by default"
    )
    arguments.add_argument("--most", type=int, default=200, help="queries of a scenario that settings are chosen on")
    arguments.add_argument("--cache", type=Path, help="folder for what was measured")
    arguments.add_argument("--write", type=Path, help="a document with marks for the tables")
    given = arguments.parse_args()
    page = Page(given.write, "benchmarks/ranking.py")
    page.expect(name for part in given.parts for name in PARTS[part])
    services = bootstrap(read_settings(data=given.data))
    services.reindex.catch_up()
    pack = CsvScenarios().read(given.scenarios)
    scenarios = [one for one in pack.scenarios if not given.only or one.scenario_id in given.only]
    match = services.match
    current = current_snapshot(match.index, match.embedder)
    snapshot = FaissFrozen().snapshot(Frozen.of(current, current.gallery.annotation))
    names = {query.image_id for s in scenarios for query in s.queries} | {n for s in scenarios for n in s.gallery}
    stored = Stored(snapshot, match.embedder.ensemble, match.catalogue.annotation_ids(names))
    made = f"{stored.ensemble.name} {stored.ensemble.version}, {len(snapshot.gallery)} annotations"
    page = replace(page, made=f"{made}; {page.made}")
    print(made, flush=True)
    asked = Questions(stored, pack, scenarios, given.cache)
    across = replace(asked, scenarios=[one for one in scenarios if _across(stored, one)])
    if "stages" in given.parts:
        stages(page, asked)
    if "bridges" in given.parts:
        bridges(page, across)
    if "chosen" in given.parts:
        some, others = (
            replace(one, scenarios=[_drawn(scenario, given.most) for scenario in one.scenarios])
            for one in (asked, across)
        )
        page.put("chosen", chosen(some, others))
    if "individuals" in given.parts:
        page.put("individuals", by_individual(stored, scenarios[:FEW]))
    if "learned" in given.parts:
        page.put("learned", learned(stored, scenarios[:FEW]))
    if "together" in given.parts:
        page.put("together", together(stored, scenarios))
    if "marks" in given.parts:
        page.put("marks", marks(stored, scenarios[:FEW], match))


def stages(page: Page, asked: Questions) -> None:
    """Every stage alone and together: pooled, in large galleries alone, and by scenario under both truths."""
    found = {profile.name: asked(profile) for profile in STAGES}
    sizes = [_encounters(asked.stored, scenario) for scenario in asked.scenarios]
    large = np.flatnonzero(np.array(sizes) >= LARGE)
    titles = ("stages", "mAP@20", "in 20", "other: mAP@20", "other: in 20", "ms a query")
    page.put("stages", table(titles, [(name, *_pooled(one), f"{one.cost:.1f}") for name, one in found.items()]))
    rows = [(name, *_pooled(one, large)) for name, one in found.items()]
    page.put("large", table(titles[:-1], rows))
    numbers = [scenario.scenario_id.removeprefix("scenario") for scenario in asked.scenarios]
    for (figure, truth), title in zip(KINDS, titles[1:], strict=False):
        rows = []
        for name, one in found.items():
            means = [one.mean(figure, truth, one.scenario == number) for number in range(len(numbers))]
            rows.append((name, *means, one.mean(figure, truth)))
        if figure == "top20":
            rows.append(("encounters in the gallery", *sizes, ""))
        name = f"{'other ' * truth}{figure}"
        page.put(name, table((title, *numbers, "pooled"), rows))


def _pooled(found: Measured, scenarios: Sequence[int] | np.ndarray | None = None) -> list[float]:
    rows = None if scenarios is None else np.isin(found.scenario, scenarios)
    return [found.mean(figure, truth, rows) for figure, truth in KINDS]


def bridges(page: Page, across: Questions) -> None:
    """Scenarios that ask for another view, before and after bridging, with each threshold."""
    kinds = ("scenario", "none", "in the scenario's gallery", "catalogue, other encounters", "catalogue")
    bridged, rows = Profile("", (Bridge(),)), []
    for number, scenario in enumerate(across.scenarios):
        found = [across(COSINE), across(bridged), across(bridged, "other"), across(bridged, "any")]
        for figure, title in (("map20", "mAP@20"), ("top20", "in 20")):
            means = [one.mean(figure, ANY, one.scenario == number) for one in found]
            rows.append((f"{scenario.scenario_id}, {title}", *means))
    page.put("bridges", table(kinds, rows))
    titles = [f"{one.scenario_id.removeprefix('scenario')}, {kept}" for one in across.scenarios for kept in kinds[3:]]
    rows = []
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        profile = Profile("", (Bridge(threshold=threshold),))
        found = [across(profile, kept) for kept in ("other", "any")]
        means = [one.mean("map20", ANY, one.scenario == n) for n in range(len(across.scenarios)) for one in found]
        rows.append((str(threshold), *means))
    page.put("thresholds", table(("mAP@20 by threshold", *titles), rows))


def _across(stored: Stored, scenario: Scenario) -> bool:
    """Whether no photograph of the gallery has the view of a query."""
    columns = stored.snapshot.gallery
    sides = [
        columns.viewpoint[columns.rows_of(np.array([stored.ids[name] for name in names]))]
        for names in ([query.image_id for query in scenario.queries], scenario.gallery)
    ]
    return not np.isin(*sides).any()


def _encounters(stored: Stored, scenario: Scenario) -> int:
    columns = stored.snapshot.gallery
    rows = columns.rows_of(np.array([stored.ids[name] for name in scenario.gallery]))
    return len(np.unique(np.stack([columns.individual[rows], columns.encounter[rows]]), axis=1).T)


def _drawn(scenario: Scenario, most: int) -> Scenario:
    """A scenario with at most so many of its queries, always the same."""
    order = np.random.default_rng(1).permutation(len(scenario.queries))[:most]
    return replace(scenario, queries=tuple(scenario.queries[n] for n in np.sort(order)))


if __name__ == "__main__":
    main()
