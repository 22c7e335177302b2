"""The worker: runs jobs in a process of its own, so that the service only takes them in."""

from __future__ import annotations

import signal
import threading

import structlog

from app.domain.errors import ResightError
from app.services.bundle import Services

# What fell between a job and its import is looked for so often, in seconds.
_LOOK = 20.0


def work(services: Services, stop: threading.Event | None = None) -> None:
    """Run jobs until SIGTERM, SIGINT or ``stop``; a job under way is left for the next start at its next safe point.

    While another process runs the jobs of this data folder this one stands by, and takes over when that one ends.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    log = structlog.get_logger()
    log.info("worker started")
    services.jobs.start(services.works)
    begun = False
    while not stop.is_set():
        try:
            if begun:
                services.control.recover()
            else:
                services.control.take_up(services.evaluate)
            begun = True
        except ResightError as error:
            log.warning("not looked after", code=error.code, reason=str(error))
        stop.wait(_LOOK)
    services.jobs.close()
    log.info("worker stopped")
