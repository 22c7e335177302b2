"""Leftovers: what a kill left of an import comes to its end at the next look."""

import pytest

from app.domain.catalogue import Image
from app.domain.ingestion import Embedded, ImportState, RowState
from app.services.leftovers import STANDS_STILL, Leftovers
from tests.fakes import FakeSheet, World, photo, sighting


@pytest.fixture
def world() -> World:
    return World()


def given(world: World, count: int) -> None:
    """A sheet of so many rows, each with a photograph of a whale of its own."""
    rows = [sighting(row, f"whale{row}") for row in range(2, count + 2)]
    world.opened["folder:survey"] = FakeSheet(rows, {row.path: photo(row.row) for row in rows})


def test_rows_that_a_kill_kept_from_their_ends_come_there_at_the_next_look(world, monkeypatch):
    """A cancel that died before it had settled anything: what was stored is indexed, the rest says why it is not."""
    monkeypatch.setattr("app.services.ingest.STEP", 2)
    given(world, 5)
    ingest, leftovers = world.services.ingest, world.services.control.leftovers
    import_id = world.begin("folder:survey")
    ingest.step(import_id)
    world.catalogue.finish_import(import_id, ImportState.CANCELLED, "cancelled on request")
    leftovers()
    assert dict(ingest.report(import_id).rows) == {RowState.INDEXED: 2, RowState.CANCELLED: 3}
    assert len(world.index.current().gallery) == 2
    assert world.catalogue.rows.unsettled() == []


def test_no_row_is_called_indexed_that_came_after_the_generation(world, monkeypatch):
    """While chunks come in that the new generation cannot hold, rows stay stored until the next look."""
    monkeypatch.setattr("app.services.ingest.STEP", 2)
    given(world, 4)
    ingest, leftovers = world.services.ingest, world.services.control.leftovers
    import_id = world.begin("folder:survey")
    ingest.step(import_id)
    refresh = world.index.refresh

    def meanwhile(source):
        snapshot = refresh(source)
        world.catalogue.add(other, [Embedded(said, Image("0" * 64, "PNG", 4, 4, 40), {})], [])
        return snapshot

    said = sighting(50, "whale50")
    other = world.catalogue.begin_import("another", [said])
    monkeypatch.setattr(world.index, "refresh", meanwhile)
    ingest.cancel(import_id)
    assert ingest.report(import_id).rows[RowState.STORED] == 2
    monkeypatch.undo()
    leftovers()
    assert dict(ingest.report(import_id).rows) == {RowState.INDEXED: 2, RowState.CANCELLED: 2}


def test_no_row_is_called_indexed_that_came_while_the_others_were_settled(world, monkeypatch):
    """A chunk that was on its way through the whole of it is not in the generation either."""
    given(world, 2)
    import_id = world.begin("folder:survey")
    settle = world.catalogue.settle_rows

    def late(number, old, new, reason=None, version=None):
        if new is RowState.INDEXED:
            world.catalogue.add(import_id, [Embedded(said, Image("0" * 64, "PNG", 4, 4, 40), {})], [])
        settle(number, old, new, reason, version)

    said = sighting(2, "whale2")
    monkeypatch.setattr(world.catalogue, "settle_rows", late)
    world.services.ingest.cancel(import_id)
    assert dict(world.services.ingest.report(import_id).rows) == {RowState.STORED: 1, RowState.CANCELLED: 1}


def test_half_an_import_is_given_up_once_it_stands_still(world):
    """One that goes on is left alone, however slowly; one that has ended is forgotten."""
    now, rows = [0.0], world.catalogue.rows
    leftovers = Leftovers(world.catalogue, world.index, rows, lambda: now[0])
    rows.halves = {7: 10, 8: 10}
    leftovers()
    for reached in (20, 30):
        now[0] += STANDS_STILL + 1
        rows.halves[8] = reached
        leftovers()
        assert rows.halves == {8: reached}
    del rows.halves[8]
    leftovers()
    rows.halves[8] = 30
    now[0] += STANDS_STILL + 1
    leftovers()
    assert rows.halves == {8: 30}
