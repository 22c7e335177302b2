"""Predict: the rows of one scenario, ranked as a match is; part of an evaluation and of the contest mode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from app.domain import ranking
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, Space
from app.domain.errors import BadScenario
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Scope
from app.domain.ports import Snapshot
from app.domain.profiles import Profile
from app.domain.scenario import MAX_ROWS, Prediction, Query, Scenario, check_predictions
from app.services.rank import Questions, rank


def predict(
    scenario: Scenario,
    ids: Mapping[str, int],
    snapshot: Snapshot,
    ensemble: Ensemble,
    profile: Profile,
    *,
    fill: bool = False,
) -> list[Prediction]:
    """At most 20 checked rows for each query, none from its own photograph, in the order of the scenario's queries.

    ``ids`` gives the annotation of each image. A query that has no vector, or nothing that it could be compared with,
    has no row; with ``fill`` it has the first of the gallery, with the lowest score, where there are any. Raises
    BadScenario when the snapshot lacks an image.
    """
    names = {ids[name]: name for name in scenario.gallery}
    chosen = Scope(only=frozenset(names)).select(snapshot.gallery)
    if chosen.size != len(names):
        raise _behind(scenario)
    rows: dict[str, list[Prediction]] = {}
    for viewpoint, grouped in _by_viewpoint(scenario, ids, snapshot.gallery).items():
        spaces = [space for space in ensemble.spaces if viewpoint in space.viewpoints]
        queries = _embedded(grouped, spaces, ids, snapshot)
        if not queries or not spaces:
            continue
        asked = np.array([ids[query.image_id] for query in queries], np.int64)
        vectors = {space.name: snapshot.vectors(space.name, asked) for space in spaces}
        at = snapshot.gallery.rows_of(asked)
        questions = Questions(viewpoint, vectors, snapshot.gallery.image[at], day=snapshot.gallery.day[at])
        found = rank(snapshot, ensemble, questions, chosen.mask, MAX_ROWS, profile)
        for row, query in enumerate(queries):
            rows[query.query_id] = list(_rows(query, found.annotations[row], found.cosines[row], names))
    ordered = []
    for query in scenario.queries:
        ordered += rows.get(query.query_id) or (_filled(query, scenario) if fill else [])
    check_predictions(scenario, ordered, complete=False)
    return ordered


def _embedded(
    queries: Sequence[Query], spaces: Sequence[Space], ids: Mapping[str, int], snapshot: Snapshot
) -> list[Query]:
    """Those that have a vector in every space that they are asked in."""
    at = snapshot.gallery.rows_of(np.array([ids[query.image_id] for query in queries], np.int64))
    held = np.all([snapshot.held(space.name)[at] for space in spaces], axis=0) if spaces else np.ones(len(at), np.bool_)
    return [query for query, there in zip(queries, held.tolist(), strict=True) if there]


def _filled(query: Query, scenario: Scenario) -> list[Prediction]:
    """What stands for an answer where there is none: a submission must not lack a query."""
    others = [name for name in scenario.gallery if name != query.image_id]
    return [Prediction(query.query_id, name, 0.0) for name in others[:MAX_ROWS]]


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
