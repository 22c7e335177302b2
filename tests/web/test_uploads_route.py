"""Upload sessions over HTTP: photographs one by one, resumed after a break, committed once."""

import base64
import hashlib

import pytest

from app.domain.errors import StorageFull
from app.domain.ingestion import ImportState
from tests.fakes import photo

SHEET = b"image_id,path,viewpoint,date,whale_id\nn1,a b/1.png,top,2019,Ana\nn2,2.png,left,2019-08,Bo\n"


@pytest.fixture
def address(client) -> str:
    answer = client.post("/uploads")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/uploads/{answer.json()['upload_id']}"
    return answer.headers["location"]


def put(client, address, path, content, **extra):
    return client.put(f"{address}/photographs/{path}", content=content, **extra)


def fill(client, address) -> None:
    assert put(client, address, "a b/1.png", photo(31)).status_code == 201
    assert put(client, address, "2.png", photo(32)).status_code == 201
    assert client.put(f"{address}/sheet", content=SHEET).status_code == 201


def test_a_session_becomes_an_import(client, address):
    """Committed, it is worked off like any import; committing again answers the same one."""
    fill(client, address)
    answer = client.post(f"{address}/commit")
    assert answer.status_code == 202, answer.text
    report = client.get(answer.headers["location"]).json()
    assert (report["state"], report["rows"]["indexed"], report["source"]) == ("done", 2, "session")
    again = client.post(f"{address}/commit", data={"format": "contest"})
    assert (again.status_code, again.headers["location"]) == (202, answer.headers["location"])
    assert client.get("/individuals/Ana").status_code == 200


def test_a_commit_after_a_failed_import_begins_another(client, address, world):
    """Nothing has to be sent again."""
    fill(client, address)
    world.jobs.held = True
    first = client.post(f"{address}/commit").json()["import_id"]
    assert client.post(f"{address}/commit").json()["import_id"] == first
    world.catalogue.finish_import(first, ImportState.FAILED, "unexpected error; see the log")
    world.jobs.held = False
    second = client.post(f"{address}/commit").json()
    assert second["import_id"] != first
    assert client.get(f"/imports/{second['import_id']}").json()["state"] == "done"
    assert client.post(f"{address}/commit").json()["import_id"] == second["import_id"]


def test_a_broken_line_is_taken_up_where_it_was(client, address):
    """What is listed is on disk, with its hash; pages follow each other."""
    fill(client, address)
    first = client.get(address, params={"limit": 1}).json()
    assert (first["photographs"], first["import_id"], first["sheet"]["size"]) == (2, None, len(SHEET))
    assert first["received"][0]["sha256"] == hashlib.sha256(photo(31)).hexdigest()
    second = client.get(first["next"]).json()
    assert ([one["path"] for one in second["received"]], second["next"]) == (["2.png"], None)
    assert client.get(address, params={"after": 9}).json()["received"] == []


def test_faults_leave_the_session_open(client, address, world):
    """A sheet that names what did not come is told so and can be sent again."""
    fill(client, address)
    client.put(f"{address}/sheet", content=SHEET + b"n3,gone.png,top,2019,Cy\n")
    answer = client.post(f"{address}/commit")
    assert (answer.status_code, answer.json()["faults"][0]["row"]) == (422, 4)
    client.put(f"{address}/sheet", content=SHEET)
    version = world.catalogue.version()
    trial = client.post(f"{address}/commit", data={"dry_run": "true"})
    assert (trial.status_code, trial.json()["new"]) == (200, 2)
    assert world.catalogue.version() == version
    assert client.post(f"{address}/commit").status_code == 202


def test_other_bytes_than_announced_are_refused(client, address):
    """By Content-Digest or parameter; what is no digest is refused as well, and nothing is kept."""
    digest = hashlib.sha256(b"bytes").digest()
    header = {"content-digest": f"sha-256=:{base64.b64encode(digest).decode()}:"}
    assert put(client, address, "a.png", b"bytes", headers=header).status_code == 201
    for extra in ({"headers": header}, {"params": {"sha256": digest.hex()}}):
        answer = put(client, address, "b.png", b"other", **extra)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_digest")
    for extra in ({"headers": {"content-digest": "md5=:AAAA:"}}, {"params": {"sha256": "abc"}}):
        assert put(client, address, "b.png", b"bytes", **extra).json()["code"] == "invalid_input"
    assert client.get(address).json()["photographs"] == 1


def test_large_photographs_come_in_pieces(client, address):
    """What is longer than a piece is whole, too."""
    content = bytes(range(256)) * 1_000
    answer = client.put(f"{address}/photographs/a.png", content=(content for _ in range(9)))
    assert (answer.status_code, answer.json()["size"]) == (201, 9 * len(content))


def test_limits_are_told(client, address, world, monkeypatch):
    """413 for a file that is too large, 507 for a full disk."""
    world.sessions.most = 3
    answer = put(client, address, "a.png", b"1234")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    def full(*_):
        raise StorageFull("the disk is full")

    monkeypatch.setattr(world.sessions, "receive", full)
    assert put(client, address, "a.png", b"1").status_code == 507
    monkeypatch.setattr(world.sessions, "create", full)
    assert client.post("/uploads").status_code == 507


@pytest.mark.parametrize("path", ["..%2Fa.png", "%2e%2e/a.png", "%2Fetc%2Fpasswd", "a%00b", "a%5Cb", "x" * 1001])
def test_a_path_that_no_sheet_could_name_is_refused(client, address, path):
    """It would never be looked for; it is no path on our disk either."""
    assert put(client, address, path, b"x").status_code in {404, 422}
    assert client.get(address).json()["photographs"] == 0


def test_a_session_can_be_forgotten(client, address, world):
    """204, and it is gone; not while its import runs, and nothing can be added to one that was committed."""
    assert client.delete(address).status_code == 204
    for answer in (client.get(address), client.delete(address), client.post(f"{address}/commit")):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_upload")
    other = client.post("/uploads").headers["location"]
    fill(client, other)
    world.jobs.held = True
    client.post(f"{other}/commit")
    for answer in (client.delete(other), put(client, other, "c.png", b"x")):
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_closed")
