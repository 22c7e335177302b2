"""The shapes of answers about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from app.domain.jobs import Job, JobKind, JobState
from app.web.schemas import Answer


class JobAnswer(Answer):
    """Where a job stands."""

    job_id: str
    kind: JobKind
    state: JobState
    done: int = Field(description="Pieces in a final state.")
    total: int = Field(description="All pieces, of the same kind; 0 while that is not known.")
    progress: Annotated[float, Field(ge=0, le=1, description="done / total.")]
    rate: float | None = Field(description="Pieces a second since the job last began or went on.")
    seconds_left: float | None
    started: datetime
    updated: datetime
    arguments: dict[str, Any]
    import_id: int | None = Field(description="The import that this job works off, at /imports/{import_id}.")
    reason: str | None = Field(description="Why it failed, or what it waits for.")
    result: dict[str, Any] | None


class JobsAnswer(Answer):
    """A page of jobs, newest first."""

    jobs: list[JobAnswer]
    next: str | None = Field(description="Address of the next page, null on the last one.")


def job_answer(job: Job) -> JobAnswer:
    """Where a job stands, as it is told."""
    import_id = job.arguments.get("import_id") if job.kind is JobKind.IMPORT else None
    return JobAnswer(
        job_id=job.job_id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        total=job.total,
        progress=job.progress,
        rate=job.rate,
        seconds_left=job.seconds_left,
        started=job.started,
        updated=job.updated,
        arguments=dict(job.arguments),
        import_id=import_id if isinstance(import_id, int) else None,
        reason=job.reason,
        result=None if job.result is None else dict(job.result),
    )
