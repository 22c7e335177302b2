"""Ingest: faults before anything is written, every row in a final state, and nothing twice."""

import errno
import time

import pytest
from structlog.testing import capture_logs

from app.domain.errors import (
    BadArchive,
    CatalogueUnavailable,
    Corrupt,
    StorageFull,
    Unavailable,
    UnknownImport,
)
from app.domain.exhaustion import what_ran_out
from app.domain.ingestion import ImportState, RowState
from app.services import chunks
from app.services import ingest as module
from tests.fakes import FakeEmbedder, FakeSheet, World, one_space, photo, sighting


def given(world: World, count: int, *, source: str = "folder:survey") -> FakeSheet:
    """A sheet of ``count`` rows, each with a photograph of a whale of its own."""
    rows = [sighting(row, f"whale{row}") for row in range(2, count + 2)]
    sheet = FakeSheet(rows, {row.path: photo(row.row) for row in rows})
    world.opened[source] = sheet
    return sheet


@pytest.fixture
def world() -> World:
    return World()


def test_an_import_ends_with_every_row_indexed(world):
    """After a run all rows are indexed, all originals stored, and the index holds what the catalogue holds."""
    given(world, 5)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    assert ingest.unfinished() == [import_id]
    report = ingest.run(import_id)
    assert (report.state, dict(report.rows)) == (ImportState.DONE, {RowState.INDEXED: 5})
    assert ingest.report(import_id) == report
    assert ingest.unfinished() == []
    assert len(world.blobs.stored) == len(world.index.current().gallery) == 5


def test_importing_again_adds_nothing(world):
    """The rows of a second import of the same folder are unchanged, and nothing is embedded again."""
    sheet = given(world, 5)
    world.bring(sheet.rows, list(sheet.photographs.values()))
    before = world.catalogue.version(), world.embedder.seen
    again = world.bring(sheet.rows, list(sheet.photographs.values()))
    assert dict(world.services.ingest.report(again).rows) == {RowState.UNCHANGED: 5}
    assert (world.catalogue.version(), world.embedder.seen) == before


def test_one_bad_photograph_stops_nothing(world):
    """It is refused with its reason, and the import is done with all the others."""
    sheet = given(world, 4)
    sheet.photographs["003.png"] = photo(3, kind="JPEG")[:-200]
    import_id = world.bring(sheet.rows, list(sheet.photographs.values()))
    report = world.services.ingest.report(import_id)
    assert dict(report.rows) == {RowState.INDEXED: 3, RowState.REFUSED: 1}
    assert [(row, source) for row, source, _ in report.refused] == [(3, "image003")]
    assert report.refused[0][2]


def test_progress_counts_final_rows_over_all_rows(world, monkeypatch):
    """It begins at zero, never falls, and ends with all rows, chunk by chunk."""
    monkeypatch.setattr(chunks, "CHUNK", 4)
    monkeypatch.setattr(chunks, "BATCH", 2)
    given(world, 11)
    ingest = world.services.ingest
    steps = []
    ingest.run(world.begin("folder:survey"), lambda done, total: steps.append((done, total)))
    assert steps == [(0, 11), (4, 11), (8, 11), (11, 11)]
    assert len(world.index.current().gallery) == 11


def test_progress_tells_of_nothing_that_is_not_stored(world, monkeypatch):
    """Whoever is told of rows finds them in the catalogue in that very moment."""
    monkeypatch.setattr(chunks, "CHUNK", 2)
    monkeypatch.setattr(chunks, "BATCH", 2)
    given(world, 6)
    ingest, told, put_all = world.services.ingest, [], world.blobs.put_all

    def slow(contents):
        time.sleep(0.05)
        return put_all(contents)

    monkeypatch.setattr(world.blobs, "put_all", slow)
    import_id = world.begin("folder:survey")
    ingest.run(import_id, lambda done, _: told.append((done, ingest.report(import_id).done)))
    assert [done for done, _ in told] == [0, 2, 4, 6]
    assert all(done <= stored for done, stored in told)


def test_a_stopped_import_goes_on_where_it_was(world, monkeypatch):
    """Rows that were stored before the stop are neither lost nor done again."""
    monkeypatch.setattr(chunks, "CHUNK", 2)
    monkeypatch.setattr(chunks, "BATCH", 2)
    given(world, 6)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")

    def killed(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.run(import_id, killed)
    left = world.services.ingest.report(import_id).rows[RowState.WAITING]
    assert ingest.unfinished() == [import_id]
    assert left < 6
    seen = world.embedder.seen
    assert dict(ingest.run(import_id).rows) == {RowState.INDEXED: 6}
    assert world.embedder.seen - seen == left


def full(_: object) -> list[str]:
    raise StorageFull("the disk is full")


def away(*_: object) -> None:
    raise CatalogueUnavailable("the database does not answer")


@pytest.mark.parametrize(
    ("port", "method", "fault", "error"),
    [
        ("blobs", "put_all", full, StorageFull),
        ("catalogue", "add", away, CatalogueUnavailable),
        ("index", "refresh", away, CatalogueUnavailable),
    ],
)
def test_what_is_away_for_a_while_leaves_the_import_running(world, monkeypatch, port, method, fault, error):
    """Nothing is lost or given up: once the part is back, a second run finishes the import."""
    given(world, 3)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    monkeypatch.setattr(getattr(world, port), method, fault)
    with pytest.raises(error):
        ingest.run(import_id)
    assert ingest.unfinished() == [import_id]
    monkeypatch.undo()
    assert dict(ingest.run(import_id).rows) == {RowState.INDEXED: 3}


def broken(_: object) -> None:
    raise ZeroDivisionError


def gone(_: object) -> None:
    raise BadArchive("the archive is damaged")


@pytest.mark.parametrize(
    ("port", "method", "fault", "error", "reason"),
    [
        ("sheets", "open", gone, BadArchive, "the archive is damaged"),
        ("index", "refresh", lambda *_: 1 / 0, ZeroDivisionError, "unexpected error; see the log"),
    ],
)
def test_what_cannot_mend_itself_fails_the_import(world, monkeypatch, port, method, fault, error, reason):
    """The import says why and is not taken up again: a bug must not be met at every start."""
    given(world, 3)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    monkeypatch.setattr(type(getattr(world, port)), method, lambda _, *given: fault(*given))
    with pytest.raises(error):
        ingest.run(import_id)
    monkeypatch.undo()
    report = ingest.run(import_id)
    assert (report.state, report.reason) == (ImportState.FAILED, reason)
    assert ingest.unfinished() == []


def test_the_first_reason_is_logged_when_the_failure_cannot_be_recorded(world, monkeypatch):
    """The catalogue may be what is broken: what went wrong before is in the log all the same, with its traceback."""
    given(world, 1)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    monkeypatch.setattr(world.index, "refresh", broken)
    monkeypatch.setattr(world.catalogue, "finish_import", away)
    with capture_logs() as logs, pytest.raises(CatalogueUnavailable):
        ingest.run(import_id)
    assert [type(line["exc_info"]) for line in logs] == [ZeroDivisionError]


def test_an_import_that_has_ended_is_left_as_it_is(world):
    """A second run neither opens the sheet, which may be gone, nor changes the outcome."""
    given(world, 2)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    report = ingest.run(import_id)
    del world.opened["folder:survey"]
    assert ingest.run(import_id) == report


def test_a_stop_stores_what_is_in_memory_and_leaves_the_rest(world, monkeypatch):
    """The import stays running, nothing that was embedded is thrown away, and the next run does only what is left."""
    monkeypatch.setattr(chunks, "BATCH", 2)
    given(world, 9)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    step = ingest.step(import_id, stopping=lambda: world.embedder.seen >= 4)
    report = ingest.report(import_id)
    assert (step.done, step.total, step.finished) == (world.embedder.seen, 9, False)
    assert (report.state, report.rows[RowState.STORED]) == (ImportState.RUNNING, world.embedder.seen)
    assert {row.attempts for row in world.catalogue.rows.waiting(import_id, 9)} == {0}
    assert 4 <= world.embedder.seen < 9
    assert dict(ingest.run(import_id).rows) == {RowState.INDEXED: 9}
    assert world.embedder.seen == 9


def test_a_stop_before_the_first_batch_decodes_nothing(world):
    """Every row still waits."""
    given(world, 3)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    assert ingest.step(import_id, stopping=lambda: True).done == 0
    assert dict(ingest.report(import_id).rows) == {RowState.WAITING: 3}


@pytest.mark.parametrize(("most", "sizes"), [(10**9, [4, 4, 2]), (1, [2, 2, 2, 2, 2])])
def test_originals_are_stored_by_the_chunk_within_bounds(world, monkeypatch, most, sizes):
    """Few large rounds of fsync are quicker than many small ones, but only so many bytes are held in memory."""
    monkeypatch.setattr(chunks, "BATCH", 2)
    monkeypatch.setattr(chunks, "CHUNK", 4)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", most)
    given(world, 10)
    rounds, put_all = [], world.blobs.put_all

    def counted(contents):
        rounds.append(len(contents))
        return put_all(contents)

    monkeypatch.setattr(world.blobs, "put_all", counted)
    ingest = world.services.ingest
    ingest.run(world.begin("folder:survey"))
    assert rounds == sizes


def test_no_row_speaks_of_an_original_that_is_not_stored(world, monkeypatch):
    """The photographs of a chunk are on disk before its rows are in the catalogue."""
    given(world, 3)
    add, held = world.catalogue.add, []

    def looking(import_id, rows, refused, fingerprints):
        held.extend(row.image.sha256 in world.blobs.stored for row in rows)
        add(import_id, rows, refused, fingerprints)

    monkeypatch.setattr(world.catalogue, "add", looking)
    ingest = world.services.ingest
    ingest.run(world.begin("folder:survey"))
    assert held == [True] * 3


def test_an_import_without_rows_is_done_at_once(world):
    """A sheet that holds only its header is no fault."""
    given(world, 0)
    ingest = world.services.ingest
    assert ingest.run(world.begin("folder:survey")).total == 0


def test_an_unknown_import_is_told(world):
    """There is no report of an import that never was."""
    with pytest.raises(UnknownImport):
        world.services.ingest.report(7)


def test_a_photograph_that_no_space_serves_is_stored_without_a_vector():
    """The annotation is in the catalogue; it cannot be found by a search that could not compare it."""
    from app.domain.catalogue import Viewpoint
    from tests.fakes import two_spaces

    world = World(two_spaces())
    import_id = world.bring([sighting(2, "a", viewpoint=Viewpoint.RIGHT)], [photo(1)])
    assert dict(world.services.ingest.report(import_id).rows) == {RowState.INDEXED: 1}
    assert not world.index.current().vectors("body", world.index.current().gallery.annotation).any()


def test_an_import_of_several_steps_opens_its_sheet_once(world, monkeypatch):
    """Listing a large archive takes long; each step takes the next rows, and the last one ends the import."""
    monkeypatch.setattr(module, "STEP", 2)
    given(world, 5)
    opened, sheets = [], type(world.sheets)
    plain = sheets.open
    import_id = world.begin("folder:survey")
    monkeypatch.setattr(sheets, "open", lambda own, source: (opened.append(source), plain(own, source))[1])
    ingest = world.services.ingest
    steps = [ingest.step(import_id) for _ in range(4)]
    assert [(step.done, step.total, step.finished) for step in steps] == [
        (2, 5, False),
        (4, 5, False),
        (5, 5, False),
        (5, 5, True),
    ]
    assert steps[-1].result == {"import_id": import_id, "state": "done", "rows": {"indexed": 5}}
    assert opened == ["folder:survey"]


class Poison:
    """Photographs that break the embedder: those of the rows in ``rows``, each time with ``error``."""

    def __init__(self, world: World, rows: set[int], error: BaseException) -> None:
        self.met, self._embed = list[int](), world.embedder.embed
        self._bytes = {world.images.decode(photo(row)).pixels.tobytes(): row for row in rows}
        self._error = error

    def embed(self, crops, spaces):
        for photograph, _ in crops:
            if row := self._bytes.get(photograph.pixels.tobytes()):
                self.met.append(row)
                raise self._error
        return self._embed(crops, spaces)


@pytest.mark.parametrize(
    ("error", "told"), [(ZeroDivisionError(), "ZeroDivisionError; see the log"), (Corrupt("bad bits"), "bad bits")]
)
def test_a_photograph_that_breaks_us_is_set_apart_after_three_attempts(world, monkeypatch, error, told):
    """All others get in, the import is done, and the row says why it is not."""
    given(world, 7)
    poison = Poison(world, {4, 6}, error)
    monkeypatch.setattr(world.embedder, "embed", poison.embed)
    ingest = world.services.ingest
    with capture_logs():
        report = ingest.run(world.begin("folder:survey"))
    assert (report.state, report.done, report.total) == (ImportState.DONE, 7, 7)
    assert dict(report.rows) == {RowState.INDEXED: 5, RowState.QUARANTINED: 2}
    reason = f"work on it alone failed 3 times: {told}"
    assert report.quarantined == ((4, "image004", reason), (6, "image006", reason))
    # Once among their neighbours, where the first of the two ended the chunk.
    assert [poison.met.count(row) for row in (4, 6)] == [4, 3]


def test_a_photograph_that_kills_the_process_is_set_apart_after_three_attempts(world, monkeypatch):
    """Attempts are counted before they are made; the innocent rows of a killed chunk get in at their next turn."""
    given(world, 7)
    poison = Poison(world, {5}, KeyboardInterrupt())
    monkeypatch.setattr(world.embedder, "embed", poison.embed)
    import_id = world.begin("folder:survey")
    for _ in range(4):  # once among its neighbours, three times alone
        with pytest.raises(KeyboardInterrupt):
            world.services.ingest.run(import_id)
    report = world.services.ingest.run(import_id)
    assert dict(report.rows) == {RowState.INDEXED: 6, RowState.QUARANTINED: 1}
    reason = "the process ended 3 times while it was at work on this photograph alone"
    assert report.quarantined == ((5, "image005", reason),)
    assert len(poison.met) == 4


def test_rows_that_died_once_come_after_the_others(world, monkeypatch):
    """A process that is killed again and again meets other rows each time: none of them is taken for the culprit."""
    monkeypatch.setattr(chunks, "BATCH", 1)
    monkeypatch.setattr(chunks, "CHUNK", 1)
    given(world, 4)
    rows, import_id = world.catalogue.rows, world.begin("folder:survey")
    rows.attempt(import_id, [2])
    assert [row.sighting.row for row in rows.waiting(import_id, 4)] == [3, 4, 5, 2]
    ingest = world.services.ingest
    assert ingest.step(import_id).done == 3
    assert ingest.step(import_id, stopping=lambda: True).done == 3
    assert ingest.step(import_id).done == 4


@pytest.mark.parametrize("broken_too", [False, True])
def test_what_is_away_is_no_attempt(world, monkeypatch, broken_too):
    """However often the disk is full, no photograph is blamed; only where even that cannot be written it is counted."""
    given(world, 2)
    import_id = world.begin("folder:survey")
    monkeypatch.setattr(world.blobs, "put_all", full)
    give_back = world.catalogue.rows.give_back
    if broken_too:
        monkeypatch.setattr(world.catalogue.rows, "give_back", away)
    with pytest.raises(StorageFull):
        world.services.ingest.step(import_id)
    assert {row.attempts for row in world.catalogue.rows.waiting(import_id, 9)} == {int(broken_too)}
    monkeypatch.setattr(world.catalogue.rows, "give_back", give_back)
    monkeypatch.undo()
    assert dict(world.services.ingest.run(import_id).rows) == {RowState.INDEXED: 2}


def test_a_cancelled_import_has_ended_with_what_it_stored(world):
    """Its rows say where they stand; cancelling it again, or one that is done, changes nothing."""
    given(world, 2)
    ingest = world.services.ingest
    import_id = world.begin("folder:survey")
    ingest.cancel(import_id)
    report = ingest.run(import_id)
    assert (report.state, report.reason) == (ImportState.CANCELLED, "cancelled on request")
    assert (dict(report.rows), report.done) == ({RowState.CANCELLED: 2}, 2)
    assert {row.reason for row in world.catalogue._rows[import_id].values()} == {
        "the import was cancelled before its turn"
    }
    ingest.cancel(import_id)
    assert ingest.report(import_id) == report


def test_an_import_waits_while_the_catalogue_serves_another_ensemble(world):
    """No vector of one ensemble gets among those of another: the row waits, untried, until both are the same again."""
    given(world, 2)
    import_id, own = world.begin("folder:survey"), world.embedder.loaded
    world.embedder.loaded = one_space(size=5)
    with pytest.raises(Unavailable, match="re-embed with `resight reindex`"):
        world.services.ingest.step(import_id)
    assert world.services.ingest.unfinished() == [import_id]
    assert (world.embedder.seen, len(world.catalogue.gallery())) == (0, 0)
    world.embedder.loaded = own
    assert dict(world.services.ingest.run(import_id).rows) == {RowState.INDEXED: 2}


def test_an_ensemble_that_changes_under_a_step_stores_nothing(world, monkeypatch):
    """The catalogue looks once more as it takes the rows in; no attempt is counted."""
    given(world, 2)
    import_id, put_all = world.begin("folder:survey"), world.blobs.put_all

    def changed(contents):
        world.catalogue.use_spaces(FakeEmbedder(one_space(size=5)).active_spaces())
        return put_all(contents)

    monkeypatch.setattr(world.blobs, "put_all", changed)
    with pytest.raises(Unavailable, match="another ensemble"):
        world.services.ingest.step(import_id)
    assert [row.attempts for row in world.catalogue.rows.waiting(import_id, 9)] == [0, 0]
    assert len(world.catalogue.gallery()) == 0


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"), "memory"),
    ],
)
def test_what_the_machine_has_run_out_of_is_no_photographs_fault(world, monkeypatch, error, what):
    """However often it happens, nothing is set apart: the import waits and says why, and goes on by itself."""
    given(world, 3)
    poison = Poison(world, {3}, error)
    monkeypatch.setattr(world.embedder, "embed", poison.embed)
    ingest, import_id = world.services.ingest, world.begin("folder:survey")
    for _ in range(4):
        with pytest.raises(Unavailable, match=f"run out of {what}"):
            ingest.run(import_id)
    assert {row.attempts for row in world.catalogue.rows.waiting(import_id, 9)} == {0}
    monkeypatch.undo()
    assert dict(ingest.run(import_id).rows) == {RowState.INDEXED: 3}


def test_a_bug_below_another_is_found_by_what_caused_it():
    """An error that was wrapped on its way is what it came from; a mere bug is none of these."""
    wrapped = BadArchive("it cannot be read")
    wrapped.__cause__ = OSError(errno.ENFILE, "no more")
    assert (what_ran_out(wrapped), what_ran_out(ZeroDivisionError())) == ("open files", None)


@pytest.mark.parametrize("away_too", [False, True])
def test_what_a_step_stores_while_it_is_cancelled_is_indexed(world, monkeypatch, away_too):
    """The rest says why it never came in; where the index is away, the next look at it makes up for that."""
    monkeypatch.setattr(module, "STEP", 2)
    given(world, 5)
    ingest, import_id = world.services.ingest, world.begin("folder:survey")
    ingest.step(import_id)
    put_all = world.blobs.put_all

    def cancelling(contents):
        ingest.cancel(import_id)
        return put_all(contents)

    monkeypatch.setattr(world.blobs, "put_all", cancelling)
    if away_too:
        monkeypatch.setattr(world.index, "refresh", away)
    step = ingest.step(import_id)
    assert (step.finished, step.done, step.total) == (True, 5, 5)
    monkeypatch.undo()
    ingest.step(import_id)
    report = ingest.report(import_id)
    assert (report.state, dict(report.rows)) == (
        ImportState.CANCELLED,
        {RowState.INDEXED: 4, RowState.CANCELLED: 1},
    )
    assert len(world.index.current().gallery) == 4
