"""The demo: a catalogue, the service in the background, and one match through its HTTP door."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import typer

from app import cli_show as show

_START_SECONDS = 60


def run(folder: Path, catalogue: Path | None, port: int) -> None:
    """Make everything ready under ``folder``, match one photograph, leave the service running and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    stop(folder)
    survey = catalogue or folder / "survey"
    if catalogue is None:
        _resight("survey", str(survey))
    data = folder / (f"data-{catalogue.resolve().name}" if catalogue else "data-synthetic")
    _resight("import", str(survey), "--data", str(data))
    url = _start(folder, data, port)
    _match_one(url, survey)
    show.console.print(f"\nOpen {url} to try another photograph; `make demo-stop` ends the service.", highlight=False)


def stop(folder: Path) -> None:
    """Stop the demo's service if it runs."""
    mark = folder / "service.pid"
    if not mark.exists():
        return
    pid = int(mark.read_text())
    with suppress(ProcessLookupError):
        if _is_ours(pid):
            os.kill(pid, signal.SIGTERM)
    mark.unlink()


def _is_ours(pid: int) -> bool:
    """Whether the process still is the demo's service: a number may have gone to another program since."""
    line = Path(f"/proc/{pid}/cmdline")
    return not line.exists() or b"serve" in line.read_bytes()


def _resight(*arguments: str) -> None:
    command = [sys.executable, "-m", "app", *arguments]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command line
        raise typer.Exit(1)


def _start(folder: Path, data: Path, port: int) -> str:
    port = _free(port)
    command = [sys.executable, "-m", "app", "serve", "--data", str(data), "--port", str(port)]
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - as above
    (folder / "service.pid").write_text(str(service.pid))
    url = f"http://127.0.0.1:{port}"
    for _ in range(_START_SECONDS * 5):
        with suppress(URLError, ConnectionError), urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - loopback
            return url
        if service.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit(f"the service did not get ready; see {folder / 'service.log'}")


def _free(port: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _match_one(url: str, survey: Path) -> None:
    """Ask with a held-out photograph where the survey has one, otherwise with the first of the catalogue."""
    sheet = survey / "query" / "truth.csv"
    if not sheet.exists():
        sheet = survey / "metadata.csv"
    with sheet.open(newline="") as lines:
        row = next(csv.DictReader(lines))
    photograph = survey / row["path"]
    show.console.print(
        f"\nWho is this? {photograph} (the truth: {row.get('whale_id') or 'not known'})", highlight=False
    )
    fields = {"viewpoint": row.get("viewpoint") or "unknown", "group_by": "individual", "limit": "10"}
    if row.get("date"):
        fields["date"] = row["date"]
    show.answered(_post(f"{url}/match", fields, photograph.read_bytes()))


def _post(url: str, fields: dict[str, str], photograph: bytes) -> dict[str, Any]:
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n\r\n'
    body = b"".join([*parts, head.encode(), photograph, f"\r\n--{boundary}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urlopen(Request(url, body, headers), timeout=60) as answer:  # noqa: S310 - loopback
        found: dict[str, Any] = json.load(answer)
        return found
