"""The process that runs jobs: a job is a workflow of DBOS whose steps are steps of its work.

DBOS is one to a process, and so is the worker: the workflows, which DBOS wants to know before it starts, ask
``_at_work`` for the one that is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, PortableWorkflowError
from dbos import error as dbos_errors
from sqlalchemy import Engine

from app.adapters import dbos_states as notes
from app.adapters.dbos_engine import translated
from app.adapters.dbos_folder import Folder
from app.domain.errors import ResightError, StorageFull, Unavailable
from app.domain.jobs import JSON, JobKind, JobState, Step
from app.domain.ports_jobs import Work

APPLICATION, QUEUE = "resight", "jobs"
# Every process is the same executor and of the same version: whatever one left, the next one takes up.
_EXECUTOR, _VERSION = "resight", "1"
_POLL, _WATCH = 0.5, 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
# A job whose work counts no attempts of its own fails after so many ends of its process within one step.
_TRIES = 10

_at_work: list[Worker] = []


class _Left(BaseException):
    """A job is left where it is; no Exception, because DBOS records each of those as the end of the workflow."""


class Worker:
    """Runs jobs from ``launch`` to ``close``; one in a process."""

    def __init__(
        self, engine: Engine, client: DBOSClient, works: Mapping[JobKind, Work], folder: Folder, stop: threading.Event
    ) -> None:
        self._engine, self._client, self._works, self._folder, self._stop = engine, client, works, folder, stop
        self._halted = threading.Event()
        self._job_id: str | None = None
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
        while self._job_id:
            time.sleep(_POLL / 10)
        DBOS.destroy()
        self._engine.dispose()
        _at_work.clear()

    def halt(self, job_id: str) -> None:
        """Let a job that was paused or cancelled leave its step early, if it is under way here."""
        if self._job_id == job_id:
            self._halted.set()

    def leaving(self) -> bool:
        """Whether the step under way should leave the rest of its work."""
        return self._stop.is_set() or self._halted.is_set()

    def work_off(self, kind: JobKind, arguments: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
        """The workflow: steps until the work is finished."""
        job_id = str(DBOS.workflow_id)
        self._job_id = job_id
        self._halted.clear()
        try:
            with translated(), self._folder.alone(self.leaving):
                return self._steps(job_id, kind, arguments)
        except (Unavailable, dbos_errors.DBOSWorkflowCancelledError, dbos_errors.DBOSWorkflowConflictIDError):
            raise _Left from None
        finally:
            self._job_id = None

    def _steps(self, job_id: str, kind: JobKind, arguments: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
        self._begin(job_id, kind)
        seen = 0
        while True:
            if self._stop.is_set():
                raise _Left
            step = DBOS.run_step({"name": "step"}, self._step, job_id, kind, arguments, seen)
            if failure := step.get("failure"):
                raise PortableWorkflowError(failure, "JobFailed")
            seen = step["done"]
            if step["finished"]:
                return step["result"]  # type: ignore[no-any-return]

    def _begin(self, job_id: str, kind: JobKind) -> None:
        found = self._client.list_workflows(workflow_ids=[job_id], load_input=False, load_output=False)
        held: Mapping[str, Any] = (found[0].attributes if found else None) or {}
        if kind is not JobKind.IMPORT and held.get(notes.TRIES, 0) >= _TRIES:
            reason = f"its process ended {_TRIES} times within one step"
            self._note(job_id, {"reason": reason})
            raise PortableWorkflowError(reason, "JobFailed")
        self._note(job_id, notes.begun(held, time.time()))

    def _step(self, job_id: str, kind: JobKind, arguments: Mapping[str, JSON], seen: int) -> dict[str, Any]:
        pause = _FIRST_PAUSE
        while True:
            try:
                step = self._works[kind].step(arguments, seen)
            except Unavailable as error:
                self._wait(job_id, error, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - whatever a work raises is the end of its job, not of the worker
                return {"failure": self._failed(job_id, error)}
            else:
                self._note(job_id, notes.stepped(step, time.time()))
                return _plain(step)

    def _wait(self, job_id: str, error: Unavailable, pause: float) -> None:
        wait = JobState.WAITING_DISK if isinstance(error, StorageFull) else JobState.WAITING
        _log().warning("job waits", job=job_id, code=error.code, reason=str(error), seconds=pause)
        self._note(job_id, notes.troubled(wait, str(error)))
        until = time.monotonic() + pause
        while time.monotonic() < until and not self.leaving():
            time.sleep(min(pause, _POLL) / 5)
        if self.leaving():
            raise _Left

    def _failed(self, job_id: str, error: Exception) -> str:
        if isinstance(error, ResightError):
            reason = str(error)
            _log().error("job failed", job=job_id, code=error.code, reason=reason)
        else:
            reason = "unexpected error; see the log"
            _log().error("job broke", job=job_id, exc_info=error)
        self._note(job_id, {"reason": reason})
        return reason

    def _note(self, job_id: str, noted: dict[str, Any]) -> None:
        """Notes are what is shown of a job: its work goes on without them."""
        try:
            with translated():
                self._client.update_workflow_attributes(job_id, noted, merge=True)
        except Unavailable as error:
            _log().debug("job not noted", job=job_id, reason=str(error))

    def _look(self) -> None:
        pending = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        mine = {found.workflow_id for found in pending}
        running = self._job_id
        if running and running not in mine:
            self.halt(running)
        # DBOS leaves a workflow for its next start when it could not write how a step had ended.
        lost = mine - {running}
        for job_id in lost & self._orphans if not self._job_id else ():
            self._client.resume_workflow(job_id, queue_name=QUEUE)
        self._orphans = lost


def _plain(step: Step) -> dict[str, Any]:
    return {
        "done": step.done,
        "total": step.total,
        "finished": step.finished,
        "result": dict(step.result) if step.result is not None else None,
    }


def _workflow(kind: JobKind) -> Callable[[dict[str, JSON]], Mapping[str, JSON] | None]:
    # Any number of recoveries: whether to go on is for ``_begin`` and for the work to say.
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
