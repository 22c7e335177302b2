"""Predict: the rows of one scenario, ranked as a match is; part of an evaluation and of the contest mode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from app.domain import ranking
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32
from app.domain.errors import BadScenario
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Scope
from app.domain.ports import Snapshot
from app.domain.profiles import Profile
from app.domain.scenario import MAX_ROWS, Prediction, Query, Scenario, check_predictions
from app.services.rank import rank


def predict(
    scenario: Scenario, ids: Mapping[str, int], snapshot: Snapshot, ensemble: Ensemble, profile: Profile
) -> list[Prediction]:
    """At most 20 checked rows for each query, none from its own photograph, in the order of the scenario's queries.

    ``ids`` gives the annotation of each image. Raises BadScenario when the snapshot lacks one, or when a query has
    nothing that it could be compared with.
    """
    names = {ids[name]: name for name in scenario.gallery}
    chosen = Scope(only=frozenset(names)).select(snapshot.gallery)
    if chosen.size != len(names):
        raise _behind(scenario)
    rows: dict[str, list[Prediction]] = {}
    for viewpoint, queries in _by_viewpoint(scenario, ids, snapshot.gallery).items():
        asked = np.array([ids[query.image_id] for query in queries], np.int64)
        spaces = [space for space in ensemble.spaces if viewpoint in space.viewpoints]
        vectors = {space.name: snapshot.vectors(space.name, asked) for space in spaces}
        own = snapshot.gallery.image[snapshot.gallery.rows_of(asked)]
        found = rank(snapshot, ensemble, viewpoint, vectors, chosen.mask, MAX_ROWS, profile, own)
        for row, query in enumerate(queries):
            rows[query.query_id] = list(_rows(query, found.annotations[row], found.cosines[row], names))
    ordered = [row for query in scenario.queries for row in rows[query.query_id]]
    check_predictions(scenario, ordered)
    return ordered


def _by_viewpoint(scenario: Scenario, ids: Mapping[str, int], gallery: Gallery) -> dict[Viewpoint, list[Query]]:
    rows = gallery.rows_of(np.array([ids[query.image_id] for query in scenario.queries], np.int64))
    if (rows < 0).any():
        raise _behind(scenario)
    grouped: dict[Viewpoint, list[Query]] = defaultdict(list)
    for query, row in zip(scenario.queries, rows, strict=True):
        grouped[VIEWPOINTS[gallery.viewpoint[row]]].append(query)
    return grouped


def _behind(scenario: Scenario) -> BadScenario:
    return BadScenario(f"{scenario.scenario_id}: the index is older than the catalogue; run reindex")


def _rows(query: Query, annotations: Int64, likeness: Float32, names: Mapping[int, str]) -> Iterator[Prediction]:
    kept = annotations >= 0
    for annotation, score in zip(annotations[kept].tolist(), ranking.score_of(likeness[kept]).tolist(), strict=True):
        yield Prediction(query.query_id, names[annotation], score)
