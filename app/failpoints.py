"""Places where a crash test can have the process killed: a step has just ended and the next has not begun.

Nothing happens unless the environment names a place: ``RESIGHT_FAILPOINT=blob.renamed`` ends the process by SIGKILL the
first time it gets there, ``blob.renamed:3`` the third time. It is no setting: only ``tests/crash`` sets it.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "RESIGHT_FAILPOINT"

_counting = threading.Lock()
_passed: dict[str, int] = {}


def reach(name: str) -> None:
    """Say that the place ``name`` is reached; does not return when it is the one to die at."""
    if not (wanted := os.environ.get(VARIABLE)):
        return
    place, _, nth = wanted.partition(":")
    if name != place:
        return
    with _counting:
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
