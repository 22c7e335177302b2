"""How DBOS's record of a workflow tells where a job stands: its status, and the notes that we keep on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dbos import WorkflowStatus

from app.domain.jobs import JSON, Job, JobKind, JobState, Step

HALT, WAIT, TRIES = "halt", "wait", "tries"
"""Names of notes: why a job was last taken out of the queue, what it waits for, how often its step was begun."""

_ACTIVE = ["ENQUEUED", "DELAYED", "PENDING"]
_STATUSES: Mapping[JobState, Sequence[str]] = {
    JobState.WAITING: _ACTIVE,
    JobState.RUNNING: ["PENDING"],
    JobState.WAITING_DISK: ["PENDING"],
    JobState.PAUSED: ["CANCELLED"],
    JobState.CANCELLED: ["CANCELLED"],
    JobState.DONE: ["SUCCESS"],
    JobState.FAILED: ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
}


def statuses(states: Sequence[JobState]) -> list[str] | None:
    """The statuses that jobs in these states can have; None for all."""
    return sorted({status for state in states for status in _STATUSES[state]}) or None


def arguments_of(found: WorkflowStatus) -> dict[str, JSON]:
    """What the job was told."""
    given: Any = found.input
    return dict(given["args"][0]) if given and given["args"] else {}


def job_of(found: WorkflowStatus, *, attended: bool) -> Job:
    """The job that a workflow is; ``attended`` says whether any process runs jobs now."""
    notes: Mapping[str, Any] = found.attributes or {}
    state = _state(found.status, notes)
    idle = state in {JobState.WAITING, JobState.RUNNING} and not attended
    return Job(
        job_id=found.workflow_id,
        kind=JobKind(found.name),
        state=JobState.WAITING if idle else state,
        done=notes.get("done", 0),
        total=notes.get("total", 0),
        started=_moment(found.created_at),
        updated=_moment(found.updated_at),
        arguments=arguments_of(found),
        reason="no process runs jobs now" if idle else notes.get("reason"),
        result=found.output if state is JobState.DONE else None,
        rate=_rate(notes),
    )


def begun(notes: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Notes of a job that begins or goes on at ``now``, in seconds: the base of its rate."""
    return {"since": now, "at": now, "from": notes.get("done", 0), TRIES: notes.get(TRIES, 0) + 1, **untroubled()}


def stepped(step: Step, now: float) -> dict[str, Any]:
    """Notes after a step that ended at ``now``."""
    return {"done": step.done, "total": step.total, "at": now, TRIES: 0, **untroubled()}


def troubled(wait: str, reason: str) -> dict[str, Any]:
    """Notes of a job that cannot go on now."""
    return {WAIT: wait, "reason": reason}


def untroubled() -> dict[str, Any]:
    """Notes of a job that goes on."""
    return {WAIT: None, "reason": None}


def _state(status: str, notes: Mapping[str, Any]) -> JobState:
    match status:
        case "SUCCESS":
            return JobState.DONE
        case "CANCELLED":
            return JobState.PAUSED if notes.get(HALT) == JobState.PAUSED else JobState.CANCELLED
        case "ENQUEUED" | "DELAYED":
            return JobState.WAITING
        case "PENDING":
            return JobState(notes.get(WAIT) or JobState.RUNNING)
        case _:
            return JobState.FAILED


def _rate(notes: Mapping[str, Any]) -> float | None:
    seconds = notes.get("at", 0) - notes.get("since", 0)
    pieces = notes.get("done", 0) - notes.get("from", 0)
    return pieces / seconds if seconds > 0 and pieces > 0 else None


def _moment(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
