"""Upkeep: the work beside the requests that keeps the index in step with the catalogue and finishes imports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from app.domain.errors import InvalidInput, Unavailable
from app.domain.ingestion import ImportState
from app.services.bundle import Services

_PAUSE = 1.0
_RETRY = 30.0


class Upkeep:
    """Runs in ``services.jobs``; every method returns at once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._started = False
        self._waiting = threading.Lock()  # held while a piece of upkeep is queued or runs: they never pile up
        self._queued: set[int] = set()  # imports that wait for their turn
        self._queue = threading.Lock()
        self._last = 0.0

    def start(self) -> None:
        """Build or load the index, then take up the imports that a stopped service left."""
        if self._waiting.acquire(blocking=False):
            self._services.jobs.submit("start", partial(self._once, self._start))

    def nudge(self) -> None:
        """Look, at most once a second, whether the catalogue has moved on; a start that failed is tried again."""
        if time.monotonic() - self._last < _PAUSE:
            return
        self._last = time.monotonic()
        if not self._started:
            self.start()
        elif self._waiting.acquire(blocking=False):
            self._services.jobs.submit("catch up", partial(self._once, self._services.reindex.catch_up))

    def submit_import(self, import_id: int, *, after: float = 0.0) -> None:
        """Work off an import that was begun, ``after`` so many seconds, unless it is in the queue already."""
        with self._queue:
            if import_id in self._queued:
                return
            self._queued.add(import_id)
        self._services.jobs.submit(f"import {import_id}", partial(self._import, import_id), after=after)

    def _start(self) -> None:
        jobs, reindex, ingest = self._services.jobs, self._services.reindex, self._services.ingest
        # Another command may have the data folder to itself for long: only embedding has to wait for it.
        if not reindex.load():
            jobs.run(lambda: reindex(self._go_on))
        unfinished = ingest.unfinished()
        self._services.uploads.sweep({ingest.report(import_id).source for import_id in unfinished})
        self._started = True
        for import_id in unfinished:
            self.submit_import(import_id)

    def _go_on(self, _embedded: int) -> None:
        if self._services.jobs.stopping():
            raise Unavailable("the service is being stopped")

    def _import(self, import_id: int) -> None:
        with self._queue:
            self._queued.discard(import_id)
        try:
            self._work_off(import_id)
        except Unavailable:
            # Nothing is lost: the import stays running, its upload is kept.
            self.submit_import(import_id, after=_RETRY)
            raise

    def _work_off(self, import_id: int) -> None:
        jobs, ingest, uploads = self._services.jobs, self._services.ingest, self._services.uploads
        source = ingest.report(import_id).source
        try:
            report = jobs.run(lambda: ingest.run(import_id, stopping=jobs.stopping))
        except InvalidInput:
            # The archive itself is at fault: the import is marked as failed and is not taken up again.
            uploads.discard(source)
            raise
        if report.state is ImportState.DONE:
            uploads.discard(source)

    def _once(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._waiting.release()
