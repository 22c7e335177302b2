"""Evaluate: scenarios over stored vectors, ranked as a match is, scored as the contest scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.comparison import Difference, differences
from app.domain.errors import BadScenario, Conflict
from app.domain.evaluation import Evaluation, ScenarioScore, scenario_scores
from app.domain.outcomes import outcomes, right
from app.domain.ports_evaluate import PackSources
from app.domain.profiles import profile_named
from app.domain.scenario import ScenarioPack, by_query, check_pack, check_predictions
from app.domain.scenario_kinds import Built, Kind, Shot, build
from app.services.evaluate_book import Book, Standing
from app.services.evaluate_work import JOB, PACK, PREDICTIONS, REPORT, SCORES, EvaluationWork, Wanted, pack_sha256

DOCUMENTS = (PREDICTIONS, SCORES, REPORT)
_REQUEST = "request.json"
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The use case: an evaluation is recorded, worked off by ``work``, and looked up afterwards."""

    work: EvaluationWork
    sources: PackSources

    def begin(self, pack: ScenarioPack, wanted: Wanted) -> str:
        """Record an evaluation and give its id.

        Raises BadScenario for a broken pack, an image that the catalogue does not hold or a run of other scenarios to
        compare with, UnknownEvaluation for an unknown one, Conflict for one that has not ended, InvalidInput for an
        unknown profile.
        """
        check_pack(pack)
        self.work.ids(pack)
        profile_named(wanted.profile)
        if wanted.against is not None:
            _check_same(pack, self.work.evaluation(wanted.against), wanted.against)

        def write(folder: Path) -> None:
            self.work.packs.write(folder / PACK, pack)
            (folder / _REQUEST).write_bytes(replace(wanted, scenarios=len(pack.scenarios)).to_json())

        return self.work.runs.create(write)

    def run(self, run_id: str, progress: Callable[[int, int], None] | None = None) -> Evaluation:
        """Work off an evaluation now, step by step."""
        done, finished = 0, False
        while not finished:
            step = self.work.step({"evaluation_id": run_id}, done)
            done, finished = step.done, step.finished
            if progress:
                progress(step.done, step.total)
        return self.work.evaluation(run_id)

    def pack(self, folder: Path) -> ScenarioPack:
        """The checked pack in a folder; raises BadScenario."""
        return self.work.packs.read(folder)

    def write_pack(self, folder: Path, pack: ScenarioPack) -> None:
        """Write a pack in the contest's layout; raises Unavailable, StorageFull."""
        self.work.packs.write(folder, pack)

    def pack_of(self, run_id: str) -> ScenarioPack:
        """The pack of an earlier evaluation; raises UnknownEvaluation."""
        return self.work.pack(run_id)

    def built(self, kinds: Sequence[Kind] = tuple(Kind), *, seed: int = 0) -> Built:
        """Scenarios from the catalogue itself that the ensemble in force can answer.

        Raises BadScenario when the catalogue can fill none of these kinds.
        """
        ensemble = self.work.embedder.ensemble
        return build(
            list(self._shots()), kinds, seed=seed, comparable=lambda one, other: bool(ensemble.spaces_for(one, other))
        )

    def document(self, run_id: str, name: str) -> bytes:
        """One of the documents; raises UnknownEvaluation, and Conflict while there is none."""
        content = self.work.runs.get(run_id, name)
        if content is None or not (self.work.runs.folder(run_id) / REPORT).exists():
            raise Conflict(f"the evaluation {run_id} has not ended")
        return content

    def adopt(self, folder: Path) -> str:
        """Take over a run of another data folder, such as one of an ensemble on trial, and give its id.

        Raises UnknownEvaluation for a folder that is none, Conflict for a run that has not ended, BadScenario.
        """
        run_id = self.work.runs.adopt(folder)
        self.work.evaluation(run_id)
        return run_id

    def accept(self, run_id: str, job_id: str) -> None:
        """Note the job that works an evaluation off."""
        self.work.runs.put(run_id, JOB, json.dumps({"job_id": job_id}).encode())

    def standings(self, limit: int | None = None, offset: int = 0) -> list[Standing]:
        """Evaluations, newest first; one that cannot be read is among them and says so."""
        return Book(self.work).standings(limit, offset)

    def standing(self, run_id: str) -> Standing:
        """Where an evaluation stands; raises UnknownEvaluation."""
        return Book(self.work).standing(run_id)

    def predictions(self, scenarios: Path, predictions: Path) -> list[ScenarioScore]:
        """Score a prediction file of anybody's: each scenario that it answers, then those pooled.

        Raises BadScenario for every fault of the file; a query without rows is one, and never skipped quietly.
        """
        pack, rows = self.work.packs.read(scenarios), self.work.packs.read_predictions(predictions)
        gathered = by_query(rows)
        if stray := gathered.keys() - {query.query_id for s in pack.scenarios for query in s.queries}:
            first = gathered[min(stray)][0]
            raise BadScenario(
                f"{predictions.name}, line {first.line}: unknown query {first.query_id!r}: "
                "no scenario of the pack holds it"
            )
        answered = [s for s in pack.scenarios if any(query.query_id in gathered for query in s.queries)]
        if not answered:
            raise BadScenario("the prediction file holds no rows")
        for scenario in answered:
            own = [row for query in scenario.queries for row in gathered.get(query.query_id, ())]
            try:
                check_predictions(scenario, own)
            except BadScenario as error:
                raise BadScenario(f"{predictions.name}, {error}") from error
        elsewhere = pack.other_encounter or {}
        found = [one for s in answered for one in outcomes(s, gathered, pack.truth, elsewhere)]
        return scenario_scores({s.scenario_id: len(s.gallery) for s in answered}, found, {})

    def difference(self, run_id: str, against: str) -> list[Difference]:
        """How an evaluation differs from another on the queries of both, by scenario, then pooled."""
        mine, theirs = self.work.evaluation(run_id), self.work.evaluation(against)
        return differences(mine.outcomes, theirs.outcomes, right, mine.groups)

    def _shots(self) -> Iterator[Shot]:
        """Every annotation of the catalogue as a scenario sees it."""
        catalogue = self.work.catalogue
        ids = catalogue.gallery().annotation.tolist()
        for start in range(0, len(ids), _BATCH):
            for one in catalogue.annotations(ids[start : start + _BATCH]).values():
                taken = one.captured.taken.isoformat() if one.captured.taken else ""
                yield Shot(one.source_id, one.individual, one.encounter, one.viewpoint, one.captured.year, taken)


def _check_same(pack: ScenarioPack, against: Evaluation, run_id: str) -> None:
    """Raise BadScenario where two runs would not be asked the same: names of queries say nothing of what they ask."""
    if (own := pack_sha256(pack)) != against.pins.pack_sha256:
        raise BadScenario(
            f"the evaluation {run_id} had other scenarios ({against.pins.pack_sha256[:12]}, these are {own[:12]}), so "
            f"nothing can be compared; the pack that it had lies in its folder, evaluations/{run_id}/{PACK}"
        )
