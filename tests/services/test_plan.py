"""Planning: faults before anything is written, and a dry run that says what the import will do."""

from dataclasses import replace

import pytest

from app.domain import sheet as sheets
from app.domain.catalogue import Box, Viewpoint
from app.domain.errors import BadRows, Fault, ModelUnavailable, Overloaded, SpaceMismatch
from app.domain.formats import Layout, SheetFormat
from app.domain.ingestion import RowState
from app.services import plan as module
from tests.fakes import FakeSheet, World, one_space, photo, sighting


@pytest.fixture
def world() -> World:
    return World()


def given(world: World, count: int) -> FakeSheet:
    """A sheet of ``count`` rows, each with a photograph of a whale of its own."""
    rows = [sighting(row, f"whale{row}", encounter=f"meeting{row % 2}-{row}") for row in range(2, count + 2)]
    world.opened["folder:survey"] = FakeSheet(rows, {row.path: photo(row.row) for row in rows})
    return world.opened["folder:survey"]


def faults(world: World, source: str = "folder:survey") -> list[tuple[int, str]]:
    with pytest.raises(BadRows) as caught:
        world.services.planning.plan(source)
    return [(fault.row, fault.column) for fault in caught.value.faults]


def test_a_plan_counts_what_a_sheet_tells(world, monkeypatch):
    """Rows, individuals, encounters and viewpoints are counted while it streams by, batch after batch."""
    monkeypatch.setattr(module, "BATCH", 2)
    rows = [sighting(2, "a", encounter="m"), sighting(3, "a", encounter="m"), sighting(4, viewpoint=Viewpoint.LEFT)]
    world.opened["folder:survey"] = FakeSheet(rows, {})
    plan = world.services.planning.plan("folder:survey")
    assert (plan.rows, plan.individuals, plan.encounters, plan.viewpoints) == (3, 1, 1, {"left": 1, "top": 2})
    assert plan.layout.ignored == ("height", "width")


def test_every_fault_is_told_before_anything_is_written(world, monkeypatch):
    """Faults of the sheet, of its rows among each other and against the catalogue, in the order of the sheet."""
    monkeypatch.setattr(module, "BATCH", 2)
    sheet = given(world, 3)
    world.bring(sheet.rows, list(sheet.photographs.values()))
    version = world.catalogue.version()
    rows = [
        sighting(2, "WHALE2x", source_id="image002"),
        Fault(3, "path", "is missing"),
        sighting(4, "one", source_id="new"),
        sighting(5, "One", source_id="new"),
        sighting(6, "one", source_id="newer", encounter="meeting0-2"),
    ]
    world.opened["folder:bad"] = FakeSheet(rows, {})
    assert faults(world, "folder:bad") == [
        (2, "whale_id"),
        (3, "path"),
        (5, "image_id"),
        (5, "whale_id"),
        (6, "encounter_id"),
    ]
    assert world.catalogue.version() == version


def test_conflicts_name_the_columns_of_the_sheet(world, monkeypatch):
    """Whoever wrote identity is told of identity, not of whale_id."""
    given(world, 1)
    layout = Layout(SheetFormat.WILDLIFE, {"whale_id": "identity"}, ())
    monkeypatch.setattr(FakeSheet, "layout", lambda self, wanted: layout)
    world.opened["folder:survey"].rows.append(sighting(9, "WHALE2"))
    assert faults(world) == [(9, "identity")]


def test_shown_faults_are_the_first_but_all_are_counted(world, monkeypatch):
    """A sheet with too many faults to show says how many there are."""
    monkeypatch.setattr(sheets, "MAX_FAULTS", 2)
    world.opened["folder:bad"] = FakeSheet([Fault(row, "path", "is missing") for row in (9, 8, 7, 6, 5)], {})
    with pytest.raises(BadRows) as caught:
        world.services.planning.plan("folder:bad")
    assert ([fault.row for fault in caught.value.faults], caught.value.total) == ([5, 6], 5)


def bad_photographs(world: World) -> None:
    """A sheet without fault whose photographs are of every kind: sound, torn, foreign, repeated, boxed, misnamed."""
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:before")
    rows = [
        sighting(2, "whale2"),
        sighting(3, "whale3"),
        sighting(4, "whale4"),
        sighting(5, "whale2", path="002.png", taken=None),
        sighting(6, "whale6", path="002.png"),
        sighting(7, "whale7", box=Box(40, 0, 20, 20)),
        sighting(8, "whale8", box=Box(0, 0, 20, 20)),
        sighting(9, "whale9", path="090.png", taken=None),
        sighting(10, "whale10"),
        replace(sighting(11, "whale11"), sha256="0" * 64),
        sighting(12, "whale8", path="008.png", taken=None, box=Box(0, 0, 20, 20)),
        sighting(13, "whale8", path="008.png", box=Box(0, 0, 21, 20)),
    ]
    photographs = {f"{row:03}.png": photo(row) for row in (2, 7, 8, 11)} | {"090.png": photo(9)}
    photographs |= {"003.png": photo(3, kind="JPEG")[:-200], "004.png": b"GIF"}
    world.opened["folder:mixed"] = FakeSheet(rows, photographs)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_dry_run_says_what_the_import_does(world, monkeypatch, batch):
    """The same rows are new, unchanged or refused for the same reasons, however many are opened at a time."""
    monkeypatch.setattr(module, "OPENED", batch)
    bad_photographs(world)
    planning, version = world.services.planning, world.catalogue.version()
    steps = []
    plan = planning.plan("folder:mixed")
    trial = planning.try_out(plan, lambda done, total: steps.append((done, total)))
    assert (world.catalogue.version(), steps[-1]) == (version, (12, 12))
    report = world.services.ingest.run(planning.begin(plan))
    assert report.refused == trial.refused
    assert [row for row, _, _ in trial.refused] == [3, 4, 6, 7, 10, 11]
    assert dict(report.rows) == {
        RowState.INDEXED: trial.new,
        RowState.UNCHANGED: trial.unchanged,
        RowState.REFUSED: trial.refused_rows,
    }
    assert (trial.new, trial.unchanged) == (3, 3)


def test_a_dry_run_of_a_long_list_shows_the_first_rows(world, monkeypatch):
    """What is refused beyond the first rows is counted."""
    monkeypatch.setattr(module, "_SHOWN", 2)
    given(world, 4).photographs.clear()
    trial = world.services.planning.try_out(world.services.planning.plan("folder:survey"))
    assert ([row for row, _, _ in trial.refused], trial.refused_rows) == ([2, 3], 4)


def test_a_sheet_that_changes_after_its_check_is_not_recorded(world):
    """Neither other rows nor new faults slip in between; nothing is recorded."""
    sheet = given(world, 2)
    planning = world.services.planning
    plan = planning.plan("folder:survey")
    for change in (sighting(9, "whale9"), Fault(9, "path", "is missing")):
        sheet.rows.append(change)
        with pytest.raises(BadRows, match="row"):
            planning.begin(plan)
        sheet.rows.pop()
    assert world.services.ingest.unfinished() == []
    assert planning.begin(plan)


def test_an_import_does_not_begin_without_its_ensemble(world):
    """Rows are not recorded while there is nothing to embed them with; a dry run says the same."""
    given(world, 1)
    plan = world.services.planning.plan("folder:survey")
    world.embedder.broken = "a member is missing"
    for verb in (world.services.planning.begin, world.services.planning.try_out):
        with pytest.raises(ModelUnavailable):
            verb(plan)
    assert world.services.ingest.unfinished() == []


def test_an_import_never_mixes_ensembles(world):
    """New rows beside annotations of another ensemble would be all that a search finds: reindex comes first."""
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:before")
    given(world, 1)
    world.embedder.loaded = one_space(size=5)
    plan = world.services.planning.plan("folder:survey")
    for verb in (world.services.planning.begin, world.services.planning.try_out):
        with pytest.raises(SpaceMismatch, match="reindex"):
            verb(plan)
    world.services.reindex()
    assert world.services.planning.begin(plan)


def test_no_more_than_two_dry_runs_are_under_way():
    """Each decodes as much as an import: a third one is turned away and leaves the place of the others alone."""
    world = World()
    world.opened["folder:survey"] = FakeSheet([sighting(2, "whale2")], {"002.png": photo(2)})
    planning = world.services.planning
    plan, met = planning.plan("folder:survey"), []

    def again(_done, _rows):
        met.append(1)
        planning.try_out(plan, again)

    with pytest.raises(Overloaded):
        planning.try_out(plan, again)
    assert (len(met), planning.try_out(plan).new) == (2, 1)
