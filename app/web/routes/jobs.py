"""Jobs: what runs beside the requests, how far it is, and how it is paused, resumed and cancelled."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import urlencode

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.domain.errors import Conflict, Overloaded, Unavailable, UnknownJob
from app.domain.jobs import Job, JobKind, JobState
from app.domain.ports_jobs import Jobs
from app.web.door import TheServices
from app.web.problems import declare
from app.web.schemas_jobs import JobAnswer, JobsAnswer, job_answer

router = APIRouter(tags=["jobs"])

# A watcher costs a question to the database a second and a place among the connections.
_WATCHERS = 64
_LOOK = 1.0
# In seconds; then a browser asks again by itself.
_LONGEST = 900.0

JobId = Annotated[str, Path(min_length=1, max_length=100)]
_watching: set[object] = set()


@router.get("/jobs", summary="Jobs, newest first", responses=declare(Unavailable))
def jobs(
    services: TheServices,
    state: Annotated[list[JobState] | None, Query(description="Only jobs in these states.")] = None,
    kind: Annotated[list[JobKind] | None, Query(description="Only jobs of these kinds.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> JobsAnswer:
    """`state` and `kind` may be given more than once."""
    kinds, states = kind or [], state or []
    found = services.jobs.jobs(kinds=kinds, states=states, limit=limit + 1, offset=offset)
    asked = [*(("state", str(one)) for one in states), *(("kind", str(one)) for one in kinds)]
    page = urlencode([*asked, ("limit", limit), ("offset", offset + limit)])
    return JobsAnswer(
        jobs=[job_answer(job) for job in found[:limit]], next=f"/jobs?{page}" if len(found) > limit else None
    )


@router.get("/jobs/{job_id}", summary="Where a job stands", responses=declare(UnknownJob, Unavailable))
def job(job_id: JobId, services: TheServices) -> JobAnswer:
    """Progress counts pieces in a final state over all pieces, of one kind."""
    return job_answer(services.jobs.job(job_id))


@router.post("/jobs/{job_id}/pause", summary="Pause a job", responses=declare(UnknownJob, Conflict, Unavailable))
def pause(job_id: JobId, services: TheServices) -> JobAnswer:
    """It leaves the queue once its present step has ended, until it is resumed; the jobs behind it go on."""
    return job_answer(services.jobs.pause(job_id))


@router.post("/jobs/{job_id}/resume", summary="Resume a job", responses=declare(UnknownJob, Conflict, Unavailable))
def resume(job_id: JobId, services: TheServices) -> JobAnswer:
    """A paused job goes back into the queue and on where it was; one that waits or runs is left as it is."""
    return job_answer(services.jobs.resume(job_id))


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job", responses=declare(UnknownJob, Conflict, Unavailable))
def cancel(job_id: JobId, services: TheServices) -> JobAnswer:
    """It ends for good once its present step has; what it has done stays done."""
    return job_answer(services.control.cancel(job_id))


async def _watched(job_id: JobId, services: TheServices, request: Request) -> AsyncIterator[AsyncIterator[Job]]:
    """The states of a job as they change; one that is not there, or one watcher too many, is told before the stream."""
    first = await anyio.to_thread.run_sync(services.jobs.job, job_id)
    if len(_watching) >= _WATCHERS:
        raise Overloaded("too many watch jobs now; ask for the job itself")
    token = object()
    _watching.add(token)
    try:
        yield _changes(services.jobs, first, request)
    finally:
        _watching.discard(token)


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses=declare(UnknownJob, Overloaded, Unavailable),
)
async def events(changes: Annotated[AsyncIterator[Job], Depends(_watched)]) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: a `job` whenever it has changed, the first at once, until it has ended.

    After a broken line a client simply asks again: the first event tells all there is.
    """
    async for found in changes:
        told = job_answer(found)
        yield ServerSentEvent(data=told, event="job", id=f"{told.updated.timestamp():.3f}", retry=2000)


async def _changes(jobs: Jobs, first: Job, request: Request) -> AsyncIterator[Job]:
    told, since = first, time.monotonic()
    yield told
    while not told.state.ended and time.monotonic() - since < _LONGEST:
        await anyio.sleep(_LOOK)
        if await request.is_disconnected():
            return
        try:
            found = await anyio.to_thread.run_sync(jobs.job, told.job_id)
        except Unavailable:
            continue  # the database is away, the job is not
        if found != told:
            told = found
            yield told
