"""Scores of vectors on the validation scenarios, with the product's own measure."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.domain.ensemble import Float32
from app.domain.errors import InvalidInput
from app.domain.outcomes import Outcome, Side, elsewhere, figures, outcomes, right
from app.domain.scenario import MAX_ROWS, Prediction, Query, Scenario, Truth, by_query

POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class Pack:
    """Scenarios with their two truths: any match, and matches from another encounter alone."""

    scenarios: tuple[Scenario, ...]
    truth: Truth
    other_encounter: Truth

    @property
    def image_ids(self) -> frozenset[str]:
        """Every photograph that a scenario asks about or searches."""
        asked = {query.image_id for one in self.scenarios for query in one.queries}
        return frozenset(asked.union(*(one.gallery for one in self.scenarios)))


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the queries with a match: mAP@20, and the shares with a right answer first and among 20."""

    map20: float
    top1: float
    top20: float
    queries: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a validation table."""

    scenario: str
    any_match: Score
    other_encounter: Score


def read_pack(folder: Path) -> Pack:
    """Read a folder of scenarios in the contest's format."""
    scenarios = tuple(
        Scenario(
            row["scenario_id"],
            tuple(Query(line["query_id"], line["query_image_id"]) for line in _lines(folder / row["queries_path"])),
            tuple(line["database_image_id"] for line in _lines(folder / row["database_path"])),
        )
        for row in _lines(folder / "query_scenarios.csv")
    )
    return Pack(scenarios, _truth(folder / "ground_truth.csv"), _truth(folder / "ground_truth_other_encounter.csv"))


def table(pack: Pack, vectors: Float32, row_of: Mapping[str, int]) -> list[Row]:
    """One line a scenario and a pooled one, for unit vectors (n, d) whose rows ``row_of`` names by image id."""
    found = [
        outcomes(one, by_query(predict(one, vectors, row_of)), pack.truth, pack.other_encounter)
        for one in pack.scenarios
    ]
    pooled = [outcome for part in found for outcome in part]
    names = [*(one.scenario_id for one in pack.scenarios), POOLED]
    return [
        Row(name, _score(part, right), _score(part, elsewhere))
        for name, part in zip(names, [*found, pooled], strict=True)
    ]


def predict(scenario: Scenario, vectors: Float32, row_of: Mapping[str, int]) -> list[Prediction]:
    """The best 20 of the gallery for every query, by inner product; a query never finds its own photograph.

    Raises InvalidInput when ``row_of`` lacks a photograph of the scenario.
    """
    try:
        gallery = np.array([row_of[image_id] for image_id in scenario.gallery], dtype=np.int64)
        asked = np.array([row_of[query.image_id] for query in scenario.queries], dtype=np.int64)
    except KeyError as error:
        raise InvalidInput(f"{scenario.scenario_id} names {error}, which the catalogue does not hold") from error
    cosines = vectors[asked] @ vectors[gallery].T
    cosines[asked[:, None] == gallery[None, :]] = -np.inf
    # A photograph that no space serves has a vector of zeros: it finds nothing and is not found.
    served = np.asarray(vectors.any(axis=1))
    cosines[~(served[asked][:, None] & served[gallery][None, :])] = -np.inf
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :MAX_ROWS]
    return [
        Prediction(query.query_id, scenario.gallery[place], (1.0 + float(cosines[number, place])) / 2.0)
        for number, query in enumerate(scenario.queries)
        for place in best[number]
        if np.isfinite(cosines[number, place])
    ]


def markdown(rows: Sequence[Row]) -> str:
    """A table of both truths: mAP@20, and the share of queries with a right answer first and among 20."""
    head = (
        "| scenario | queries | mAP@20 | top-1 | top-20 | other encounter: queries | mAP@20 | top-1 | top-20 |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {row.scenario} | {_cells(row.any_match)} | {_cells(row.other_encounter)} |\n" for row in rows
    )


def write_scores(folder: Path, rows: Sequence[Row]) -> None:
    """Keep the last table of a run in its ``validation.md``; nothing where an epoch was not scored."""
    if rows:
        (folder / "validation.md").write_text(markdown(rows), encoding="utf-8")


def _score(found: Sequence[Outcome], side: Side) -> Score:
    """A score of zeros where no query has a match: a table has a number in each cell."""
    rows = [figures(answered) for outcome in found if (answered := side(outcome))]
    means = np.mean(rows, axis=0).tolist() if rows else [0.0] * 2
    return Score(means[0], means[1], means[-1], len(rows))


def _cells(one: Score) -> str:
    return f"{one.queries} | {one.map20:.4f} | {one.top1:.3f} | {one.top20:.3f}"


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}") from error


def _truth(path: Path) -> Truth:
    matches: dict[str, set[str]] = defaultdict(set)
    for line in _lines(path):
        matches[line["query_id"]].add(line["database_image_id"])
    return {query: frozenset(images) for query, images in matches.items()}
