"""The service over HTTP on everything that bootstrap wires: an archive goes in, candidates and pictures come out."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.bootstrap import bootstrap
from app.config import Settings
from app.main import create_app
from tests.databases import postgres_catalogue

PHOTOGRAPHS = 64


@contextmanager
def service(settings: Settings) -> Iterator[TestClient]:
    """The service with its jobs, once its first one has looked after the index; it stops at the end."""
    services = bootstrap(settings)
    with TestClient(create_app(services, settings), raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client
    services.browse.catalogue.close()


def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("30 seconds have passed")


@pytest.fixture(params=["sqlite", "postgres"])
def client(request) -> Iterator[TestClient]:
    """The service on an empty catalogue."""
    database = postgres_catalogue() if request.param == "postgres" else nullcontext("")
    with database as url, service(Settings(_env_file=None, database_url=url)) as opened:
        yield opened


def packed(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(folder / "metadata.csv", "metadata.csv")
        for path in sorted((folder / "images").iterdir()):
            archive.write(path, f"images/{path.name}")
    return content.getvalue()


def imported(client: TestClient, archive: bytes) -> dict[str, object]:
    """The report of an import of ``archive`` when it has ended."""
    begun = client.post("/imports", files={"archive": ("survey.zip", archive, "application/zip")})
    assert begun.status_code == 202, begun.text
    until(lambda: client.get(begun.headers["location"]).json()["state"] != "running")
    return client.get(begun.headers["location"]).json()


def test_an_archive_goes_in_and_candidates_come_out(client, drawn):
    """Import over HTTP until it is done, then match, pictures and individuals; importing once more adds nothing."""
    report = imported(client, packed(drawn))
    assert (report["state"], report["rows"]["indexed"], report["progress"]) == ("done", PHOTOGRAPHS, 1.0)

    with (drawn / "metadata.csv").open(newline="") as lines:
        asked = next(csv.DictReader(lines))
    photograph = (drawn / asked["path"]).read_bytes()
    fields = {"viewpoint": asked["viewpoint"], "limit": "3"}
    found = client.post("/match", files={"image": ("a.jpg", photograph)}, data=fields).json()
    best = found["candidates"][0]
    assert (best["source_id"], best["same_photograph"], len(found["candidates"])) == (asked["image_id"], True, 3)
    assert found["receipt"]["gallery"] == PHOTOGRAPHS

    for picture in (best["thumbnail"], best["image"]):
        answer = client.get(picture)
        assert (answer.status_code, answer.content[:2]) == (200, b"\xff\xd8")
        assert b"synthetic" not in answer.content

    question = {"annotation_id": str(best["annotation_id"]), "exclude_own_encounter": "true", "limit": "100"}
    candidates = client.post("/match", data=question).json()["candidates"]
    assert candidates
    assert asked["encounter_id"] not in {one["encounter"] for one in candidates}

    individuals = client.get("/individuals").json()["individuals"]
    assert sum(one["annotations"] for one in individuals) == PHOTOGRAPHS
    seen = client.get(f"/individuals/{asked['whale_id']}").json()["seen"]
    assert asked["image_id"] in {one["source_id"] for one in seen}
    assert asked["whale_id"] in client.get("/").text

    again = imported(client, packed(drawn))
    assert again["rows"]["unchanged"] == PHOTOGRAPHS
    assert client.get("/individuals").json()["individuals"] == individuals


def test_a_catalogue_outlives_the_service(drawn):
    """A second service on the same data answers as the first one did."""
    answers = []
    for start in range(2):
        with service(Settings(_env_file=None)) as client:
            if start == 0:
                imported(client, packed(drawn))
            answers.append(client.post("/match", data={"annotation_id": "1"}).json()["candidates"])
    assert answers[0]
    assert answers[0] == answers[1]
