"""Upkeep: the work beside the requests that keeps the index in step with the catalogue and finishes imports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from app.domain.errors import ResightError
from app.services.bundle import Services

_PAUSE = 1.0


class Upkeep:
    """Runs in ``services.jobs``; every method returns at once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._started = False
        self._waiting = threading.Lock()  # held while a piece of upkeep is queued or runs: they never pile up
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

    def submit_import(self, import_id: int) -> None:
        """Work off an import that was begun."""
        self._services.jobs.submit(f"import {import_id}", partial(self._import, import_id))

    def _start(self) -> None:
        self._services.reindex()
        self._started = True
        for import_id in self._services.ingest.unfinished():
            self.submit_import(import_id)

    def _import(self, import_id: int) -> None:
        source = self._services.ingest.report(import_id).source
        try:
            self._services.ingest.run(import_id)
        except ResightError:
            # The import is marked as failed and is not taken up again; the same archive may be posted again.
            self._services.uploads.discard(source)
            raise
        self._services.uploads.discard(source)

    def _once(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._waiting.release()
