"""The worker process: it outlives a database that is away, and takes up what was left."""

import threading
import time

from app.domain.errors import CatalogueUnavailable
from app.domain.ingestion import ImportState
from app.worker import work
from tests.fakes import World


def test_a_worker_waits_for_a_database_that_is_away(monkeypatch):
    """It takes up what was left once the database answers, and ends when it is asked to."""
    world, stop, asked = World(), threading.Event(), []
    world.survey(whales=1)
    import_id = world.begin("folder:survey")
    services, plain = world.services, world.catalogue.running_imports

    def away():
        asked.append(1)
        if len(asked) == 1:
            raise CatalogueUnavailable("the database does not answer")
        return plain()

    monkeypatch.setattr(world.catalogue, "running_imports", away)
    monkeypatch.setattr("app.worker._LOOK", 0.01)
    thread = threading.Thread(target=work, args=(services, stop))
    thread.start()
    end = time.monotonic() + 30
    while (world.catalogue.import_report(import_id).state is not ImportState.DONE or len(asked) < 3) and (
        time.monotonic() < end
    ):
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert world.catalogue.import_report(import_id).state is ImportState.DONE
    assert len(asked) >= 3
    assert world.jobs.closed
