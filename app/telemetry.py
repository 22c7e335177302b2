"""Logging and every Prometheus metric, in one list."""

from __future__ import annotations

import logging
import sys
import time

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

REQUESTS = Counter("resight_requests_total", "Answered HTTP requests", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("resight_request_seconds", "Time to answer an HTTP request", ["method", "route"])
STAGE_SECONDS = Histogram(
    "resight_match_stage_seconds",
    "Time of each stage of a match",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
IMPORT_ROWS = Counter("resight_import_rows_total", "Rows of imports by the state in which they ended", ["state"])
GENERATION = Gauge("resight_index_generation", "The index generation that answers now")
ANNOTATIONS = Gauge("resight_index_annotations", "Annotations in the index generation that answers now")


def exposition() -> tuple[bytes, str]:
    """Every metric as Prometheus reads it, and the media type of that text."""
    return generate_latest(), CONTENT_TYPE_LATEST


class Stopwatch:
    """Times the stages of one piece of work; ``milliseconds`` holds the laps by name."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End the stage that ran since the last lap; a stage that ran before goes on."""
        now = time.perf_counter()
        self.milliseconds[stage] = round(self.milliseconds.get(stage, 0.0) + (now - self._last) * 1e3, 3)
        STAGE_SECONDS.labels(stage).observe(now - self._last)
        self._last = now


def set_up_logging(*, as_json: bool, level: str = "INFO") -> None:
    """One line an event on standard error: JSON for machines, columns for people."""
    columns = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer = structlog.processors.JSONRenderer() if as_json else columns
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
