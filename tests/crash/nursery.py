"""Where services are born: a process that has imported everything, and forks one for each start.

Importing is two thirds of a start and says nothing about recovery. A forked service begins where a fresh one would be
after its imports: nothing was opened, no thread was started, no setting was read before the fork.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_PRELOADED = (
    "app.bootstrap",
    "app.bootstrap_store",
    "app.main",
    "uvicorn",
    "dbos",
    "models.cli",
    "tests.crash.mutants",
    "tests.crash.witness",
)
_PR_SET_PDEATHSIG = 1


class Nursery:
    """One for all services of this process; ended with it, as its standard input is then closed."""

    def __init__(self, root: Path) -> None:
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def start(self, arguments: list[str], environment: Mapping[str, str], folder: Path, log: Path) -> int:
        """The process id, and group, of a new command of the product."""
        return int(self._ask(arguments=arguments, environment=dict(environment), folder=str(folder), log=str(log)))

    def poll(self, pid: int) -> int | None:
        """The exit code of a process that was started here, None while it runs."""
        code: int | None = self._ask(poll=pid)
        return code

    def _ask(self, **question: Any) -> Any:
        with self._asking:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


def _serve() -> dict[str, Any] | None:
    """Answer questions until there are no more; in a child that was just forked, what it is to run."""
    ended: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if (pid := question.get("poll")) is not None:
            if pid not in ended and (found := os.waitpid(pid, os.WNOHANG))[0]:
                ended[pid] = os.waitstatus_to_exitcode(found[1])
            answer = ended.get(pid)
        elif not (answer := os.fork()):
            return question
        print(json.dumps(answer), flush=True)
    return None


def _become(question: dict[str, Any]) -> None:
    """Take on the session, environment, folder and log of a command, and run it."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # no service outlives a harness that was broken off
    os.environ.clear()
    os.environ.update(question["environment"])
    os.chdir(question["folder"])
    log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv = ["resight", *question["arguments"]]
    from app.cli import main
    from tests.crash.mutants import MUTANTS
    from tests.crash.witness import count_embedded

    if told := os.environ.get("RESIGHT_WITNESS"):
        count_embedded(Path(told))
    if mutant := os.environ.get("RESIGHT_MUTANT"):
        MUTANTS[mutant]()
    _end_after(main)


def _end_after(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end without the exit handlers of libraries.

    That of onnxruntime waits for ever: for a thread of its own, which a fork does not bring along.
    """
    code: int | str | None = 1
    try:
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except Exception:  # noqa: BLE001 - what the interpreter does at its end
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    import importlib

    for name in _PRELOADED:
        with suppress(ModuleNotFoundError):  # commands of training are there only with torch
            importlib.import_module(name)
    if (born := _serve()) is not None:
        _become(born)
