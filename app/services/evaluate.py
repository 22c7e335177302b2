"""Evaluate: a scenario pack over stored vectors, ranked as a match is, scored as the contest scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.domain import measures, ranking
from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScenario
from app.domain.measures import Score
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Scope
from app.domain.ports import Catalogue, Embedder, Neighbours, ScenarioPacks, Snapshot, VectorIndex
from app.domain.profiles import CONTEST, Profile
from app.domain.scenario import (
    MAX_ROWS,
    Prediction,
    Query,
    Scenario,
    ScenarioPack,
    check_pack,
    check_predictions,
)
from app.services.rank import current_snapshot, rank


@dataclass(frozen=True, slots=True)
class ScenarioScore:
    """What one scenario, or all pooled, reached; a score is None when the truth that it needs was not given."""

    name: str
    queries: int
    gallery: int
    score: Score | None
    other_encounter: Score | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions of a whole pack, its scores and the versions that they were computed with."""

    predictions: tuple[Prediction, ...]
    scenarios: tuple[ScenarioScore, ...]
    pooled: ScenarioScore
    catalogue_version: int
    index_generation: int
    ensemble: str
    manifest_sha256: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The use case; nothing is embedded, every vector is one that the index stores."""

    catalogue: Catalogue
    embedder: Embedder
    index: VectorIndex
    packs: ScenarioPacks

    def folder(self, scenarios: Path, out: Path | None = None, profile: Profile = CONTEST) -> Evaluation:
        """Evaluate a pack on disk and, when ``out`` is given, write the predictions there in the contest's format."""
        evaluation = self(self.packs.read(scenarios), profile)
        if out:
            self.packs.write_predictions(out, evaluation.predictions)
        return evaluation

    def predictions(self, scenarios: Path, predictions: Path) -> list[ScenarioScore]:
        """Score a prediction file of anybody's: each scenario that it answers, then those pooled.

        Raises BadScenario for every fault of the file; a query without rows is one, and never skipped quietly.
        """
        pack, rows = self.packs.read(scenarios), self.packs.read_predictions(predictions)
        check_pack(pack)
        owner = {query.query_id: s for s in pack.scenarios for query in s.queries}
        if stray := {row.query_id for row in rows} - owner.keys():
            raise BadScenario(f"unknown query {min(stray)!r}: no scenario of the pack holds it")
        answered = [s for s in pack.scenarios if any(owner[row.query_id] is s for row in rows)]
        if not answered:
            raise BadScenario("the prediction file holds no rows")
        for scenario in answered:
            check_predictions(scenario, [row for row in rows if owner[row.query_id] is scenario])
        return [_scored(s.scenario_id, [s], rows, pack) for s in answered] + [_scored("pooled", answered, rows, pack)]

    def __call__(self, pack: ScenarioPack, profile: Profile = CONTEST) -> Evaluation:
        """Rank every scenario by a profile and score it.

        Raises BadScenario for a broken pack or an image that the catalogue does not hold, and Unavailable when the
        index or the ensemble is not there.
        """
        check_pack(pack)
        snapshot, ensemble = current_snapshot(self.index, self.embedder), self.embedder.ensemble
        ids = self._ids(pack)
        rows: list[Prediction] = []
        for scenario in pack.scenarios:
            found = list(self._predict(scenario, ids, snapshot, profile))
            check_predictions(scenario, found)
            rows += found
        return Evaluation(
            predictions=tuple(rows),
            scenarios=tuple(_scored(s.scenario_id, [s], rows, pack) for s in pack.scenarios),
            pooled=_scored("pooled", list(pack.scenarios), rows, pack),
            catalogue_version=snapshot.catalogue_version,
            index_generation=snapshot.generation,
            ensemble=ensemble.name,
            manifest_sha256=ensemble.manifest_sha256,
            profile=profile,
        )

    def _ids(self, pack: ScenarioPack) -> Mapping[str, int]:
        names = {query.image_id for scenario in pack.scenarios for query in scenario.queries}
        names |= {name for scenario in pack.scenarios for name in scenario.gallery}
        ids = self.catalogue.annotation_ids(names)
        if lacking := names - ids.keys():
            raise BadScenario(f"{len(lacking)} image(s) of the pack are not in the catalogue, such as {min(lacking)!r}")
        return ids

    def _predict(
        self, scenario: Scenario, ids: Mapping[str, int], snapshot: Snapshot, profile: Profile
    ) -> Iterator[Prediction]:
        gallery = snapshot.gallery
        names = {ids[name]: name for name in scenario.gallery}
        chosen = Scope(only=frozenset(names)).select(gallery)
        if chosen.size != len(names):
            raise BadScenario(f"{scenario.scenario_id}: the index is older than the catalogue; run reindex")
        for viewpoint, queries in _by_viewpoint(scenario, ids, gallery).items():
            asked = np.array([ids[query.image_id] for query in queries], np.int64)
            spaces = [space for space in self.embedder.ensemble.spaces if viewpoint in space.viewpoints]
            vectors = {space.name: snapshot.vectors(space.name, asked) for space in spaces}
            depth = MAX_ROWS + _most_of_one_image(gallery, asked)
            found = rank(snapshot, self.embedder.ensemble, viewpoint, vectors, chosen.mask, depth, profile)
            for row, query in enumerate(queries):
                yield from _rows(query, asked[row], _one(found, row), gallery, names)


def _by_viewpoint(scenario: Scenario, ids: Mapping[str, int], gallery: Gallery) -> dict[Viewpoint, list[Query]]:
    rows = gallery.rows_of(np.array([ids[query.image_id] for query in scenario.queries], np.int64))
    if (rows < 0).any():
        raise BadScenario(f"{scenario.scenario_id}: the index is older than the catalogue; run reindex")
    grouped: dict[Viewpoint, list[Query]] = defaultdict(list)
    for query, row in zip(scenario.queries, rows, strict=True):
        grouped[VIEWPOINTS[gallery.viewpoint[row]]].append(query)
    return grouped


def _most_of_one_image(gallery: Gallery, asked: Int64) -> int:
    """How many annotations one asked photograph has at most: so many answers may have to be passed over."""
    images = gallery.image[gallery.rows_of(asked)]
    return int(np.unique(gallery.image[np.isin(gallery.image, images)], return_counts=True)[1].max())


def _one(found: Neighbours, row: int) -> Neighbours:
    return Neighbours(found.annotations[row], found.cosines[row])


def _rows(
    query: Query, asked: int, found: Neighbours, gallery: Gallery, names: Mapping[int, str]
) -> Iterator[Prediction]:
    """At most 20 rows for one query, its own photograph left out."""
    own = gallery.image[gallery.rows_of(np.array([asked]))[0]]
    kept = (found.annotations >= 0) & (gallery.image[gallery.rows_of(found.annotations)] != own)
    scores = ranking.score_of(found.cosines[kept])
    for annotation, score in list(zip(found.annotations[kept].tolist(), scores.tolist(), strict=True))[:MAX_ROWS]:
        yield Prediction(query.query_id, names[annotation], score)


def _scored(name: str, scenarios: list[Scenario], rows: list[Prediction], pack: ScenarioPack) -> ScenarioScore:
    return ScenarioScore(
        name=name,
        queries=sum(len(scenario.queries) for scenario in scenarios),
        gallery=max(len(scenario.gallery) for scenario in scenarios),
        score=_known(measures.score(scenarios, rows, pack.truth)),
        other_encounter=_known(measures.score(scenarios, rows, pack.other_encounter or {})),
    )


def _known(score: Score) -> Score | None:
    """No query with a match in the truth is no score: 0 would be a measurement."""
    return score if score.queries else None
