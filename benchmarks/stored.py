"""Scenarios asked of the stored vectors of one generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from app.domain import ranking
from app.domain.ensemble import Ensemble
from app.domain.partition import VIEWPOINTS, Mask
from app.domain.ports import Snapshot
from app.domain.profiles import Profile
from app.domain.scenario import MAX_ROWS, Prediction, Scenario
from app.services.rank import Questions, listed


class Stored:
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
        columns = self.snapshot.gallery
        questions = Questions(viewpoint, vectors, columns.image[rows], through, columns.day[rows])
        answers = listed(self.snapshot, self.ensemble, questions, mask, MAX_ROWS, profile)
        for place, answer in zip(places.tolist(), answers, strict=True):
            best = answer.first(MAX_ROWS)
            for one, score in zip(best.annotations.tolist(), ranking.score_of(best.likeness).tolist(), strict=True):
                yield Prediction(scenario.queries[place].query_id, self._names[one], score)
