"""Jobs on one thread of this process, one at a time on a data folder by an advisory lock between processes."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import structlog

from app.domain.errors import ResightError

T = TypeVar("T")


class ThreadJobs:
    """The Jobs port. Whatever must survive a stop is in the catalogue: a job only works off what is recorded there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = folder / "jobs.lock"
        # flock is held per open file: between threads of this process a lock of our own keeps the order.
        self._turn = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "jobs")

    def submit(self, name: str, work: Callable[[], object]) -> None:
        self._worker.submit(self._logged, name, work)

    def run(self, work: Callable[[], T]) -> T:
        with self._alone():
            return work()

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _logged(self, name: str, work: Callable[[], object]) -> None:
        log = structlog.get_logger().bind(job=name)
        try:
            self.run(work)
            log.debug("job done")
        except ResightError as error:
            log.error("job failed", code=error.code, reason=str(error))
        except Exception:
            log.exception("job broke")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._turn, self._lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
