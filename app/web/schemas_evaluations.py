"""The shapes of evaluations: what may be asked for, and what is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import AfterValidator, Field, ValidationError

from app.domain.evaluation import ScenarioScore
from app.domain.jobs import Job, JobState
from app.domain.outcomes import Summary
from app.domain.profiles import CONTEST, profile_named
from app.services.evaluate_book import Standing
from app.web.forms import Form, Name
from app.web.schemas import Answer

EvaluationId = Annotated[str, Field(min_length=1, max_length=100, pattern="^[0-9a-z-]+$")]

_UNATTENDED = "no job works it off: `resight evaluate --resume` with its id goes on where it was"


def _profile(name: str) -> str:
    return profile_named(name).name


class Document(StrEnum):
    """What an evaluation leaves."""

    PREDICTIONS = "predictions.csv"
    SCORES = "scores.json"
    REPORT = "report.html"


class EvaluationForm(Form):
    """Where the scenarios come from (exactly one of the first four), and how they are ranked."""

    archive: UploadFile | None = Field(None, description="A ZIP with query_scenarios.csv, queries/ and databases/.")
    folder: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Instead: a folder under the service's import root, by name."
    )
    stored: EvaluationId | None = Field(None, description="Instead: the pack of an earlier evaluation, by its id.")
    scenarios: Literal["built"] | None = Field(None, description="Instead: scenarios built from the catalogue.")
    name: Name | None = Field(None, description="What it is called in lists.")
    profile: Annotated[str, AfterValidator(_profile)] = Field(CONTEST.name, description="How candidates are ordered.")
    against: EvaluationId | None = Field(None, description="An earlier evaluation to compare with, by its id.")


class IntervalAnswer(Answer):
    """A 95 % interval."""

    low: float
    high: float


class SummaryAnswer(Answer):
    """Means over the queries that have a match."""

    queries: int
    map20: float = Field(description="Mean average precision at 20, as the contest counts it.")
    top1: float = Field(description="Share of queries right at rank 1; top5: among the first 5.")
    top5: float
    top10: float
    top20: float
    intervals: dict[str, IntervalAnswer | None] = Field(description="Over animals; null for a single one.")


class ScoreAnswer(Answer):
    """One scenario, or all pooled; a score is null where the truth that it needs was not given."""

    scenario: str
    queries: int
    gallery: int
    score: SummaryAnswer | None
    other_encounter: SummaryAnswer | None = Field(description="Only matches from another encounter count.")


class PinsAnswer(Answer):
    """Everything that decides the figures: the same pins give the same files."""

    catalogue_version: int
    ensemble: str
    ensemble_version: str
    manifest_sha256: str
    spaces: dict[str, str]
    profile: str
    settings: dict[str, Any]
    pack_sha256: str
    release: str
    calibration: str = Field(description="What the probabilities in the report were fitted on; empty without any.")


class EvaluationAnswer(Answer):
    """Where an evaluation stands and, once it is done, what it found."""

    evaluation_id: str
    name: str
    state: JobState
    begun: datetime
    progress: float
    job: str | None = Field(description="Address of its job, to pause, resume or cancel it.")
    profile: str
    against: str | None
    unfilled: list[str] = Field(description="Kinds of scenarios that the catalogue cannot fill, with the reason.")
    reason: str | None = Field(description="Why it failed, or what it waits for.")
    pins: PinsAnswer | None
    scores: list[ScoreAnswer] | None
    documents: dict[str, str] = Field(description="Addresses of predictions.csv, scores.json and report.html.")


class EvaluationsAnswer(Answer):
    """A page of evaluations, newest first."""

    evaluations: list[EvaluationAnswer]
    next: str | None = Field(description="Address of the next page, if there is more.")


def evaluation_answer(standing: Standing, job: Job | None) -> EvaluationAnswer:
    """One evaluation; what is done is done, whatever became of its job, and what cannot be read has failed."""
    try:
        return _answer(standing, job)
    except ValidationError as error:
        fault = f"its files hold {error.error_count()} value(s) that are none of an evaluation"
        return _answer(standing.unreadable(fault), job)


def _answer(standing: Standing, job: Job | None) -> EvaluationAnswer:
    ended = standing.done == standing.total
    state = JobState.DONE if ended else job.state if job else JobState.WAITING
    reason = None if ended else job.reason if job else _UNATTENDED
    if standing.fault:
        state, reason = JobState.FAILED, standing.fault
    address, pins = f"/evaluations/{standing.evaluation_id}", standing.pins
    return EvaluationAnswer(
        evaluation_id=standing.evaluation_id,
        name=standing.wanted.name,
        state=state,
        begun=datetime.fromtimestamp(standing.begun, UTC),
        progress=standing.done / standing.total,
        job=f"/jobs/{job.job_id}" if job else None,
        profile=standing.wanted.profile,
        against=standing.wanted.against,
        unfilled=list(standing.wanted.unfilled),
        reason=reason,
        pins=PinsAnswer.model_validate(pins, from_attributes=True) if pins else None,
        scores=[_score(one) for one in standing.scores] or None,
        documents={one.value: f"{address}/{one.value}" for one in Document} if ended else {},
    )


def _score(one: ScenarioScore) -> ScoreAnswer:
    return ScoreAnswer(
        scenario=one.name,
        queries=one.queries,
        gallery=one.gallery,
        score=_summary(one.score),
        other_encounter=_summary(one.other_encounter),
    )


def _summary(one: Summary | None) -> SummaryAnswer | None:
    return None if one is None else SummaryAnswer.model_validate(one, from_attributes=True)
