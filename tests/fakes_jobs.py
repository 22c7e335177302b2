"""The Jobs port in memory: a job runs where it is recorded, or when ``release`` lets it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.errors import Conflict, KeyReused, ResightError, StorageFull, Unavailable, UnknownJob
from app.domain.jobs import JSON, Job, JobKind, JobState, Step, job_id_of
from app.domain.ports_jobs import Work

_START = datetime(2024, 7, 1, tzinfo=UTC)


@dataclass
class FakeWork:
    """Work of so many steps; ``errors`` are raised one after the other before anything is done."""

    steps: int = 3
    errors: list[Exception] = field(default_factory=list)
    calls: list[tuple[Mapping[str, JSON], int]] = field(default_factory=list)

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:
        self.calls.append((arguments, seen))
        if self.errors:
            raise self.errors.pop(0)
        finished = seen + 1 >= self.steps
        return Step(min(seen + 1, self.steps), self.steps, finished, {"steps": self.steps} if finished else None)


@dataclass
class FakeJobs:
    """Jobs by id. ``held`` keeps them waiting until ``release``; ``taken`` is another command on the data folder."""

    works: dict[JobKind, Work] = field(default_factory=dict)
    held: bool = False
    taken: bool = False
    away: bool = False
    closed: bool = False
    started: bool = False
    errors: list[Exception] = field(default_factory=list)
    told: list[tuple[str, int, int]] = field(default_factory=list)
    _jobs: dict[str, Job] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _door: threading.RLock = field(default_factory=threading.RLock)

    def start(self, works: Mapping[JobKind, Work]) -> None:
        self.works, self.started = dict(works), True

    def enqueue(self, kind: JobKind, arguments: Mapping[str, JSON], *, key: str | None = None) -> Job:
        self._there()
        with self._door:
            if key in self._keys:
                job = self._jobs[self._keys[key]]
                if (job.kind, dict(job.arguments)) != (kind, dict(arguments)):
                    raise KeyReused("this key stands for another job")
                return job
            now = _START + timedelta(seconds=len(self._jobs))
            job_id = job_id_of(kind, key or str(len(self._jobs) + 1))
            self._keys[key or job_id] = job_id
            self._jobs[job_id] = Job(job_id, kind, JobState.WAITING, 0, 0, now, now, dict(arguments))
        if not self.held:
            self._work(job_id)
        return self._jobs[job_id]

    def job(self, job_id: str) -> Job:
        self._there()
        if job_id not in self._jobs:
            raise UnknownJob(f"no job has the id {job_id!r}")
        return self._jobs[job_id]

    def jobs(
        self, *, kinds: Sequence[JobKind] = (), states: Sequence[JobState] = (), limit: int = 100, offset: int = 0
    ) -> list[Job]:
        self._there()
        found = [
            job
            for job in reversed(self._jobs.values())
            if (not kinds or job.kind in kinds) and (not states or job.state in states)
        ]
        return found[offset : offset + limit]

    def pause(self, job_id: str) -> Job:
        return self._turn(job_id, JobState.PAUSED)

    def resume(self, job_id: str) -> Job:
        job = self.job(job_id)
        if job.state.ended:
            raise Conflict("this job has ended")
        if job.state is JobState.PAUSED:
            self.set(job_id, state=JobState.WAITING, reason=None)
            if not self.held:
                self._work(job_id)
        return self._jobs[job_id]

    def cancel(self, job_id: str) -> Job:
        return self._turn(job_id, JobState.CANCELLED)

    def run(self, work: Callable[[], Any]) -> Any:
        if self.taken:
            raise Unavailable("another command is at work")
        return work()

    def stopping(self) -> bool:
        return self.closed

    def reached(self, done: int, total: int) -> None:
        for job in self.jobs(states=[JobState.RUNNING]):
            self.told.append((job.job_id, done, total))
            self.set(job.job_id, done=done, total=total)

    def at_work(self) -> bool:
        return self.taken

    def close(self) -> None:
        self.closed = True

    def release(self) -> None:
        """Run what was kept, and what waits for its disk."""
        self.held = False
        for job in list(self._jobs.values()):
            if job.state in {JobState.WAITING, JobState.WAITING_DISK}:
                self._work(job.job_id)

    def set(self, job_id: str, **changes: Any) -> None:
        """Change what is told of a job."""
        self._jobs[job_id] = replace(self._jobs[job_id], **changes)

    def _there(self) -> None:
        if self.away:
            raise Unavailable("the jobs' database does not answer")

    def _turn(self, job_id: str, state: JobState) -> Job:
        if self.job(job_id).state.ended:
            raise Conflict("this job has ended")
        self.set(job_id, state=state)
        return self._jobs[job_id]

    def _work(self, job_id: str) -> None:
        job = self._jobs[job_id]
        self.set(job_id, state=JobState.RUNNING)
        try:
            while not self.closed and self._jobs[job_id].state is JobState.RUNNING:
                step = self.works[job.kind].step(job.arguments, self._jobs[job_id].done)
                self.set(job_id, done=step.done, total=step.total)
                if step.finished:
                    self.set(job_id, state=JobState.DONE, result=step.result)
        except Unavailable as error:
            state = JobState.WAITING_DISK if isinstance(error, StorageFull) else JobState.WAITING
            self.set(job_id, state=state, reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a job raises is told, never passed on
            reason = str(error) if isinstance(error, ResightError) else "unexpected error; see the log"
            self.errors.append(error)
            self.set(job_id, state=JobState.FAILED, reason=reason)
