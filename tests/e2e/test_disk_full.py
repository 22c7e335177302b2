"""A disk that fills up during an import, on a real small file system."""

from __future__ import annotations

import csv
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.config import Settings
from tests.e2e.test_service import service

PHOTOGRAPHS = 600
PIXELS = (200, 125)  # of noise: a PNG of 75 kB; a chunk of 200 is 15 MB, and all of them are more than the disk takes


def mounted(*options: str, on: Path) -> bool:
    return not subprocess.run(["mount", *options, on], check=False, capture_output=True).returncode


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", on=folder):
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def brought(tmp_path) -> Path:
    """A folder of photographs that does not fit on the disk."""
    root = tmp_path / "root"
    (root / "survey").mkdir(parents=True)
    drawn = np.random.default_rng(1)
    with (root / "survey" / "metadata.csv").open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["image_id", "path", "viewpoint", "date", "individual_id"])
        for number in range(PHOTOGRAPHS):
            noise = drawn.integers(0, 255, (*PIXELS, 3), np.uint8)
            Image.fromarray(noise).save(root / "survey" / f"{number}.png", compress_level=0)
            sheet.writerow([f"image{number}", f"{number}.png", "top", "2019-08-05", f"whale{number % 7}"])
    return root


def within(seconds: float, holds) -> float:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds
        time.sleep(0.2)
    return time.monotonic() - start


@pytest.mark.slow
def test_an_import_waits_for_room_and_goes_on_by_itself(disk, brought):
    """Full: the job waits, uploads get 507, matching and 50 edits go on; with room it ends by itself, nothing lost."""
    settings = Settings(_env_file=None, data=disk / "data", import_root=brought, reserve_bytes=30_000_000)
    statuses = []
    with service(settings) as client:
        client.event_hooks["response"].append(lambda answer: statuses.append(answer.status_code))
        begun = client.post("/imports", data={"folder": "survey"})
        assert begun.status_code == 202, begun.text
        job = begun.json()["job_id"]
        within(120, lambda: client.get(f"/jobs/{job}").json()["state"] == "waiting_disk")
        stored = client.get(begun.headers["location"]).json()["rows"]["stored"]
        assert 0 < stored < PHOTOGRAPHS

        archive = client.post("/imports", files={"archive": ("a.zip", bytes(20_000_000), "application/zip")})
        assert (archive.status_code, archive.json()["code"]) == (507, "storage_full")
        assert int(archive.headers["retry-after"]) > 0
        photograph = (brought / "survey" / "0.png").read_bytes()
        assert client.post("/match", files={"image": ("a.png", photograph)}).status_code in {200, 503}
        changed = 0
        for number in range(1, 51):
            revision = client.get(f"/annotations/{number}").json()["revision"]
            answer = client.patch(f"/annotations/{number}", json={"viewpoint": "left", "revision": revision})
            changed += answer.status_code in {200, 202}
        assert changed == 50

        assert mounted("-o", "remount,size=256m", on=disk)
        within(30, lambda: client.get(f"/jobs/{job}").json()["state"] == "running")
        within(120, lambda: client.get(begun.headers["location"]).json()["state"] == "done")
        assert client.get(begun.headers["location"]).json()["rows"]["indexed"] == PHOTOGRAPHS
        assert client.post("/match", files={"image": ("a.png", photograph)}).json()["candidates"][0]["same_photograph"]
    assert {status for status in statuses if status >= 500} <= {503, 507}
