"""What a large import costs: killed at a quarter, a half and three quarters; and beside the bare loop, with bad files.

Usage: python -m benchmarks.ingest_load killed [--photographs 1000 10000] [--database sqlite] [--ensemble NAME]
       python -m benchmarks.ingest_load rate [--photographs 400] [--poison 0 1 100] [--ensemble NAME]

``killed`` draws photographs of 64 to 128 pixels and takes the tests' tiny ensemble unless another one is named: what is
measured is the ingestion, not the nets. It says how many photographs were embedded more than once, the peak memory of
the service, wall time and the cost of a photograph, holds what is stored against what was drawn, and times ``resight
verify``, ``backup`` and ``restore`` on it. ``rate`` takes the released ensemble and synthetic whales, and
bad files of the shared data where they are, else made ones.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

from app.bootstrap import bootstrap, make_survey
from app.config import DEFAULT_ENSEMBLE, Settings
from app.domain.survey import SurveyPlan
from benchmarks.bare import Bare, readable
from tests.crash.at_rest import faults
from tests.crash.campaign import new_database
from tests.crash.client import Client, Gone
from tests.crash.photographs import draw, write_folder
from tests.crash.service import Service

SHARED_DATA = Path(os.environ.get("RESIGHT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
_SIDES = (64, 128)
_KILLS = (0.25, 0.5, 0.75)
_CHUNK_SECONDS = 4.0
_LOOK = 0.2
_PATIENT = 3600.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["killed", "rate"])
    arguments.add_argument("--photographs", type=int, nargs="*")
    arguments.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    arguments.add_argument("--poison", type=int, nargs="*", default=[0, 1, 100])
    arguments.add_argument("--ensemble")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    if given.what == "killed":
        for count in given.photographs or [1000, 10_000]:
            _killed(count, given.database, given.ensemble, given.seed)
    else:
        _rates((given.photographs or [400])[0], given.poison, given.ensemble or DEFAULT_ENSEMBLE)


def _killed(count: int, database: str, ensemble: str | None, seed: int) -> None:
    """One import of ``count`` photographs with three kills."""
    with tempfile.TemporaryDirectory(prefix="resight-load-") as scratch, new_database(database) as url:
        home = Path(scratch)
        told = home / "embedded"
        chosen = Settings(_env_file=None, ensemble=ensemble).ensemble_folder if ensemble else None
        service = Service(home, url, ensemble=chosen, RESIGHT_WITNESS=str(told))
        write_folder(service.import_root / "survey", draw(count, seed, sides=_SIDES))
        memory = _Memory(service)
        service.start()
        service.until_ready()
        patient = Client(service.client.port, _PATIENT)
        started = time.perf_counter()
        answer = patient.post("/imports", {"folder": "survey"})
        assert answer.status == 202, answer
        place = f"/imports/{answer.body['import_id']}"
        accepted = time.perf_counter() - started
        resumed, chance = [], random.Random(seed)
        for share in _KILLS:
            _until(patient, place, share)
            time.sleep(chance.uniform(0, _CHUNK_SECONDS))  # a report changes as a chunk ends: kill anywhere in the next
            final = patient.get(place).body
            service.kill()
            again = time.perf_counter()
            service.start()
            resumed.append(_resumed(service, patient, place, final, again))
        report = _until(patient, place, 1.0, whole=True)
        took = time.perf_counter() - started
        embedded = told.stat().st_size
        memory.stop()
        service.stop()
        indexed = report["rows"]["indexed"]
        kills = ", ".join(f"{share:.0%}" for share in _KILLS)
        first = ", ".join(f"{one:.1f}" for one in resumed)
        again = embedded - count
        print(f"{count} photographs, {database}, {ensemble or 'tiny ensemble'}, killed at {kills}:")
        print(
            f"  accepted after {accepted:.1f} s, through after {took:.1f} s: {1e3 * took / count:.2f} ms a photograph"
        )
        print(f"  indexed {indexed}; embedded more than once: {again}, {again / len(_KILLS):.0f} a kill")
        print(f"  first new row {first} s after a start; peak memory {memory.peak / 1024:.0f} MiB", flush=True)
        assert indexed == count, report
        found = faults(service.data, service.database_url, draw(count, seed, sides=_SIDES))
        print(f"  held against what was drawn: {found or 'nothing lost, nothing twice'}", flush=True)
        assert not found
        _kept(service, home, database)


def _kept(service: Service, home: Path, database: str) -> None:
    """Seconds of the commands that look at everything; a server's database is backed up by its own means."""
    commands = [["verify"]]
    if database == "sqlite":
        commands += [["backup", str(home / "backup")], ["restore", str(home / "backup"), str(home / "restored")]]
    for command in commands:
        started = time.perf_counter()
        code = service.command(*command, within=_PATIENT)
        print(f"  resight {command[0]}: {time.perf_counter() - started:.1f} s, exit code {code}", flush=True)
        assert code == 0, service.tail()


def _until(client: Client, place: str, share: float, *, whole: bool = False) -> dict:
    """The first report that says that so much is final, ``whole`` when the import has ended."""
    while True:
        report = client.get(place).body
        if report["state"] != "running" or (not whole and report["progress"] >= share):
            return report
        time.sleep(_LOOK)


def _resumed(service: Service, client: Client, place: str, before: dict, again: float) -> float:
    """Seconds from the start to the first row that is final and was not before."""
    service.until_ready("/healthz")
    while True:
        try:
            report = client.get(place).body
        except Gone:
            report = before
        if report["progress"] > before["progress"] or report["state"] != "running":
            return time.perf_counter() - again
        time.sleep(_LOOK)


class _Memory:
    """The most resident memory of the service with its children, in KiB, looked at five times a second."""

    def __init__(self, service: Service) -> None:
        self.peak = 0
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK):
            with suppress(AssertionError):  # not yet started
                self.peak = max(self.peak, sum(_resident(self._service.pid)))


def _resident(pid: int) -> Iterator[int]:
    """Of a process and of all below it; one that has just ended has none."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        yield from (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("utf-8").split():
                yield from _resident(int(child))


def _rates(count: int, shares: list[int], ensemble: str) -> None:
    """Photographs a second of the bare loop and of an import with everything that makes it durable, turn by turn."""
    folder = Settings(_env_file=None, ensemble=ensemble).ensemble_folder
    bare = Bare(folder, 1)
    with tempfile.TemporaryDirectory(prefix="resight-load-") as scratch:
        for share in shares:
            survey = Path(scratch) / f"survey-{share}"
            for _ in make_survey(SurveyPlan(photographs=count), survey):
                pass
            spoilt = _spoil(survey, share)
            loop, taken = _looped(bare, survey)
            settings = Settings(_env_file=None, data=Path(scratch) / f"data-{share}", ensemble=str(folder), threads=1)
            rate, rows = _imported(survey, count, settings)
            told = {str(state): number for state, number in rows.items() if number}
            print(
                f"{count} photographs, {spoilt} bad: bare loop {loop:.1f} a second ({taken} taken), resight {rate:.1f}"
            )
            print(f"  ratio {rate / loop:.2f}; {told}", flush=True)


def _imported(survey: Path, count: int, settings: Settings) -> tuple[float, dict]:
    services = bootstrap(settings)
    started = time.perf_counter()
    report = services.ingest.run(services.planning.begin(services.planning.plan(f"path:{survey}")))
    return count / (time.perf_counter() - started), dict(report.rows)


def _looped(bare: Bare, survey: Path) -> tuple[float, int]:
    """The rate of the bare loop, which passes over what it cannot read, and how many photographs it took."""
    paths = [survey / row["path"] for row in _rows(survey / "metadata.csv")]
    taken, started = 0, time.perf_counter()
    for start in range(0, len(paths), 8):
        pictures = readable([path.read_bytes() for path in paths[start : start + 8]])
        if pictures:
            bare.index.add(bare.embed_pictures(pictures))
            taken += len(pictures)
    return len(paths) / (time.perf_counter() - started), taken


def _spoil(survey: Path, share: int) -> int:
    """Put bad files into the place of so many in a hundred photographs; how many."""
    paths = [survey / row["path"] for row in _rows(survey / "metadata.csv")]
    chosen = paths[:: 100 // share] if share else []
    for path, content in zip(chosen, islice(_bad(), len(chosen)), strict=True):
        path.write_bytes(content)
    return len(chosen)


def _bad() -> Iterator[bytes]:
    """Files that no photograph is made of, for ever."""
    baseline = SHARED_DATA / "bad-inputs" / "BASELINE_PILLOW.csv"
    if baseline.is_file():
        names = [row["file"] for row in _rows(baseline) if row["outcome"] == "reject"]
        return ((baseline.parent / name).read_bytes() for name in cycle(names))
    whole = next(draw(1, 0)).content
    return cycle([b"", b"no photograph", whole[: len(whole) // 2], os.urandom(2000), whole[:2] + os.urandom(2000)])


def _rows(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(newline="") as lines:
        return list(csv.DictReader(lines))


if __name__ == "__main__":
    main()
