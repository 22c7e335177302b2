"""The ports of durable jobs; the others stand in ``ports.py``. Their fakes live in ``tests/fakes_jobs.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from app.domain.jobs import JSON, Job, JobKind, JobState, Step

T = TypeVar("T")


class Work(Protocol):
    """What a kind of job does, a step at a time; it is registered by its kind in ``bootstrap``."""

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:
        """Do the next piece, of some seconds up to a minute, so that all of it is in the catalogue or on disk.

        ``seen`` is the ``done`` of the step before, 0 at first. A step may be done again after a kill, with the same
        ``seen``: that must do no harm. Raises Unavailable when it has to be tried again later; any other error fails
        the job.
        """


class Jobs(Protocol):
    """Long work beside the requests: one job at a time on a data folder, in order. Raises CatalogueUnavailable."""

    def start(self, works: Mapping[JobKind, Work]) -> None:
        """Run the jobs in this process from now on, as soon as no other process does; returns at once.

        What a process that was stopped or killed has left goes on by itself.
        """

    def enqueue(self, kind: JobKind, arguments: Mapping[str, JSON], *, key: str | None = None) -> Job:
        """Record a job durably; it runs when its turn comes, in this process or in the one that runs the jobs.

        The same ``key`` with the same kind and arguments gives the job that was recorded first; raises KeyReused when
        they are others.
        """

    def job(self, job_id: str) -> Job:
        """Where a job stands; raises UnknownJob."""

    def jobs(
        self,
        *,
        kinds: Sequence[JobKind] = (),
        states: Sequence[JobState] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> list[Job]:
        """Jobs, newest first, of these kinds and in these states (all, when none are named)."""

    def pause(self, job_id: str) -> Job:
        """Take a job out of the queue after its present step, until ``resume``; others go on.

        Raises UnknownJob, and Conflict for one that has ended.
        """

    def resume(self, job_id: str) -> Job:
        """Put a paused job back into the queue: it goes on with the step that it had reached.

        One that waits or runs is left as it is. Raises UnknownJob, and Conflict for one that has ended.
        """

    def cancel(self, job_id: str) -> Job:
        """End a job after its present step; what it has done stays done.

        Raises UnknownJob, and Conflict for one that has ended.
        """

    def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` now, alone on the data folder: after whatever another process is doing there.

        Returns its answer or raises its error; raises Unavailable when a stop comes before its turn.
        """

    def stopping(self) -> bool:
        """Whether work under way should leave the rest of it, within seconds: ``close``, ``pause`` or ``cancel``."""

    def reached(self, done: int, total: int) -> None:
        """Tell how far the job at work in this process is, from within its step; without one nothing is told.

        The counts are of the same population as those of its steps.
        """

    def at_work(self) -> bool:
        """Whether a job or a command, of this or another process, is at work on the data folder now."""

    def close(self) -> None:
        """Ask the job under way to stop and wait for it; what has not begun is left for the next start."""
