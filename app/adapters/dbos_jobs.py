"""Durable jobs with DBOS: what is recorded is run to its end, by this process or by the next."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import structlog
from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus

from app.adapters import dbos_states
from app.adapters.dbos_engine import jobs_engine, translated
from app.adapters.dbos_folder import Folder
from app.adapters.dbos_worker import APPLICATION, QUEUE, Worker
from app.domain.errors import Conflict, KeyReused, Unavailable, UnknownJob
from app.domain.jobs import JSON, Job, JobKind, JobState, job_id_of
from app.domain.ports_jobs import Work

T = TypeVar("T")

_PAGE = 200
_LOOK_AGAIN = 1.0


class DbosJobs:
    """The Jobs port. Recording and asking needs the database alone; ``start`` makes this the process that runs jobs."""

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url
        self._engine = jobs_engine(url)
        self._folder = Folder(folder)
        self._stop = threading.Event()
        self._worker: Worker | None = None
        self._attendant: threading.Thread | None = None
        self._door = threading.Lock()

    def start(self, works: Mapping[JobKind, Work]) -> None:
        with self._door:
            if self._attendant is None and not self._stop.is_set():
                self._attendant = threading.Thread(target=self._attend, args=(works,), name="jobs")
                self._attendant.start()

    def enqueue(self, kind: JobKind, arguments: Mapping[str, JSON], *, key: str | None = None) -> Job:
        job_id = job_id_of(kind, key or uuid.uuid4().hex)
        with translated():
            self._client.enqueue(
                {"workflow_name": str(kind), "queue_name": QUEUE, "workflow_id": job_id}, dict(arguments)
            )
        job = self.job(job_id)
        if dict(job.arguments) != dict(arguments):
            raise KeyReused("this key was used before, for another job")
        return job

    def job(self, job_id: str) -> Job:
        with translated():
            found = self._client.list_workflows(workflow_ids=[job_id])
        if not found or found[0].name not in set(JobKind):
            raise UnknownJob(f"no job has the id {job_id!r}")
        return dbos_states.job_of(found[0], attended=self._folder.attended())

    def jobs(
        self, *, kinds: Sequence[JobKind] = (), states: Sequence[JobState] = (), limit: int = 100, offset: int = 0
    ) -> list[Job]:
        attended, found, skipped = self._folder.attended(), [], 0
        for status in self._statuses(kinds or tuple(JobKind), states):
            job = dbos_states.job_of(status, attended=attended)
            if states and job.state not in states:
                continue
            skipped += 1
            if skipped > offset:
                found.append(job)
            if len(found) == limit:
                break
        return found

    def pause(self, job_id: str) -> Job:
        return self._halt(job_id, JobState.PAUSED)

    def resume(self, job_id: str) -> Job:
        job = self.job(job_id)
        if job.state.ended:
            raise Conflict(f"this job is {job.state}")
        if job.state is JobState.PAUSED:
            # One write: the note tells something only of a job that was taken out, and then it is written anew.
            with translated():
                self._client.resume_workflow(job_id, queue_name=QUEUE)
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        return self._halt(job_id, JobState.CANCELLED)

    def run(self, work: Callable[[], T]) -> T:
        with self._folder.alone(self._stop.is_set):
            return work()

    def stopping(self) -> bool:
        worker = self._worker
        return self._stop.is_set() or (worker is not None and worker.leaving())

    def reached(self, done: int, total: int) -> None:
        if worker := self._worker:
            worker.reached(done, total)

    def at_work(self) -> bool:
        return self._folder.at_work()

    def close(self) -> None:
        with self._door:
            self._stop.set()
        if self._attendant:
            self._attendant.join()
        if "_client" in self.__dict__:
            self._client.destroy()
        self._engine.dispose()

    @cached_property
    def _client(self) -> DBOSClient:
        """Speaks with the database; the first use makes the tables, which DBOS itself makes only where it runs jobs."""
        client = DBOSClient(
            system_database_engine=self._engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )
        with translated():
            client._sys_db.run_migrations()  # noqa: SLF001 - the public way opens the file with Python's own SQLite
        return client

    def _halt(self, job_id: str, state: JobState) -> Job:
        job = self.job(job_id)
        if job.state.ended:
            raise Conflict(f"this job is {job.state}")
        with translated():
            # The note first: between the two the job goes on, and is never taken for one that ended for another reason.
            self._client.update_workflow_attributes(job_id, {dbos_states.HALT: str(state)}, merge=True)
            self._client.cancel_workflow(job_id)
        if worker := self._worker:
            worker.halt(job_id)
        return self.job(job_id)

    def _statuses(self, kinds: Sequence[JobKind], states: Sequence[JobState]) -> Iterator[WorkflowStatus]:
        """Newest first, a page at a time: SQLite cannot be asked for notes."""
        for offset in range(0, 1_000_000, _PAGE):
            with translated():
                page = self._client.list_workflows(
                    name=[str(kind) for kind in kinds],
                    status=dbos_states.statuses(states),
                    sort_desc=True,
                    limit=_PAGE,
                    offset=offset,
                )
            yield from page
            if len(page) < _PAGE:
                return

    def _attend(self, works: Mapping[JobKind, Work]) -> None:
        with self._folder.attending(self._stop.is_set) as here:
            while here and not self._stop.wait(0):
                try:
                    worker = Worker(
                        jobs_engine(self._url, patient=self._stop), self._client, works, self._folder, self._stop
                    )
                    worker.launch()
                except Exception as error:  # noqa: BLE001 - no error of any kind may leave the jobs unattended
                    _log().error("jobs not started", reason=str(error), exc_info=not isinstance(error, Unavailable))
                    self._stop.wait(_LOOK_AGAIN)
                else:
                    self._worker = worker
                    worker.watch()
                    worker.close()


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
