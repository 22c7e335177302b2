"""Ways in which the database of a running service goes away for a while and comes back."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.crash.client import Broken

_PATIENCE = 60.0
_LOOK = 0.05


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process, this one, holds the write lock of a SQLite file."""
    with closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def killed(folder: Path) -> Iterator[None]:
    """The first process of the PostgreSQL over ``folder`` gets SIGKILL, the others end, and it is started as before."""
    first = int((folder / "postmaster.pid").read_text("utf-8").split()[0])
    command = Path(f"/proc/{first}/cmdline").read_text("utf-8").rstrip("\0").split("\0")
    owner = Path(f"/proc/{first}").stat()
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    while _at_work(folder):
        if time.monotonic() > until:
            raise Broken(f"PostgreSQL still has the processes {_at_work(folder)}")
        time.sleep(_LOOK)
    yield
    log = subprocess.DEVNULL
    subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, user=owner.st_uid, group=owner.st_gid)


def _at_work(folder: Path) -> list[int]:
    """The processes of a server: all work in its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True) == folder and (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found
