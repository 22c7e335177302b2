"""The real service in a process group of its own, so that all of it can be killed at once."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.crash.client import Broken, Client, Gone
from tests.crash.nursery import Nursery
from tests.crash.power import Disk
from tests.tiny_ensemble import build_tiny_ensemble

ROOT = Path(__file__).parents[2]
_LOOK = 0.02
_READY_SECONDS = 180.0
_STOP_SECONDS = 60.0
_COMMAND_SECONDS = 300.0


@cache
def nursery() -> Nursery:
    """The one of this process."""
    return Nursery(ROOT)


class Service:
    """``resight serve`` below ``home``: data, import root, ensemble and log each have their place there.

    ``disk`` is mounted at the data folder; ``environment`` goes before what the service is told here.
    """

    def __init__(
        self,
        home: Path,
        database_url: str = "",
        *,
        ensemble: Path | None = None,
        disk: Disk | None = None,
        **environment: str,
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.import_root = home / "brought"
        self.import_root.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url or f"sqlite:///{self.data / 'catalogue.sqlite'}"
        self.client = Client(_free_port())
        self._disk = disk
        self._pid: int | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RESIGHT_")},
            "RESIGHT_DATA": str(self.data),
            "RESIGHT_DATABASE_URL": database_url,
            "RESIGHT_ENSEMBLE": str(ensemble or build_tiny_ensemble(home / "tiny")),
            "RESIGHT_IMPORT_ROOT": str(self.import_root),
            "RESIGHT_PORT": str(self.client.port),
            "RESIGHT_THREADS": "1",
            "RESIGHT_LOG_LEVEL": "WARNING",
            **environment,
        }

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        assert self._pid is not None
        return self._pid

    def start(self, **environment: str) -> None:
        """Start it; where it stands is for the others to find out."""
        # Away from the checkout: a .env file there is a person's own.
        self._pid = nursery().start(["serve"], self._environment | environment, self.home, self._log)

    def command(self, *arguments: str, within: float = _COMMAND_SECONDS, **environment: str) -> int:
        """Run another command of the product on the same data; its exit code. Raises Broken when it takes too long."""
        pid = nursery().start(list(arguments), self._environment | environment, self.home, self._log)
        return _wait(pid, within, f"resight {arguments[0]}")

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return 0 if self._pid is None else nursery().poll(self._pid)

    def kill(self) -> None:
        """SIGKILL to the whole group: nothing is flushed, closed or cleaned up. A disk loses its power first."""
        if self._disk:
            self._disk.cut()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        _wait(self.pid, _STOP_SECONDS, "a killed service")
        if self._disk:
            self._disk.back()

    def stop(self) -> None:
        """SIGTERM; raises Broken when it does not end by itself."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            _wait(self.pid, _STOP_SECONDS, "a service that was asked to stop")
        except Broken:
            self.kill()
            raise

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
        return self._log.read_text("utf-8", "replace")[-2000:] if self._log.exists() else ""

    def close(self) -> None:
        """End it if it still runs."""
        if self._pid is not None and self.ended() is None:
            self.kill()

    @property
    def _log(self) -> Path:
        return self.home / "service.log"


def _wait(pid: int, seconds: float, who: str) -> int:
    until = time.monotonic() + seconds
    while (code := nursery().poll(pid)) is None:
        if time.monotonic() > until:
            raise Broken(f"{who} did not end within {seconds:.0f} s")
        time.sleep(_LOOK)
    return code


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
