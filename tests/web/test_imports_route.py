"""Imports over HTTP: checked in the request, worked off beside it."""

import errno

import anyio
import pytest
from fastapi import Request
from starlette.testclient import TestClient

from app.config import Settings
from app.domain.errors import BadArchive, Fault, NotAllowed, StorageFull
from app.main import create_app
from app.services.plan import TRIALS
from tests.fakes import FakeSheet, photo, sighting

ARCHIVE = b"PK of two rows"


@pytest.fixture
def archive(world):
    """An upload that opens as a sheet of two new whales."""
    rows = [sighting(row, f"whale{row}", encounter=f"meeting{row}", source_id=f"new{row}") for row in (40, 41)]
    sheet = FakeSheet(rows, {row.path: photo(row.row) for row in rows})
    world.uploads.archives[ARCHIVE] = sheet
    return sheet


def post(client, **fields):
    return client.post("/imports", files={"archive": ("survey.zip", ARCHIVE)}, data=fields)


def test_an_archive_is_accepted_and_worked_off(client, world, archive):
    """202 with the address of the report; in the end every row is indexed and the upload is gone."""
    world.jobs.held = True
    answer = post(client)
    assert (answer.status_code, answer.headers["location"]) == (202, "/imports/2")
    assert (answer.json()["state"], answer.json()["progress"]) == ("running", 0)
    world.jobs.release()
    report = client.get(answer.headers["location"]).json()
    assert (report["state"], report["progress"], report["total"]) == ("done", 1, 2)
    assert report["rows"] == {
        "waiting": 0,
        "stored": 0,
        "indexed": 2,
        "unchanged": 0,
        "refused": 0,
        "quarantined": 0,
        "cancelled": 0,
    }
    assert report["source"] == "upload"
    assert not [name for name in world.opened if name.startswith("upload:")]
    assert client.get("/individuals/whale40").status_code == 200


def test_a_folder_under_the_import_root_is_imported(client, world, archive):
    """By its name; what may be named is for the Sheets port to say."""
    world.opened["folder:summer"] = archive
    answer = client.post("/imports", data={"folder": "summer"})
    assert (answer.status_code, answer.json()["source"]) == (202, "folder:summer")


def test_a_dry_run_writes_nothing(client, world, archive):
    """200 with counts; neither an import nor an upload is left."""
    version = world.catalogue.version()
    answer = post(client, dry_run="true")
    assert answer.status_code == 200
    assert answer.json() == {
        "format": "contest",
        "ignored_columns": ["height", "width"],
        "rows": 2,
        "individuals": 2,
        "encounters": 2,
        "viewpoints": {"top": 2},
        "new": 2,
        "unchanged": 0,
        "refused_rows": 0,
        "refused": [],
    }
    assert world.catalogue.version() == version
    assert client.get("/imports/2").json()["code"] == "unknown_import"
    assert not [name for name in world.opened if name.startswith("upload:")]


def test_faults_are_told_by_row_and_column(client, world, archive):
    """422 with each fault and their number; nothing is kept."""
    archive.rows.insert(0, Fault(40, "path", "'040.png' is not in the archive"))
    answer = post(client)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["total"]) == (422, "bad_rows", 1)
    assert (problem["faults"][0]["row"], problem["faults"][0]["column"]) == (40, "path")
    assert not [name for name in world.opened if name.startswith("upload:")]


def test_refused_rows_are_listed_with_their_reason(client, archive):
    """One torn photograph is one refused row, and a dry run says the same of it."""
    archive.photographs[archive.rows[0].path] = photo(40, kind="JPEG")[:-200]
    report = client.get(post(client).headers["location"]).json()
    assert (report["state"], report["progress"]) == ("done", 1)
    assert [(row["row"], row["source_id"]) for row in report["refused"]] == [(40, "new40")]
    assert report["refused"][0]["reason"]


@pytest.mark.parametrize(("stays", "opened"), [(0, 0), (2, 1)])
def test_a_dry_run_ends_when_nobody_waits_for_it(world, archive, monkeypatch, stays, opened):
    """At the next photograph; what it was given is forgotten, and its place is free for another one."""
    asked, seen, read = [], [], archive.read

    async def gone(_):
        asked.append(1)
        return len(asked) > stays

    monkeypatch.setattr(Request, "is_disconnected", gone)
    monkeypatch.setattr(archive, "read", lambda path: seen.append(path) or read(path), raising=False)
    services = world.services
    with TestClient(create_app(services, Settings(_env_file=None))) as client:
        assert post(client, dry_run="true").json()["detail"] == "the client went away before its answer was there"
    assert len(seen) == opened
    assert not [name for name in world.opened if name.startswith("upload:")]
    assert services.planning._trials._value == TRIALS


def test_a_line_that_breaks_ends_a_dry_run(world, archive, monkeypatch):
    """As the server tells of it, through every layer in between: no photograph is opened any more."""
    world.opened["folder:summer"], seen = archive, []
    monkeypatch.setattr(archive, "read", seen.append, raising=False)
    form = b"folder=summer&dry_run=true"
    told = iter([{"type": "http.request", "body": form, "more_body": False}])
    headers = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(form)), "host": "here"}
    scope = {"type": "http", "method": "POST", "path": "/imports", "raw_path": b"/imports", "query_string": b""}
    scope |= {
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "http_version": "1.1",
        "scheme": "http",
    }
    statuses = []

    async def receive():
        return next(told, {"type": "http.disconnect"})

    async def send(message):
        statuses.append(message.get("status"))

    anyio.run(create_app(world.services, Settings(_env_file=None)), scope | {"server": ("here", 80)}, receive, send)
    assert (statuses[0], seen) == (422, [])


def test_a_dry_run_tells_which_rows_will_be_refused(client, archive):
    """With the reason that the import gives later."""
    archive.photographs[archive.rows[1].path] = photo(41, kind="JPEG")[:-200]
    trial = post(client, dry_run="true", format="contest").json()
    report = client.get(post(client).headers["location"]).json()
    assert (trial["new"], trial["refused_rows"]) == (1, 1)
    assert trial["refused"] == report["refused"]


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        (None, {}),
        ({"archive": ("a.zip", ARCHIVE)}, {"folder": "summer"}),
        (None, {"folder": "a\x00b"}),
        (None, {"folder": "x" * 1001}),
        (None, {"folder": ["a", "b"]}),
        (None, {"folder": "a", "dry_run": "perhaps"}),
        ({"archive": ("a.zip", b"no zip")}, {}),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(client, files, fields):
    """422, and no import is begun."""
    assert client.post("/imports", files=files, data=fields).status_code == 422
    assert client.get("/imports/2").status_code == 404


def test_a_folder_outside_the_root_is_not_allowed(client, world, monkeypatch):
    """403, whatever the folder holds."""

    def closed(source):
        raise NotAllowed("lies outside")

    monkeypatch.setattr(type(world.sheets), "open", lambda self, source: closed(source))
    answer = client.post("/imports", data={"folder": "../../etc"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_a_report_shows_no_path_of_the_server(client, world, archive):
    """An import by the command line is told as one, without its folder."""
    world.bring(archive.rows, list(archive.photographs.values()), "path:/home/someone/survey")
    assert client.get("/imports/2").json()["source"] == "path"


def test_an_import_without_its_ensemble_is_not_begun(client, world, archive):
    """503, and the upload is not left behind."""
    world.embedder.broken = "a member is damaged"
    assert post(client).status_code == 503
    assert not [name for name in world.opened if name.startswith("upload:")]


def test_a_failed_import_says_why(client, world, archive, monkeypatch):
    """Its report is kept, its upload is not: an archive that is at fault may be mended and posted again."""

    def damaged(_, source):
        raise BadArchive("the archive is damaged")

    world.jobs.held = True
    address = post(client).headers["location"]
    monkeypatch.setattr(type(world.sheets), "open", damaged)
    world.jobs.release()
    report = client.get(address).json()
    assert (report["state"], report["reason"]) == ("failed", "the archive is damaged")
    assert report["progress"] == 0
    assert not [name for name in world.opened if name.startswith("upload:")]


def test_a_full_disk_is_told_as_such(client, world, archive, monkeypatch):
    """507 with Retry-After, whether the archive could not be kept or not even be received."""

    def full(*_):
        raise StorageFull("the disk is full")

    monkeypatch.setattr(world.uploads, "store", full)
    answer = post(client)
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert "retry-after" in answer.headers

    async def spool(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", spool)
    assert post(client).status_code == 507
