"""Evaluate: scenarios over stored vectors, ranked as a match is, scored as the contest scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.domain.comparison import Difference, differences
from app.domain.errors import BadScenario, Conflict, LosingEnsemble
from app.domain.evaluation import Evaluation, ScenarioScore, scenario_scores
from app.domain.outcomes import outcomes, right
from app.domain.ports_evaluate import PackSources
from app.domain.profiles import profile_named
from app.domain.scenario import ScenarioPack, by_query, check_pack, check_predictions
from app.domain.scenario_kinds import Built, Kind, Shot, build
from app.services.evaluate_work import PACK, PREDICTIONS, REPORT, SCORES, EvaluationWork, Wanted

DOCUMENTS = (PREDICTIONS, SCORES, REPORT)
_JOB, _REQUEST = "job.json", "request.json"
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an evaluation stands: ``done`` of ``total`` steps, ``begun`` at a Unix time; ``evaluation`` at its end."""

    evaluation_id: str
    wanted: Wanted
    done: int
    total: int
    begun: float
    job_id: str | None
    evaluation: Evaluation | None


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The use case: an evaluation is recorded, worked off by ``work``, and looked up afterwards."""

    work: EvaluationWork
    sources: PackSources

    def begin(self, pack: ScenarioPack, wanted: Wanted) -> str:
        """Record an evaluation and give its id.

        Raises BadScenario for a broken pack or an image that the catalogue does not hold, UnknownEvaluation for an
        unknown run to compare with, Conflict for one that has not ended, InvalidInput for an unknown profile.
        """
        check_pack(pack)
        self.work.ids(pack)
        profile_named(wanted.profile)
        if wanted.against is not None:
            self.work.evaluation(wanted.against)

        def write(folder: Path) -> None:
            self.work.packs.write(folder / PACK, pack)
            (folder / _REQUEST).write_bytes(wanted.to_json())

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
        """Scenarios from the catalogue itself; raises BadScenario when it can fill none of these kinds."""
        return build(list(self._shots()), kinds, seed=seed)

    def document(self, run_id: str, name: str) -> bytes:
        """One of the documents; raises UnknownEvaluation, and Conflict while there is none."""
        content = self.work.runs.get(run_id, name)
        if content is None or self.work.runs.get(run_id, REPORT) is None:
            raise Conflict(f"the evaluation {run_id} has not ended")
        return content

    def accept(self, run_id: str, job_id: str) -> None:
        """Note the job that works an evaluation off."""
        self.work.runs.put(run_id, _JOB, json.dumps({"job_id": job_id}).encode())

    def standings(self) -> list[Standing]:
        """Every evaluation, newest first."""
        return [self.standing(run_id) for run_id in self.work.runs.ids()]

    def standing(self, run_id: str) -> Standing:
        """Where an evaluation stands; raises UnknownEvaluation."""
        total = len(self.work.pack(run_id).scenarios) + 2
        done = self.work.done(run_id, total)
        job = json.loads(self.work.runs.get(run_id, _JOB) or b"{}").get("job_id")
        evaluation = self.work.evaluation(run_id) if done == total else None
        begun = self.work.runs.begun(run_id)
        return Standing(run_id, self.work.wanted(run_id), done, total, begun, job, evaluation)

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

    def refuse_loser(self) -> None:
        """Raise LosingEnsemble when stored evaluations of one pack say that a switch of ensembles would lose.

        The ensemble whose vectors are served is compared with the one in force, by their newest evaluations of the
        same pack with the same profile; without such a pair nothing is known and nothing refused.
        """
        held = dict(self.work.catalogue.fingerprints())
        wanted = {space.name: space.fingerprint for space in self.work.embedder.active_spaces()}
        if not held or held == wanted:
            return
        ended = [one.evaluation for one in self.standings() if one.evaluation]
        newest: dict[tuple[str, str], Evaluation] = {}
        for one in reversed(ended):
            if dict(one.pins.spaces) == wanted:
                newest[one.pins.pack_sha256, one.pins.profile] = one
        for old in ended:
            new = newest.pop((old.pins.pack_sha256, old.pins.profile), None) if dict(old.pins.spaces) == held else None
            if new and (pairs := differences(new.outcomes, old.outcomes, right, new.groups)) and pairs[-1].loses:
                raise LosingEnsemble(
                    f"{new.pins.ensemble!r} loses {-pairs[-1].mean:.4f} mAP@20 against {old.pins.ensemble!r} on the "
                    f"{pairs[-1].queries} queries of a stored evaluation of both; --force switches all the same"
                )

    def _shots(self) -> Iterator[Shot]:
        """Every annotation of the catalogue as a scenario sees it."""
        catalogue = self.work.catalogue
        ids = catalogue.gallery().annotation.tolist()
        for start in range(0, len(ids), _BATCH):
            for one in catalogue.annotations(ids[start : start + _BATCH]).values():
                taken = one.captured.taken.isoformat() if one.captured.taken else ""
                yield Shot(one.source_id, one.individual, one.encounter, one.viewpoint, one.captured.year, taken)
