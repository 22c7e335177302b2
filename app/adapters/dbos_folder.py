"""Who may work on a data folder: advisory locks that the system frees when their process ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TextIO

from app.domain.errors import Unavailable

# Another process may hold a lock for many minutes: waiting in the kernel could not be ended by a stop.
_LOOK_AGAIN = 0.1


class Folder:
    """The locks of one data folder: ``alone`` for a piece of work, ``attending`` for the process that runs jobs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._work, self._worker = folder / "jobs.lock", folder / "worker.lock"

    @contextmanager
    def alone(self, give_up: Callable[[], bool]) -> Iterator[None]:
        """Nobody else works in this folder within the block; raises Unavailable when ``give_up`` before its turn."""
        with self._work.open("w") as lock:
            while give_up() or not _locked(lock):
                if give_up():
                    raise Unavailable("the service is being stopped")
                sleep(_LOOK_AGAIN)
            yield

    @contextmanager
    def attending(self, give_up: Callable[[], bool]) -> Iterator[bool]:
        """This process runs the jobs within the block, once no other does; False when ``give_up`` came first."""
        with self._worker.open("w") as lock:
            while not give_up():
                if _locked(lock):
                    yield True
                    return
                sleep(_LOOK_AGAIN)
            yield False

    def attended(self) -> bool:
        """Whether some process runs the jobs."""
        return _held(self._worker)

    def at_work(self) -> bool:
        """Whether somebody, a job or a command, is at work in this folder."""
        return _held(self._work)


def _held(path: Path) -> bool:
    with path.open("w") as lock:
        # Shared: those who ask at once do not take each other for a holder.
        return not _locked(lock, fcntl.LOCK_SH)


def _locked(lock: TextIO, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
