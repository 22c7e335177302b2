"""The process that runs jobs: a job is a workflow of DBOS whose steps are steps of its work.

DBOS is one to a process, and so is the worker: the workflows, which DBOS wants to know before it starts, ask
``_at_work`` for the one that is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos import error as dbos_errors
from sqlalchemy import Engine

from app.adapters.dbos_engine import translated
from app.adapters.dbos_folder import Folder
from app.adapters.dbos_run import Left, Run
from app.domain.errors import Unavailable
from app.domain.jobs import JSON, JobKind
from app.domain.ports_jobs import Work

APPLICATION, QUEUE = "resight", "jobs"
# Every process is the same executor and of the same version: whatever one left, the next one takes up.
_EXECUTOR, _VERSION = "resight", "1"
_POLL, _WATCH = 0.5, 1.0

_at_work: list[Worker] = []


class Worker:
    """Runs jobs from ``launch`` to ``close``; one in a process."""

    def __init__(
        self, engine: Engine, client: DBOSClient, works: Mapping[JobKind, Work], folder: Folder, stop: threading.Event
    ) -> None:
        self._engine, self._client, self._works, self._folder, self._stop = engine, client, works, folder, stop
        self._door = threading.Lock()
        self._runs: list[Run] = []  # seldom two: one that was paused leaves its step while the next one waits
        self._at_work: Run | None = None
        self._orphans: set[str] = set()

    def launch(self) -> None:
        """Take up what the process before left, then whatever is enqueued."""
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_engine": self._engine,
            "serializer": DBOSPortableJSONSerializer(),
            "executor_id": _EXECUTOR,
            "application_version": _VERSION,
            "use_listen_notify": False,
            "log_level": "WARNING",
        }
        _at_work[:] = [self]
        try:
            DBOS(config=config)
            DBOS.launch()
            DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=_POLL, on_conflict="always_update")
        except BaseException:
            self.close()
            raise

    def watch(self) -> None:
        """Until the stop: hear of a pause by another process, and take up a job that fell out of its run."""
        while not self._stop.wait(_WATCH):
            try:
                with translated():
                    self._look()
            except Unavailable as error:
                _log().debug("jobs not watched", reason=str(error))

    def close(self) -> None:
        """End DBOS once the step under way has; what was not ended is taken up by the next start."""
        while self._here():
            time.sleep(_POLL / 10)
        DBOS.destroy()
        self._engine.dispose()
        _at_work.clear()

    def halt(self, job_id: str) -> None:
        """Let a job that was paused or cancelled leave its step early, if it is under way here."""
        for run in self._here():
            if run.job_id == job_id:
                run.halt()

    def leaving(self) -> bool:
        """Whether the step under way should leave the rest of its work."""
        at_work = self._at_work
        return self._stop.is_set() or (at_work is not None and at_work.leaving())

    def reached(self, done: int, total: int) -> None:
        """Note how far the step under way is."""
        if at_work := self._at_work:
            at_work.reached(done, total)

    def work_off(self, kind: JobKind, arguments: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
        """The workflow: steps until the work is finished."""
        run = Run(str(DBOS.workflow_id), kind, self._works[kind], self._client, self._stop.is_set)
        with self._door:
            self._runs.append(run)
        try:
            with translated(), self._folder.alone(run.leaving):
                self._at_work = run
                try:
                    return run.steps(arguments)
                finally:
                    self._at_work = None
        except (Unavailable, dbos_errors.DBOSWorkflowCancelledError, dbos_errors.DBOSWorkflowConflictIDError):
            raise Left from None
        finally:
            with self._door:
                self._runs.remove(run)

    def _here(self) -> list[Run]:
        with self._door:
            return list(self._runs)

    def _look(self) -> None:
        # In this order: a run that was there before its job was asked for belongs to what is then told of it.
        runs = self._here()
        pending = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        mine = {found.workflow_id for found in pending}
        for run in runs:
            if run.job_id not in mine:
                run.halt()
        # DBOS leaves a workflow for its next start when it could not write how a step had ended.
        lost = mine - {run.job_id for run in runs}
        for job_id in lost & self._orphans if not self._here() else ():
            self._client.resume_workflow(job_id, queue_name=QUEUE)
        self._orphans = lost


def _workflow(kind: JobKind) -> Callable[[dict[str, JSON]], Mapping[str, JSON] | None]:
    # Any number of recoveries: whether to go on is for the run and for the work to say.
    @DBOS.workflow(name=str(kind), max_recovery_attempts=None)
    def job(arguments: dict[str, JSON]) -> Mapping[str, JSON] | None:
        return _at_work[0].work_off(kind, arguments)

    return job


WORKFLOWS = {kind: _workflow(kind) for kind in JobKind}


class _Lines(logging.Handler):
    """What DBOS has to say, in the log of the service."""

    def emit(self, record: logging.LogRecord) -> None:
        _log().log(record.levelno, "dbos", said=record.getMessage())


_dbos_log = logging.getLogger("dbos")
_dbos_log.propagate = False
_dbos_log.addHandler(_Lines())


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
