"""How a store of files writes: fsync that is never believed twice, and folders for temporary files.

Such a folder is locked while it is used, so that what is left over can be told from what is under way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from app.disk import is_full
from app.domain.errors import Unavailable

# After an error of fsync nothing is stored for so many seconds; then a trial file has to get through first.
REST = 30.0


class Syncs:
    """fsync that remembers its failures: a disk that dropped what it was given is not trusted at once again.

    A full disk is no failure of that kind. ``sync`` and ``clock`` (seconds) are what a test may break.
    """

    def __init__(self, sync: Callable[[int], None] = os.fsync, clock: Callable[[], float] = time.monotonic) -> None:
        self._sync, self._clock = sync, clock
        self._failed: float | None = None

    def __call__(self, path: Path) -> None:
        """Make a file, or the names in a folder, durable; raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._sync(descriptor)
        except OSError as error:
            if not is_full(error):
                self._failed = self._clock()
            raise
        finally:
            os.close(descriptor)

    def check(self, incoming: Path) -> None:
        """Raise Unavailable, or OSError, after a failure until a trial file below ``incoming`` was kept."""
        if self._failed is None:
            return
        if self._clock() - self._failed < REST:
            raise Unavailable("the disk of the photograph store failed to keep what was written to it")
        with workplace(incoming) as place:
            (place / "trial").write_bytes(b"trial")
            self(place / "trial")
        self._failed = None


@contextmanager
def workplace(incoming: Path) -> Iterator[Path]:
    """A folder of our own for temporary files, locked while it is used so that no other process sweeps it away."""
    incoming.mkdir(exist_ok=True)
    folder = Path(mkdtemp(dir=incoming))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def left_over(incoming: Path) -> Iterator[Path]:
    """What processes that are gone left behind, each held while the caller looks at it; read-only by itself."""
    for folder in sorted(incoming.iterdir()) if incoming.is_dir() else ():
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def sweep(incoming: Path) -> None:
    """Remove what processes that are gone left behind; the folders of living ones are locked."""
    for folder in left_over(incoming):
        shutil.rmtree(folder, ignore_errors=True)
