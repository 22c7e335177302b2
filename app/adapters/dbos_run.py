"""A run: one execution of a job by this process, from its first step to its end or until it is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from dbos import DBOS, DBOSClient, PortableWorkflowError

from app.adapters import dbos_states as notes
from app.adapters.dbos_engine import translated
from app.domain.errors import ResightError, StorageFull, Unavailable
from app.domain.jobs import JSON, JobKind, JobState, Step
from app.domain.ports_jobs import Work

_LOOK_AGAIN = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
# A job whose work counts no attempts of its own fails after so many ends of its process within one step.
_TRIES = 10
# How far a step is costs a write to the database, which nobody needs more often than he looks.
_TELL = 1.0


class Left(BaseException):
    """A job is left where it is; no Exception, because DBOS records each of those as the end of the workflow."""


class Run:
    """Once left it stays so: whoever takes the job up again makes another run of it."""

    def __init__(
        self, job_id: str, kind: JobKind, work: Work, client: DBOSClient, stopping: Callable[[], bool]
    ) -> None:
        self.job_id = job_id
        self._kind, self._work, self._client, self._stopping = kind, work, client, stopping
        self._halted = threading.Event()
        self._tries = 0
        self._told = float("-inf")

    def halt(self) -> None:
        """Leave the step under way early, and begin no other."""
        self._halted.set()

    def leaving(self) -> bool:
        """Whether the step under way should leave the rest of its work."""
        return self._stopping() or self._halted.is_set()

    def reached(self, done: int, total: int) -> None:
        """Note how far the step under way is, once a second at most."""
        if time.monotonic() - self._told >= _TELL:
            self._told = time.monotonic()
            self._note({"done": done, "total": total, "at": time.time()})

    def steps(self, arguments: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
        """Steps until the work is finished; raises Left, CatalogueUnavailable and what DBOS says of a lost workflow."""
        try:
            self._begin()
            seen = 0
            while True:
                if self.leaving():
                    raise Left
                step = DBOS.run_step({"name": "step"}, self._step, arguments, seen)
                if failure := step.get("failure"):
                    raise PortableWorkflowError(failure, "JobFailed")
                seen = step["done"]
                if step["finished"]:
                    return step["result"]  # type: ignore[no-any-return]
        finally:
            # Only a process that ends within a step leaves this out: that alone is a try.
            self._give_back()

    def _begin(self) -> None:
        with translated():
            found = self._client.list_workflows(workflow_ids=[self.job_id], load_input=False, load_output=False)
        held: Mapping[str, Any] = (found[0].attributes if found else None) or {}
        tries = held.get(notes.TRIES, 0)
        if self._kind is not JobKind.IMPORT and tries >= _TRIES:
            reason = f"its process ended {_TRIES} times within one step"
            self._note({"reason": reason})
            raise PortableWorkflowError(reason, "JobFailed")
        self._tries = tries + 1
        self._note(notes.begun(held, time.time()))

    def _give_back(self) -> None:
        if self._tries:
            self._note({notes.TRIES: self._tries - 1})

    def _step(self, arguments: Mapping[str, JSON], seen: int) -> dict[str, Any]:
        pause = _FIRST_PAUSE
        while True:
            try:
                step = self._work.step(arguments, seen)
            except Unavailable as error:
                self._wait(error, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - whatever a work raises is the end of its job, not of the worker
                return {"failure": self._failed(error)}
            else:
                self._note(notes.stepped(step, time.time()))
                self._tries = 0
                return _plain(step)

    def _wait(self, error: Unavailable, pause: float) -> None:
        wait = JobState.WAITING_DISK if isinstance(error, StorageFull) else JobState.WAITING
        _log().warning("job waits", job=self.job_id, code=error.code, reason=str(error), seconds=pause)
        self._note({notes.TRIES: max(0, self._tries - 1), **notes.troubled(wait, str(error))})
        until = time.monotonic() + pause
        while time.monotonic() < until and not self.leaving():
            time.sleep(min(pause, _LOOK_AGAIN))
        if self.leaving():
            raise Left
        self._note({notes.TRIES: self._tries})

    def _failed(self, error: Exception) -> str:
        if isinstance(error, ResightError):
            reason = str(error)
            _log().error("job failed", job=self.job_id, code=error.code, reason=reason)
        else:
            reason = "unexpected error; see the log"
            _log().error("job broke", job=self.job_id, exc_info=error)
        self._note({"reason": reason})
        return reason

    def _note(self, noted: dict[str, Any]) -> None:
        """Notes are what is shown of a job: its work goes on without them."""
        try:
            with translated():
                self._client.update_workflow_attributes(self.job_id, noted, merge=True)
        except Unavailable as error:
            _log().debug("job not noted", job=self.job_id, reason=str(error))


def _plain(step: Step) -> dict[str, Any]:
    return {
        "done": step.done,
        "total": step.total,
        "finished": step.finished,
        "result": dict(step.result) if step.result is not None else None,
    }


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
