"""What all adapters that keep files share: when a disk counts as full, and how a folder becomes durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.domain.errors import ResightError, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(full: str, broken: Callable[[str], ResightError]) -> Iterator[None]:
    """Turn an OSError into StorageFull with the sentence ``full``, or into what ``broken`` makes of its reason."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(full) from error
        raise broken(error.strerror or type(error).__name__) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename is on disk only after this."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
