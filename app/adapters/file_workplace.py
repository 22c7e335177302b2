"""Folders for temporary files inside a store: each locked while it is used, so that what is left over can be told."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp


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
