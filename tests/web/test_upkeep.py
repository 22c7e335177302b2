"""Upkeep: the index is built after the start, imports go back into the queue, and nothing piles up."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from app.config import Settings
from app.domain.errors import CatalogueUnavailable, LosingEnsemble
from app.domain.ingestion import ImportState
from app.domain.jobs import JobKind, JobState
from app.main import create_app
from app.services.evaluate_book import Gate
from app.web.upkeep import Upkeep
from tests.fakes import FakeSheet, World, one_space, photo, sighting


def uploaded(world: World) -> int:
    """An upload of one new whale that was begun as an import; returns its id."""
    rows = [sighting(50, "whale9")]
    world.opened["upload:1"] = FakeSheet(rows, {rows[0].path: photo(9)})
    return world.begin("upload:1")


def started(world: World, **given: str) -> TestClient:
    return TestClient(create_app(world.services, Settings(_env_file=None, **given)), raise_server_exceptions=False)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=1)
    made.index._current = None
    return made


@pytest.fixture
def upkeep(world) -> Iterator[Upkeep]:
    made = Upkeep(world.services)
    yield made
    made.close()


def through(upkeep: Upkeep) -> None:
    """Wait for what was begun."""
    upkeep._thread.submit(lambda: None).result(30)


def test_the_service_starts_before_its_index(world, monkeypatch):
    """Not ready is told until the index is there; then it is ready. At the stop the jobs are closed."""
    go_on, refresh = threading.Event(), world.index.refresh

    def slow(source):
        go_on.wait(30)
        return refresh(source)

    monkeypatch.setattr(world.index, "refresh", slow)
    with started(world) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        go_on.set()
        until(lambda: client.get("/readyz").status_code == 200)
        assert not world.jobs.closed
    assert world.jobs.closed


@pytest.mark.parametrize(("where", "here"), [("service", True), ("worker", False)])
def test_jobs_run_where_the_setting_says(world, where, here):
    """A service beside a worker takes jobs in and leaves them to it."""
    with started(world, jobs=where):
        assert world.jobs.started == here


def test_an_import_that_was_cut_off_is_finished_after_the_next_start(world):
    """Its rows are indexed and its upload is forgotten."""
    import_id = uploaded(world)
    with started(world) as client:
        until(lambda: client.get(f"/imports/{import_id}").json()["state"] == "done")
    assert "upload:1" not in world.opened


def test_a_start_that_failed_is_tried_again(world, monkeypatch):
    """When the database comes back, the next look at the readiness brings the service up by itself."""

    def away(*_):
        raise CatalogueUnavailable("the database does not answer")

    monkeypatch.setattr(world.catalogue, "signatures", away)
    with started(world) as client:
        assert client.get("/readyz").status_code == 503
        through(client.app.state.door.upkeep)
        monkeypatch.undo()
        client.app.state.door.upkeep._last = 0.0
        client.get("/readyz")
        until(lambda: client.get("/readyz").status_code == 200)


def test_looking_is_rare_and_never_piles_up(upkeep, monkeypatch):
    """However many requests come, one look is under way at a time, and one is begun in a second."""
    upkeep.start()
    through(upkeep)
    looks, go_on = [], threading.Event()

    def look(_):
        looks.append(1)
        go_on.wait(30)

    monkeypatch.setattr(type(upkeep._services.reindex), "catch_up", look)
    for _ in range(5):
        upkeep.nudge()
    upkeep._last = 0.0
    upkeep.nudge()
    upkeep.start()
    go_on.set()
    through(upkeep)
    assert len(looks) == 1
    upkeep._last = 0.0
    upkeep.nudge()
    through(upkeep)
    assert len(looks) == 2


def test_an_import_that_comes_before_the_start_is_through_has_one_job(world, upkeep):
    """The start finds it unfinished too."""
    import_id = uploaded(world)
    world.jobs.held = True
    job = upkeep.enqueue_import(import_id)
    upkeep.start()
    through(upkeep)
    assert [one.job_id for one in world.jobs.jobs()] == [job.job_id]


def test_what_was_left_is_taken_up_again_without_a_request(world, upkeep, monkeypatch):
    """Every while: an import whose command was killed, and a start that failed."""
    monkeypatch.setattr("app.web.upkeep._LOOK", 0.01)

    def away(*_):
        raise CatalogueUnavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.catalogue, "signatures", away)
        upkeep.start()
        through(upkeep)
        assert world.index._current is None
    until(lambda: world.index._current is not None)
    import_id = uploaded(world)
    until(lambda: world.services.ingest.report(import_id).state is ImportState.DONE)


def test_the_start_sweeps_uploads_that_no_import_names(world, upkeep):
    """What a running import names stays until that is done; later starts sweep nothing any more."""
    uploaded(world)
    world.opened["upload:0"] = FakeSheet([], {})
    world.jobs.held = True
    upkeep.start()
    through(upkeep)
    assert "upload:0" not in world.opened
    assert "upload:1" in world.opened
    world.opened["upload:2"] = FakeSheet([], {})
    upkeep.start()
    through(upkeep)
    assert "upload:2" in world.opened


def test_another_ensemble_is_embedded_by_a_job(world, upkeep):
    """Until that is through there is nothing to serve; it is asked for once, however often the start is tried."""
    world.embedder.loaded = one_space(size=5)
    world.jobs.held = True
    for _ in range(2):
        upkeep.start()
        through(upkeep)
    assert world.index._current is None
    assert [(job.kind, job.state) for job in world.jobs.jobs()] == [(JobKind.REEMBED, JobState.WAITING)]
    world.jobs.release()
    assert len(world.index.current().gallery) == 3


def test_an_import_does_not_hold_up_the_ensemble_that_it_waits_for(world, upkeep):
    """It lies in the queue before the job that re-embeds: the new spaces are served from the start on."""
    world.opened["folder:more"] = FakeSheet([sighting(60, "new")], {"060.png": photo(60)})
    import_id = world.begin("folder:more")
    world.embedder.loaded = one_space(size=5)
    world.jobs.held = True
    job = world.services.control.begin_import(import_id)
    upkeep.start()
    through(upkeep)
    world.jobs.release()
    assert (world.jobs.job(job.job_id).state, len(world.index.current().gallery)) == (JobState.DONE, 4)


def test_a_refused_ensemble_fails_one_job_and_holds_nothing_up(world, monkeypatch):
    """At the next starts its reason stands there already; once nothing speaks against it the catalogue is embedded."""
    world.opened["folder:more"] = FakeSheet([sighting(60, "new")], {"060.png": photo(60)})
    waiting = world.begin("folder:more")
    world.embedder.loaded = one_space(size=5)
    why = ["it loses"]

    def gate():
        if why:
            raise LosingEnsemble(why[0])

    monkeypatch.setattr(Gate, "__call__", lambda _: gate())
    for _ in range(3):
        upkeep = Upkeep(world.services)
        upkeep.start()
        through(upkeep)
        upkeep.close()
        jobs = world.jobs.jobs(kinds=[JobKind.REEMBED])
        assert [(job.state, job.reason) for job in jobs] == [(JobState.FAILED, "it loses")]
        assert upkeep._started
    assert world.services.ingest.report(waiting).state is ImportState.RUNNING
    for said, state in (("it loses more", JobState.FAILED), (None, JobState.DONE)):
        why[:] = [said] if said else []
        upkeep = Upkeep(world.services)
        upkeep.start()
        through(upkeep)
        upkeep.close()
        assert world.jobs.jobs(kinds=[JobKind.REEMBED])[0].state is state


def test_vectors_that_lack_are_embedded_after_the_start(world, upkeep):
    """An index that could be loaded is no reason to leave an annotation out."""
    world.catalogue._vectors.clear()
    upkeep.start()
    through(upkeep)
    assert not world.catalogue.missing_vectors("colours", 1)


def test_a_bug_ends_no_upkeep(world, upkeep, monkeypatch):
    """It is logged, and the next look is made."""
    monkeypatch.setattr(world.index, "refresh", lambda _: 1 / 0)
    upkeep.start()
    through(upkeep)
    monkeypatch.undo()
    upkeep._last = 0.0
    upkeep.nudge()
    through(upkeep)
    assert len(world.index.current().gallery) == 3
