"""Upkeep: what is done beside the requests to keep the index in step with the catalogue and imports in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from app.domain.errors import ResightError, Unavailable
from app.domain.jobs import Job, JobKind, JobState
from app.services.bundle import Services

_PAUSE = 1.0
# What fell between a job and its import is looked for so often, in seconds, whether anybody asks or not.
_LOOK = 20.0
_UNDER_WAY = (JobState.WAITING, JobState.RUNNING, JobState.WAITING_DISK, JobState.PAUSED)


class Upkeep:
    """Runs on one thread of its own, from ``start`` to ``close``; every other method returns at once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread = ThreadPoolExecutor(1, "upkeep")
        self._started = False
        self._swept = False
        self._waiting = threading.Lock()  # held while a piece of upkeep is queued or runs: they never pile up
        self._last = 0.0
        self._clock: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Build or load the index, then put the imports that a stopped service left into the queue."""
        self._submit(self._start)
        if self._clock is None:
            self._clock = threading.Thread(target=self._tick, name="upkeep-clock", daemon=True)
            self._clock.start()

    def nudge(self) -> None:
        """Look, at most once a second, whether the catalogue has moved on; a start that failed is tried again."""
        if time.monotonic() - self._last < _PAUSE:
            return
        self._last = time.monotonic()
        self._submit(self._services.reindex.catch_up if self._started else self._start)

    def enqueue_import(self, import_id: int) -> Job | None:
        """The job of an import that was begun; None while it cannot be recorded, which is then tried again."""
        try:
            return self._services.control.begin_import(import_id)
        except Unavailable as error:
            self._started = False
            _log().warning("import not enqueued yet", import_id=import_id, code=error.code, reason=str(error))
            return None

    def close(self) -> None:
        """Wait for the piece of upkeep under way; what is queued is left."""
        self._stop.set()
        if self._clock:
            self._clock.join()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        services = self._services
        if not services.reindex.load():
            self._embed()
        if not self._swept:
            unfinished = services.ingest.unfinished()
            services.uploads.sweep({services.ingest.report(import_id).source for import_id in unfinished})
            self._swept = True
        services.control.take_up(services.evaluate)
        self._started = True

    def _tick(self) -> None:
        while not self._stop.wait(_LOOK):
            self._submit(self._look)

    def _look(self) -> None:
        if self._started:
            self._services.control.recover()
        else:
            self._start()

    def _embed(self) -> None:
        """Vectors are missing, or are of another ensemble: that is work for hours, and so for a job."""
        jobs, reindex = self._services.jobs, self._services.reindex
        refusal = reindex.refusal()
        if refusal is None and self._services.ingest.unfinished():
            # An import may be in the queue before that job, and waits until the ensemble is the one that is served.
            reindex.activate()
        if refusal and any(job.reason == refusal for job in jobs.jobs(kinds=[JobKind.REEMBED], limit=1)):
            return  # it has failed once for this very reason: to ask at each start would only fill the list of jobs
        if not jobs.jobs(kinds=[JobKind.REEMBED], states=_UNDER_WAY, limit=1):
            jobs.enqueue(JobKind.REEMBED, {})

    def _submit(self, work: Callable[[], object]) -> None:
        if self._waiting.acquire(blocking=False):
            self._thread.submit(self._once, work)

    def _once(self, work: Callable[[], object]) -> None:
        try:
            work()
        except ResightError as error:
            _log().error("upkeep failed", code=error.code, reason=str(error))
        except Exception:  # noqa: BLE001 - a bug here may not end the upkeep
            _log().exception("upkeep broke")
        finally:
            self._waiting.release()


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
