"""Jobs on one thread of this process, and alone on a data folder by an advisory lock between processes."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

import structlog

from app.domain.errors import ResightError, Unavailable

T = TypeVar("T")

# Another process may hold the lock for many minutes: waiting in the kernel could not be ended by a stop.
_LOOK_AGAIN = 0.1


class ThreadJobs:
    """The Jobs port. Whatever must survive a stop is in the catalogue: a job only works off what is recorded there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = folder / "jobs.lock"
        self._worker = ThreadPoolExecutor(1, "jobs")
        self._stop = threading.Event()
        self._door = threading.Lock()  # nothing is queued behind a stop

    def submit(self, name: str, work: Callable[[], object], *, after: float = 0.0) -> None:
        if after:
            threading.Thread(target=self._later, args=(after, name, work), daemon=True).start()
            return
        with self._door:
            if not self._stop.is_set():
                self._worker.submit(self._logged, name, work)

    def run(self, work: Callable[[], T]) -> T:
        with self._alone():
            return work()

    def stopping(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        with self._door:
            self._stop.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _later(self, after: float, name: str, work: Callable[[], object]) -> None:
        self._stop.wait(after)
        self.submit(name, work)

    def _logged(self, name: str, work: Callable[[], object]) -> None:
        log = structlog.get_logger().bind(job=name)
        try:
            work()
            log.debug("job done")
        except ResightError as error:
            if self.stopping():
                log.info("job left for the next start", reason=str(error))
            else:
                log.error("job failed", code=error.code, reason=str(error))
        except Exception:
            log.exception("job broke")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock_file.open("w") as lock:
            while self._stop.is_set() or not _locked(lock):
                if self._stop.wait(_LOOK_AGAIN):
                    raise Unavailable("the service is being stopped")
            yield


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
