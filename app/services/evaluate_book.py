"""The book of evaluations: where each stands and what it found, told from small notes; no pack is read for it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from app.domain.comparison import differences
from app.domain.errors import BadScenario, LosingEnsemble, StorageFull, Unavailable, UnknownEvaluation
from app.domain.evaluation import Digest, Evaluation, Pins, ScenarioScore, readable
from app.domain.outcomes import right
from app.domain.ports import Catalogue, Embedder
from app.services.evaluate_work import JOB, SUMMARY, EvaluationWork, Wanted


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an evaluation stands: ``done`` of ``total`` steps, ``begun`` at a Unix time.

    ``pins`` and ``scores`` are there at its end; ``fault`` says why a run cannot be read, empty when it can.
    """

    evaluation_id: str
    wanted: Wanted
    done: int
    total: int
    begun: float
    job_id: str | None = None
    pins: Pins | None = None
    scores: tuple[ScenarioScore, ...] = ()
    fault: str = ""

    def unreadable(self, fault: str) -> Standing:
        """The same run, of which nothing more can be told than why."""
        return Standing(self.evaluation_id, Wanted(), 0, 1, self.begun, fault=fault)


@dataclass(frozen=True, slots=True)
class Book:
    """What there is to tell of the runs of ``work``."""

    work: EvaluationWork

    def standings(self, limit: int | None = None, offset: int = 0) -> list[Standing]:
        """Evaluations, newest first; one that is odd is shown as such, and one that goes away meanwhile is left out."""
        found = []
        for run_id in self.work.runs.ids()[offset : None if limit is None else offset + limit]:
            with suppress(UnknownEvaluation):
                found.append(self.standing(run_id))
        return found

    def standing(self, run_id: str) -> Standing:
        """Where an evaluation stands; raises UnknownEvaluation, Unavailable."""
        begun = self.work.runs.begun(run_id)
        try:
            return self._standing(run_id, begun)
        except BadScenario as error:
            return Standing(run_id, Wanted(), 0, 1, begun).unreadable(str(error))

    def _standing(self, run_id: str, begun: float) -> Standing:
        wanted = self.work.wanted(run_id)
        total = (wanted.scenarios or len(self.work.pack(run_id).scenarios)) + 2
        done = self.work.done(run_id, total)
        with readable(f"the job of the evaluation {run_id}"):
            job_id = json.loads(self.work.runs.get(run_id, JOB) or b"{}").get("job_id")
        digest = self.digest(run_id) if done == total else None
        pins, scores = (digest.pins, digest.scores) if digest else (None, ())
        return Standing(run_id, wanted, done, total, begun, job_id and str(job_id), pins, scores)

    def digest(self, run_id: str) -> Digest:
        """Pins and scores of an evaluation that has ended; noted when there is no note of them yet.

        Raises BadScenario, UnknownEvaluation, Conflict.
        """
        if text := self.work.runs.get(run_id, SUMMARY):
            with suppress(BadScenario):
                return Digest.from_json(text)
        digest = self.work.evaluation(run_id).digest()
        with suppress(StorageFull, Unavailable):
            self.work.runs.put(run_id, SUMMARY, digest.to_json())
        return digest


@dataclass(frozen=True, slots=True)
class Gate:
    """Stands before a switch of ensembles."""

    book: Book

    def __call__(self) -> None:
        """Raise LosingEnsemble when stored evaluations say that the switch that is about to be made would lose.

        The ensemble whose vectors are served is compared with the one in force, by their newest evaluations of the
        same pack with the same profile and settings; without such a pair nothing is known and nothing refused.
        """
        catalogue, embedder = self.book.work.catalogue, self.book.work.embedder
        held, wanted = _served(catalogue), _in_force(embedder)
        if not held or held == wanted:
            return
        # Of each kind the newest of both ensembles, as the runs come newest first; notes are enough to find them.
        newest: dict[str, dict[bool, str]] = {}
        for standing in self.book.standings():
            if standing.pins and dict(standing.pins.spaces) in (held, wanted):
                pair = newest.setdefault(_kind(standing.pins), {})
                pair.setdefault(dict(standing.pins.spaces) == wanted, standing.evaluation_id)
        for pair in newest.values():
            if len(pair) == 2:
                _refuse_loser(self.book.work.evaluation(pair[True]), self.book.work.evaluation(pair[False]))


def _served(catalogue: Catalogue) -> dict[str, str]:
    return dict(catalogue.fingerprints())


def _in_force(embedder: Embedder) -> dict[str, str]:
    return {space.name: space.fingerprint for space in embedder.active_spaces()}


def _kind(pins: Pins) -> str:
    return json.dumps([pins.pack_sha256, pins.profile, pins.settings], sort_keys=True)


def _refuse_loser(new: Evaluation, old: Evaluation) -> None:
    pairs = differences(new.outcomes, old.outcomes, right, new.groups)
    if pairs and pairs[-1].loses:
        raise LosingEnsemble(
            f"{new.pins.ensemble!r} loses {-pairs[-1].mean:.4f} mAP@20 against {old.pins.ensemble!r} on the "
            f"{pairs[-1].queries} queries of a stored evaluation of both; `resight reindex --force` switches anyway"
        )
