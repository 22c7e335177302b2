"""Upkeep: the index is built after the start, imports go on, and nothing piles up."""

import pytest
from starlette.testclient import TestClient

from app.config import Settings
from app.domain.errors import CatalogueUnavailable
from app.main import create_app
from app.web.upkeep import Upkeep
from tests.fakes import FakeSheet, World, photo, sighting


def started(world: World) -> TestClient:
    return TestClient(create_app(world.services, Settings(_env_file=None)), raise_server_exceptions=False)


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=1)
    made.index._current = None
    return made


def test_the_service_starts_before_its_index(world):
    """Not ready is told until the index is there; then it is ready. At the stop the jobs are closed."""
    world.jobs.held = True
    with started(world) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        world.jobs.release()
        assert client.get("/readyz").status_code == 200
        assert not world.jobs.closed
    assert world.jobs.closed


def test_an_import_that_was_cut_off_is_finished_after_the_next_start(world):
    """Its rows are indexed and its upload is forgotten."""
    rows = [sighting(50, "whale9")]
    world.opened["upload:1"] = FakeSheet(rows, {rows[0].path: photo(9)})
    ingest = world.services.ingest
    import_id = ingest.begin(ingest.plan("upload:1"))
    with started(world) as client:
        assert client.get(f"/imports/{import_id}").json()["state"] == "done"
    assert "upload:1" not in world.opened


def test_a_start_that_failed_is_tried_again(world, monkeypatch):
    """When the database comes back, the next look at the readiness brings the service up by itself."""

    def away(*_):
        raise CatalogueUnavailable("the database does not answer")

    monkeypatch.setattr(world.catalogue, "use_spaces", away)
    with started(world) as client:
        assert client.get("/readyz").status_code == 503
        monkeypatch.undo()
        client.app.state.door.upkeep._last = 0.0
        client.get("/readyz")
        assert client.get("/readyz").status_code == 200


def test_looking_is_rare_and_never_piles_up(world):
    """However many requests come, one look is queued at a time, and one is begun in a second."""
    upkeep = Upkeep(world.services)
    upkeep.start()
    world.jobs.held = True
    for _ in range(5):
        upkeep.nudge()
    assert world.jobs.names == ["start", "catch up"]
    upkeep._last = 0.0
    upkeep.nudge()
    upkeep.start()
    assert world.jobs.names == ["start", "catch up"]
    world.jobs.release()
    upkeep._last = 0.0
    upkeep.nudge()
    assert world.jobs.names[-1] == "catch up"
