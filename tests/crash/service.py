"""The real service in a process group of its own, so that all of it can be killed at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.crash.client import Broken, Client, Gone
from tests.crash.power import Disk
from tests.tiny_ensemble import build_tiny_ensemble

ROOT = Path(__file__).parents[2]
_LOOK = 0.02
_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0


class Service:
    """``resight serve`` below ``home``: data, import root, ensemble and log each have their place there.

    ``entry`` is the module that is run: the product's own, or the tests' door that breaks it on purpose. ``disk`` is
    mounted at the data folder.
    """

    def __init__(
        self,
        home: Path,
        database_url: str = "",
        *,
        entry: str = "app",
        ensemble: Path | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.import_root = home / "brought"
        self.import_root.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url or f"sqlite:///{self.data / 'catalogue.sqlite'}"
        self.client = Client(_free_port())
        self._command = [sys.executable, "-m", entry, "serve"]
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("RESIGHT_")} | {
            "RESIGHT_DATA": str(self.data),
            "RESIGHT_DATABASE_URL": self.database_url,
            "RESIGHT_ENSEMBLE": str(ensemble or build_tiny_ensemble(home / "tiny")),
            "RESIGHT_IMPORT_ROOT": str(self.import_root),
            "RESIGHT_PORT": str(self.client.port),
            "RESIGHT_THREADS": "1",
            "RESIGHT_LOG_LEVEL": "WARNING",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self._disk = disk
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = (home / "service.log").open("ab")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, **environment: str) -> None:
        """Start it; where it stands is for the others to find out."""
        # Away from the checkout: a .env file there is a person's own.
        self._process = subprocess.Popen(
            self._command,
            env=self._environment | environment,
            cwd=self.home,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def command(self, *arguments: str, **environment: str) -> int:
        """Run another command of the product on the same data; its exit code."""
        done = subprocess.run(
            [*self._command[:-1], *arguments],
            env=self._environment | environment,
            cwd=self.home,
            stdout=self._log,
            stderr=self._log,
            check=False,
        )
        return done.returncode

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll() if self._process else 0

    def kill(self) -> None:
        """SIGKILL to the whole group: nothing is flushed, closed or cleaned up. A disk loses its power first."""
        assert self._process is not None
        if self._disk:
            self._disk.cut()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._disk:
            self._disk.back()

    def stop(self) -> None:
        """SIGTERM; raises Broken when it does not end by itself."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken(f"the service did not stop within {_STOP_SECONDS:.0f} s") from None

    def until_ready(self, path: str = "/readyz", within: float = _READY_SECONDS) -> float:
        """Seconds until ``path`` answers 200; raises Broken when it ends or takes too long, Gone after a kill."""
        started = time.perf_counter()
        while (waited := time.perf_counter() - started) < within:
            if (code := self.ended()) is not None:
                raise (Gone if code == -signal.SIGKILL else Broken)(f"the service ended with {code}; {self.tail()}")
            try:
                if self.client.get(path).status == 200:
                    return time.perf_counter() - started
            except Gone:
                pass
            time.sleep(_LOOK)
        raise Broken(f"{path} was not ready within {waited:.0f} s; {self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return (self.home / "service.log").read_text("utf-8", "replace")[-2000:]

    def close(self) -> None:
        """End it if it still runs."""
        if self.ended() is None:
            self.kill()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
