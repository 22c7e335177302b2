"""Jobs over HTTP: listed, followed, paused, resumed, cancelled, and begun once under one key."""

import io
import json
import zipfile

import pytest

from app.domain.errors import CatalogueUnavailable
from app.domain.ingestion import ImportState
from app.domain.jobs import JobKind, JobState
from app.web.routes import jobs as routes
from tests.fakes import FakeSheet, photo, sighting


@pytest.fixture
def job(world, client):
    """A job that waits for its turn."""
    world.jobs.held = True
    return world.jobs.enqueue(JobKind.EVALUATE, {"pack": "a"})


def test_jobs_are_listed_by_page_kind_and_state(world, client, job):
    """The address of the next page keeps the filters."""
    for _ in range(3):
        world.jobs.enqueue(JobKind.REBUILD, {})
    world.jobs.set(job.job_id, state=JobState.PAUSED)
    page = client.get("/jobs", params={"kind": "rebuild", "limit": 2}).json()
    assert [one["kind"] for one in page["jobs"]] == ["rebuild", "rebuild"]
    rest = client.get(page["next"]).json()
    assert len(rest["jobs"]) == 1
    assert rest["next"] is None
    paused = client.get("/jobs", params={"state": ["paused", "failed"]}).json()["jobs"]
    assert [one["job_id"] for one in paused] == [job.job_id]
    assert client.get("/jobs", params={"state": "asleep"}).status_code == 422


def test_a_job_tells_how_far_it_is(world, client, job):
    """Done and total are of one population, with rate and time left."""
    world.jobs.set(job.job_id, state=JobState.RUNNING, done=25, total=100, rate=5.0)
    told = client.get(f"/jobs/{job.job_id}").json()
    assert (told["progress"], told["rate"], told["seconds_left"]) == (0.25, 5.0, 15.0)
    assert (told["state"], told["arguments"], told["import_id"]) == ("running", {"pack": "a"}, None)


def test_a_job_is_paused_resumed_and_cancelled(client, job):
    """Each answers with where the job then stands; one that has ended takes no more orders."""
    for act, state in (("pause", "paused"), ("resume", "waiting"), ("cancel", "cancelled")):
        answer = client.post(f"/jobs/{job.job_id}/{act}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    for act in ("pause", "cancel"):
        answer = client.post(f"/jobs/{job.job_id}/{act}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/events"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel")],
)
def test_an_unknown_job_is_a_problem(client, method, path):
    """On every route of a job."""
    answer = client.request(method, f"/jobs/import-0{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_job")


def test_jobs_that_cannot_be_asked_for_are_told(world, client):
    """Their database may be away while the catalogue is there."""
    world.jobs.away = True
    answer = client.get("/jobs")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def followed(text: str) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_a_job_is_followed_to_its_end(world, client, job, monkeypatch):
    """The first event tells all there is, the last one the end; a client that comes back is told anew."""
    monkeypatch.setattr(routes, "_LOOK", 0.01)
    asked = []
    plain = world.jobs.job

    def moving(job_id):
        asked.append(job_id)
        if len(asked) == 3:
            raise CatalogueUnavailable("the jobs' database does not answer")
        if len(asked) == 5:
            world.jobs.set(job_id, state=JobState.RUNNING, done=1, total=2)
        if len(asked) == 7:
            world.jobs.set(job_id, state=JobState.DONE, done=2)
        return plain(job_id)

    monkeypatch.setattr(world.jobs, "job", moving)
    answer = client.get(f"/jobs/{job.job_id}/events", headers={"Last-Event-ID": "12"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(one["state"], one["done"]) for one in followed(answer.text)] == [
        ("waiting", 0),
        ("running", 1),
        ("done", 2),
    ]
    assert [one["state"] for one in followed(client.get(f"/jobs/{job.job_id}/events").text)] == ["done"]


def test_watchers_are_bounded_and_leave_their_place(world, client, job, monkeypatch):
    """One too many is told to come later; whoever has seen the end is none any more."""
    monkeypatch.setattr(routes, "_WATCHERS", 0)
    answer = client.get(f"/jobs/{job.job_id}/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    monkeypatch.setattr(routes, "_WATCHERS", 1)
    world.jobs.cancel(job.job_id)
    for _ in range(2):
        assert client.get(f"/jobs/{job.job_id}/events").status_code == 200


@pytest.fixture
def folder(world):
    """One new whale in a folder under the import root."""
    rows = [sighting(50, "whale9")]
    world.opened["folder:new"] = FakeSheet(rows, {rows[0].path: photo(9)})
    return {"folder": "new"}


def test_an_import_and_its_job_name_each_other(client, folder):
    """Both ways lead to the same counts."""
    begun = client.post("/imports", data=folder)
    assert begun.status_code == 202
    job = client.get(f"/jobs/{begun.json()['job_id']}").json()
    assert (job["import_id"], job["state"], job["done"]) == (begun.json()["import_id"], "done", 1)
    assert client.get(f"/imports/{job['import_id']}").json()["job_id"] == job["job_id"]


def test_the_same_request_under_the_same_key_is_one_import(client, folder, world):
    """It is answered alike again and again; another request under that key, or no form of a key, is refused."""
    first, second = (client.post("/imports", data=folder, headers={"Idempotency-Key": "mine"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.headers["Location"] == second.headers["Location"]
    other = client.post("/imports", data={"folder": "other"}, headers={"Idempotency-Key": "mine"})
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    for key in ("", "a b", "x" * 201):
        assert client.post("/imports", data=folder, headers={"Idempotency-Key": key}).status_code == 422
    assert len(world.jobs.jobs(kinds=[JobKind.IMPORT])) == 1


def packed(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("note.txt", name)
    return content.getvalue()


def test_of_two_uploads_at_once_one_is_kept(client, world, monkeypatch):
    """The one that lost the race is forgotten, and its client is told of the import of the other."""
    rows = [sighting(50, "whale9")]
    sheet = FakeSheet(rows, {rows[0].path: photo(9)})
    monkeypatch.setattr(type(world.sheets), "open", lambda *_: sheet)
    world.jobs.held = True
    send = {"files": {"archive": ("a.zip", packed("a"))}, "headers": {"Idempotency-Key": "mine"}}
    first = client.post("/imports", **send)
    # The second one looked before the first one had begun.
    monkeypatch.setattr(type(world.services.ingest), "requested", lambda *_: None)
    kept = set(world.opened)
    second = client.post("/imports", **send)
    assert (first.status_code, second.json()["import_id"]) == (202, first.json()["import_id"])
    assert set(world.opened) == kept
    third = client.post("/imports", files={"archive": ("a.zip", packed("b"))}, headers={"Idempotency-Key": "mine"})
    assert (third.status_code, third.json()["code"]) == (409, "key_reused")
    assert set(world.opened) == kept


def test_an_import_that_cannot_be_enqueued_is_not_lost(client, folder, world):
    """It was recorded, so it is accepted; it runs when the jobs' database is back."""
    world.jobs.away = True
    begun = client.post("/imports", data=folder)
    assert (begun.status_code, begun.json()["job_id"]) == (202, None)
    world.jobs.away = False
    client.app.state.door.upkeep._last = 0.0
    client.get("/readyz")
    client.app.state.door.upkeep.close()
    assert world.services.ingest.report(begun.json()["import_id"]).state is ImportState.DONE
