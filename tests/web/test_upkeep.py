"""Upkeep: the index is built after the start, imports go on, and nothing piles up."""

import pytest
from starlette.testclient import TestClient

from app.config import Settings
from app.domain.errors import BadArchive, CatalogueUnavailable, StorageFull
from app.domain.ingestion import ImportState
from app.main import create_app
from app.web.upkeep import Upkeep
from tests.fakes import FakeSheet, World, one_space, photo, sighting


def uploaded(world: World) -> int:
    """An upload of one new whale that was begun as an import; returns its id."""
    rows = [sighting(50, "whale9")]
    world.opened["upload:1"] = FakeSheet(rows, {rows[0].path: photo(9)})
    return world.begin("upload:1")


def started(world: World) -> TestClient:
    return TestClient(create_app(world.services, Settings(_env_file=None)), raise_server_exceptions=False)


def full(*_) -> None:
    raise StorageFull("the disk is full")


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
    import_id = uploaded(world)
    with started(world) as client:
        assert client.get(f"/imports/{import_id}").json()["state"] == "done"
    assert "upload:1" not in world.opened


def test_a_start_that_failed_is_tried_again(world, monkeypatch):
    """When the database comes back, the next look at the readiness brings the service up by itself."""

    def away(*_):
        raise CatalogueUnavailable("the database does not answer")

    monkeypatch.setattr(world.catalogue, "signatures", away)
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


def test_an_import_that_comes_before_the_start_is_through_is_queued_once(world):
    """The start finds it unfinished too; it is worked off once and ends as done."""
    world.jobs.held = True
    upkeep = Upkeep(world.services)
    upkeep.start()
    import_id = uploaded(world)
    upkeep.submit_import(import_id)
    start, work = world.jobs.kept
    start()
    assert world.jobs.names == ["start", f"import {import_id}"]
    work()
    assert world.services.ingest.report(import_id).state is ImportState.DONE
    assert "upload:1" not in world.opened


def test_a_failure_that_passes_is_waited_out(world, monkeypatch):
    """The upload is kept, and after a pause the same import goes on to its end."""
    world.services.reindex()
    import_id = uploaded(world)
    monkeypatch.setattr(world.blobs, "put_all", full)
    upkeep = Upkeep(world.services)
    upkeep.submit_import(import_id)
    assert world.services.ingest.unfinished() == [import_id]
    assert "upload:1" in world.opened
    assert world.jobs.pauses == [30.0]
    monkeypatch.undo()
    world.jobs.release()
    assert world.services.ingest.report(import_id).state is ImportState.DONE
    assert "upload:1" not in world.opened


@pytest.mark.parametrize(("error", "kept"), [(BadArchive("it is damaged"), False), (ZeroDivisionError(), True)])
def test_only_an_archive_at_fault_is_thrown_away(world, monkeypatch, error, kept):
    """A bug of ours costs nobody an archive; in both cases the import has failed and is not tried again."""
    import_id = uploaded(world)

    def failing(*_):
        raise error

    monkeypatch.setattr(type(world.sheets), "open", failing)
    Upkeep(world.services).submit_import(import_id)
    assert world.services.ingest.report(import_id).state is ImportState.FAILED
    assert ("upload:1" in world.opened) == kept
    assert world.jobs.names == [f"import {import_id}"]


def test_an_import_stopped_by_the_end_of_the_service_is_left_for_the_next(world):
    """Neither ended nor queued again, and its upload is kept."""
    import_id = uploaded(world)
    world.jobs.closed = True
    Upkeep(world.services).submit_import(import_id)
    assert world.services.ingest.unfinished() == [import_id]
    assert "upload:1" in world.opened
    assert world.jobs.names == [f"import {import_id}"]


def test_the_start_sweeps_uploads_that_no_import_names(world):
    """What a running import names stays until that is done; here it waits, since another command is at work."""
    uploaded(world)
    world.opened["upload:0"] = FakeSheet([], {})
    world.jobs.taken = True
    Upkeep(world.services).start()
    assert "upload:0" not in world.opened
    assert "upload:1" in world.opened


def test_a_service_is_ready_while_another_command_imports(world):
    """What is stored can be served without having the data folder to itself."""
    world.jobs.taken = True
    with started(world) as client:
        assert client.get("/readyz").status_code == 200


def test_another_ensemble_is_embedded_alone_on_the_data_folder(world):
    """Until another command is through there is nothing to serve; a stop ends the embedding."""
    world.embedder.loaded = one_space(size=5)
    world.jobs.taken = True
    upkeep = Upkeep(world.services)
    upkeep.start()
    assert world.index._current is None
    world.jobs.taken, world.jobs.closed = False, True
    upkeep.start()
    assert [str(error) for error in world.jobs.errors] == ["another command is at work", "the service is being stopped"]
    world.jobs.closed = False
    upkeep.start()
    assert len(world.index.current().gallery) == 3


def test_vectors_that_lack_are_embedded_at_the_start(world):
    """An index that could be loaded is no reason to leave an annotation out."""
    world.catalogue._vectors.clear()
    Upkeep(world.services).start()
    assert not world.catalogue.missing_vectors("colours", 1)
    assert world.jobs.errors == []
