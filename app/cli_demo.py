"""The demo: a catalogue, the service in the background, and one match through its HTTP door."""

from __future__ import annotations

import csv
import hashlib
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
from urllib.parse import quote
from urllib.request import Request, urlopen

import typer

from app import cli_show as show

_START_SECONDS = 60
_STOP_SECONDS = 30
# Of a large catalogue so many individuals are listed, and so many looked at, to find one that was met twice.
_LISTED, _LOOKED_AT = 200, 20

Json = dict[str, Any]


def run(folder: Path, catalogue: Path | None, port: int) -> None:
    """Make everything ready under ``folder``, match one photograph, leave the service running and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    stop(folder)
    survey = catalogue or folder / "survey"
    if catalogue is None:
        _resight("survey", str(survey))
    data = folder / catalogue_folder(catalogue)
    _resight("import", str(survey), "--data", str(data))
    url = _start(folder, data, port)
    answer = _match_catalogued(url) if catalogue else _match_held_out(url, survey)
    if answer is None:
        show.console.print("\nNo individual of this catalogue has a name.")
    else:
        show.answered(answer, as_json=False)
    show.console.print(f"\nOpen {url} to try another photograph; `make demo-stop` ends the service.", highlight=False)


def catalogue_folder(catalogue: Path | None) -> str:
    """The data folder's name: two catalogues of one name that lie in different places do not share it."""
    if catalogue is None:
        return "data-synthetic"
    place = catalogue.resolve()
    return f"data-{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def stop(folder: Path) -> None:
    """Stop the demo's service if it runs, and wait until it has ended."""
    mark = folder / "service.json"
    if not mark.exists():
        return
    noted = json.loads(mark.read_text())
    pid, argv = int(noted["pid"]), noted["argv"]
    if not Path("/proc/self/cmdline").exists():
        raise SystemExit(f"this system does not tell what process {pid} is: end it yourself, then remove {mark}")
    if _argv(pid) == argv:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for _ in range(_STOP_SECONDS * 10):
        if _argv(pid) != argv:
            mark.unlink()
            return
        time.sleep(0.1)
    raise SystemExit(f"the service (process {pid}) was told to stop and has not ended yet")


def _argv(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended. A number may have gone to another program since."""
    try:
        return [os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    except OSError:
        return []


def _resight(*arguments: str) -> None:
    command = [sys.executable, "-m", "app", *arguments]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command line
        raise typer.Exit(1)


def _start(folder: Path, data: Path, port: int) -> str:
    port = _free(port)
    command = [sys.executable, "-m", "app", "serve", "--data", str(data), "--port", str(port)]
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - as above
    (folder / "service.json").write_text(json.dumps({"pid": service.pid, "argv": command}))
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
        # As the service does: connections of the demo before, which are still being closed, do not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _match_held_out(url: str, survey: Path) -> Json:
    """Ask with a photograph that the synthetic survey does not hold, of an individual that it does."""
    with (survey / "query" / "truth.csv").open(newline="") as lines:
        row = next(csv.DictReader(lines))
    photograph = survey / row["path"]
    _ask(f"{photograph}, which the catalogue does not hold", row["whale_id"])
    fields = {"viewpoint": row["viewpoint"], "date": row["date"], "group_by": "individual", "limit": "10"}
    return _post(f"{url}/match", fields, photograph.read_bytes())


def _match_catalogued(url: str) -> Json | None:
    """Ask with a catalogued annotation, leaving out its own encounter: would it be known on another day?

    None for a catalogue in which nobody has a name.
    """
    asked = _answerable(url)
    if asked is None:
        return None
    left_out = "its own encounter" if asked["encounter"] else "only itself, as its encounter is not known,"
    _ask(f"{asked['source_id']}, {left_out} left out", asked["individual"])
    fields = {"annotation_id": str(asked["annotation_id"]), "group_by": "individual", "limit": "10"}
    return _post(f"{url}/match", fields | {"exclude_own_encounter": "true"})


def _ask(what: str, truth: str | None) -> None:
    show.console.print(f"\nWho is this? {what} (the truth: {truth or 'not known'})", highlight=False, markup=False)


def _answerable(url: str) -> Json | None:
    """An annotation whose individual was seen from the same side in another encounter, or what comes nearest to it."""
    listed: list[Json] = _get(f"{url}/individuals?limit={_LISTED}")["individuals"]
    listed.sort(key=lambda one: (min(one["encounters"], 2), min(one["annotations"], 2)), reverse=True)
    nearest: Json | None = None
    for one in listed[:_LOOKED_AT]:
        seen: list[Json] = _get(f"{url}/individuals/{quote(one['name'], safe='')}")["seen"]
        for asked in seen:
            if any(answers(other, asked) for other in seen):
                return asked
        nearest = nearest or seen[0]
    return nearest


def answers(other: Json, asked: Json) -> bool:
    """Whether finding ``other`` would be a right answer for ``asked`` without its own encounter."""
    elsewhere = asked["encounter"] is None or other["encounter"] != asked["encounter"]
    return bool(elsewhere and other["image"] != asked["image"] and other["viewpoint"] == asked["viewpoint"])


def _get(url: str) -> Json:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
        found: Json = json.load(answer)
        return found


def _post(url: str, fields: dict[str, str], photograph: bytes | None = None) -> Json:
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if photograph is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n\r\n'
        parts += [head.encode(), photograph, b"\r\n"]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    with urlopen(Request(url, body, headers), timeout=60) as answer:  # noqa: S310 - loopback
        found: Json = json.load(answer)
        return found
