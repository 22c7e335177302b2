"""The service against the bare loop, both in one run: import with durability, /match alone, /match with 8 clients.

Usage: python -m benchmarks.service [CATALOGUE] [--photographs 600]   (without a catalogue: a synthetic survey)
"""

from __future__ import annotations

import argparse
import csv
import http.client
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from app.bootstrap import bootstrap, make_survey
from app.config import Settings
from app.domain.survey import SurveyPlan
from benchmarks.bare import Bare, best_threads

CLIENTS = 8


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("catalogue", type=Path, nargs="?")
    arguments.add_argument("--photographs", type=int, default=600)
    arguments.add_argument("--queries", type=int, default=100)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = _sample(given.catalogue, Path(scratch) / "survey", given.photographs)
        paths = [folder / row["path"] for row in _rows(folder / "metadata.csv")]
        settings = Settings(data=Path(scratch) / "data")
        bares = {threads: Bare(settings.ensemble_folder, threads) for threads in best_threads()}
        _import(folder, paths, settings, bares)
        _match(paths[: given.queries], settings, bares)


def _import(folder: Path, paths: list[Path], settings: Settings, bares: dict[int, Bare]) -> None:
    rates = {}
    for threads, bare in bares.items():
        started = time.perf_counter()
        for start in range(0, len(paths), 8):
            bare.index.add(bare.embed([path.read_bytes() for path in paths[start : start + 8]]))
        rates[threads] = len(paths) / (time.perf_counter() - started)
    services = bootstrap(settings)
    started = time.perf_counter()
    plan = services.planning.plan(f"path:{folder}")
    report = services.ingest.run(services.planning.begin(plan))
    ours = len(paths) / (time.perf_counter() - started)
    assert report.total == len(paths), report
    best = max(rates.values())
    print(f"import     bare {_listed(rates)} photographs/s; resight {ours:.1f}; ratio {ours / best:.2f} (target 0.85)")


def _match(paths: list[Path], settings: Settings, bares: dict[int, Bare]) -> None:
    contents = [path.read_bytes() for path in paths]
    bodies = [_body(content) for content in contents]
    port = _free_port()
    command = [sys.executable, "-m", "app", "serve", "--data", str(settings.data), "--port", str(port)]
    service = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait(service, port)
        for body in bodies[:5]:
            _post(port, body)
        # Alternating, so that a change of the machine's speed falls on both.
        ours: list[float] = []
        bare: dict[int, list[float]] = {threads: [] for threads in bares}
        for content, body in zip(contents, bodies, strict=True):
            ours.append(_timed(lambda body=body: _post(port, body)))
            for threads, one in bares.items():
                bare[threads].append(_timed(lambda one=one, content=content: one.match(content)))
        medians = {threads: median(times) * 1e3 for threads, times in bare.items()}
        p50 = median(ours) * 1e3
        ratio = p50 / min(medians.values())
        print(f"/match p50 bare {_listed(medians)} ms; resight {p50:.1f}; ratio {ratio:.2f} (target 1.25)")
        rates = {}
        for threads, one in bares.items():
            took = _timed(lambda one=one: [one.embed(contents[i : i + 8]) for i in range(0, len(contents), 8)])
            rates[threads] = len(contents) / took
        with ThreadPoolExecutor(CLIENTS) as clients:
            rate = len(bodies) / _timed(lambda: list(clients.map(lambda body: _post(port, body), bodies)))
        best = max(rates.values())
        print(
            f"8 clients  bare batch {_listed(rates)} photographs/s; "
            f"resight {rate:.1f}; ratio {rate / best:.2f} (target 0.85)"
        )
    finally:
        service.terminate()
        service.wait()


def _sample(catalogue: Path | None, folder: Path, count: int) -> Path:
    """A folder of ``count`` photographs: the first of a catalogue, or synthetic ones."""
    if catalogue is None:
        for _ in make_survey(SurveyPlan(photographs=count), folder):
            pass
        return folder
    rows = _rows(catalogue / "metadata.csv")[:count]
    for row in rows:
        copy = folder / row["path"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((catalogue / row["path"]).read_bytes())
    with (folder / "metadata.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _rows(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _body(content: bytes) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="viewpoint"\r\n\r\ntop\r\n'
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), boundary


def _post(port: int, body: tuple[bytes, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/match", body[0], {"Content-Type": f"multipart/form-data; boundary={body[1]}"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(service: subprocess.Popen, port: int) -> None:
    for _ in range(300):
        if service.poll() is not None:
            raise SystemExit(f"the service ended with {service.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit("the service did not get ready")


def _timed(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _listed(figures: dict[int, float]) -> str:
    return ", ".join(f"{figure:.1f} ({threads} thread{'s' * (threads > 1)})" for threads, figure in figures.items())


if __name__ == "__main__":
    main()
