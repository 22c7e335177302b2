"""What one profile finds for every query of scenarios, kept by query, so that animals can be told apart."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.domain.outcomes import FIGURES, Answered, figures, outcomes
from app.domain.partition import Int64, Mask
from app.domain.profiles import Profile
from app.domain.rerank import Float64
from app.domain.scenario import Scenario, ScenarioPack, by_query
from benchmarks.stored import Stored

ANY, OTHER = 0, 1


@dataclass(frozen=True, eq=False)
class Measured:
    """Columns of n queries: number of the scenario, animal, and ``values`` (n, 2 truths, FIGURES), NaN without a match.

    ``cost`` is in milliseconds of processor time a query.
    """

    scenario: Int64
    whale: Int64
    values: Float64
    cost: float

    def of(self, figure: str, truth: int) -> Float64:
        """One figure of each query under one truth."""
        return np.asarray(self.values[:, truth, FIGURES.index(figure)], np.float64)

    def mean(self, figure: str, truth: int, rows: Mask | None = None) -> float:
        """Its mean over the queries with a match; NaN where there is none."""
        column = self.of(figure, truth)
        column = column[~np.isnan(column) & (True if rows is None else rows)]
        return float(column.mean()) if len(column) else float("nan")


@dataclass(frozen=True, eq=False)
class Questions:
    """Scenarios asked of stored vectors; ``cache`` keeps what was measured, until the ranking's code is changed."""

    stored: Stored
    pack: ScenarioPack
    scenarios: Sequence[Scenario]
    cache: Path | None = None

    def __call__(self, profile: Profile, kept: str = "") -> Measured:
        """Ask every query in a profile; ``kept`` is where bridges may lie. What was asked before is not asked again."""
        if self.cache is None:
            return self._asked(profile, kept)
        stages = [(type(stage).__name__, asdict(stage)) for stage in profile.stages]
        asked = [[scenario.scenario_id, len(scenario.queries)] for scenario in self.scenarios]
        key = json.dumps([self.stored.ensemble.manifest_sha256, stages, kept, asked])
        path = self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            found = self._asked(profile, kept)
            part = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(part, **asdict(found))
            part.replace(path)
        with np.load(path) as columns:
            return Measured(columns["scenario"], columns["whale"], columns["values"], float(columns["cost"]))

    def _asked(self, profile: Profile, kept: str) -> Measured:
        columns, elsewhere = self.stored.snapshot.gallery, self.pack.other_encounter or {}
        number, asked, values, spent = [], [], [], 0.0
        for position, scenario in enumerate(self.scenarios):
            started = time.process_time()
            rows = list(self.stored.predictions(scenario, profile, kept))
            spent += time.process_time() - started
            for one in outcomes(scenario, by_query(rows), self.pack.truth, elsewhere):
                number.append(position)
                asked.append(self.stored.ids[one.image_id])
                values.append([_figures(one.right), _figures(one.elsewhere)])
        whales = columns.individual[columns.rows_of(np.array(asked, np.int64))]
        return Measured(np.array(number, np.int64), whales, np.array(values), 1e3 * spent / len(number))


def _figures(answered: Answered | None) -> tuple[float, ...]:
    return figures(answered) if answered else (float("nan"),) * len(FIGURES)
