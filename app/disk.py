"""What all adapters that keep files share: when a disk counts as full, and how a folder becomes durable."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import ResightError, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LEAST_RESERVE = 512_000_000
_SHARE = 50  # one fiftieth is 2 %


@dataclass(frozen=True, slots=True)
class Reserve:
    """Free space that imports leave on the disk of ``folder``, so that a decision or an edit can still be stored.

    ``size`` is in bytes; None is the larger of 512 MB and 2 % of the file system.
    """

    folder: Path
    size: int | None = None

    def require(self, size: int) -> None:
        """Raise StorageFull when ``size`` bytes more would eat into the reserve, OSError when the disk is away."""
        disk = os.statvfs(self.folder)
        reserve = max(_LEAST_RESERVE, disk.f_blocks * disk.f_frsize // _SHARE) if self.size is None else self.size
        if disk.f_bavail * disk.f_frsize - size < reserve:
            raise StorageFull(f"the disk is full up to its reserve of {reserve} bytes, which imports leave free")


class Coming:
    """What comes in at once onto one disk, counted together: space that was promised and is not written to yet."""

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._lock = threading.Lock()
        self._promised = 0

    def require(self) -> None:
        """Raise StorageFull when what was promised would eat into the reserve, OSError when the disk is away."""
        with self._lock:
            self._reserve.require(self._promised)

    @contextmanager
    def promised(self, size: int) -> Iterator[Callable[[int], None]]:
        """Promise room for ``size`` bytes within the block, which tells how many more of them were written.

        Raises StorageFull, OSError.
        """
        with self._lock:
            self._reserve.require(self._promised + size)
            self._promised += size
        left = size

        def written(count: int) -> None:
            nonlocal left
            count = min(count, left)
            left -= count
            with self._lock:
                self._promised -= count

        try:
            yield written
        finally:
            written(left)


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no space, no quota, or a file grown too large."""
    return error.errno in _FULL


@contextmanager
def disk_errors(full: str, broken: Callable[[str], ResightError]) -> Iterator[None]:
    """Turn an OSError into StorageFull with the sentence ``full``, or into what ``broken`` makes of its reason."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFull(full) from error
        raise broken(error.strerror or type(error).__name__) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename is on disk only after this."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def open_real(place: str) -> int:
    """A descriptor for reading the file at a real path, an absolute one without links; a link on the way is an OSError.

    Each step is opened below the one before: whatever is swapped for a link meanwhile, nothing else is reached.
    """
    *folders, name = place.split("/")[1:]
    # Passing through a folder needs no right to list it.
    through = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open("/", through)
    for step in folders:
        descriptor = _step(descriptor, step, through)
    # Without O_NONBLOCK a named pipe would keep us waiting for its writer.
    return _step(descriptor, name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _step(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)
