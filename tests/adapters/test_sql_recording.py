"""Imports are recorded in short transactions, whole or not at all, whoever dies meanwhile."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from app.adapters import sql_imports
from app.adapters.sql_catalogue import SqlCatalogue
from app.domain.errors import KeyReused, StorageFull, Unavailable
from app.domain.ingestion import ImportState, RequestKey, RowState
from tests.contracts.catalogue import BODY, said, waiting
from tests.databases import sqlite_catalogue

ROWS = [said(f"n{row}", row) for row in range(2, 9)]
KEY = RequestKey("a key", "0" * 64)


@pytest.fixture
def open_catalogue(url, monkeypatch):
    """Opens catalogues on one database, each as another process would; two rows are a transaction."""
    monkeypatch.setattr("app.adapters.sql_recording._PAGE", 2)
    opened = []

    def another() -> SqlCatalogue:
        opened.append(SqlCatalogue(url))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


def between(monkeypatch, act) -> None:
    """Do this whenever the recorder lets others in."""
    monkeypatch.setattr("app.adapters.sql_recording.time.sleep", lambda _: act())


def whole(catalogue: SqlCatalogue, number: int) -> bool:
    """Whether an import runs with every row once."""
    report = catalogue.import_report(number)
    return (report.state, report.rows) == (ImportState.RUNNING, {RowState.WAITING: len(ROWS)}) and (
        waiting(catalogue, number) == ROWS
    )


def forgotten(catalogue: SqlCatalogue, number: int) -> bool:
    """Whether an import was given up without a trace of its rows."""
    report = catalogue.import_report(number)
    return (report.state, report.rows) == (ImportState.FAILED, {}) and "import it again" in str(report.reason)


def test_others_write_between_the_rows_of_an_import(open_catalogue, monkeypatch):
    """A large import never holds the database for its whole length, and nobody takes it up before it is whole."""
    catalogue, other, seen = open_catalogue(), open_catalogue(), []

    def write() -> None:
        other.use_spaces([BODY])
        seen.append((len(other.running_imports()), other.rows.requested(KEY), len(other.rows.half_recorded())))

    between(monkeypatch, write)
    number = catalogue.begin_import("a folder", ROWS, KEY)
    assert seen == [(0, None, 1), (0, None, 1), (1, number, 0)]
    assert whole(catalogue, number)


def test_a_small_import_is_recorded_at_once(open_catalogue, monkeypatch):
    """One transaction holds an import that fits into it, empty ones too: there is no half of it."""
    catalogue = open_catalogue()
    between(monkeypatch, lambda: pytest.fail("there is nothing between"))
    for rows in ([], ROWS[:2]):
        number = catalogue.begin_import("a folder", rows)
        assert catalogue.import_report(number).state is ImportState.RUNNING
        assert waiting(catalogue, number) == rows


def test_a_kill_while_recording_neither_loses_nor_doubles_a_row(open_catalogue, url, monkeypatch):
    """Whatever was recorded when the process died, the same request again begins one import with every row once."""
    for turn in range(1, 5):
        request = RequestKey(f"key {turn}", "0" * 64)
        monkeypatch.setenv("RESIGHT_FAILPOINT", f"catalogue.committed:{turn}")
        dies = os.fork()
        if not dies:
            SqlCatalogue(url).begin_import("a folder", ROWS, request)
            os._exit(0)
        monkeypatch.delenv("RESIGHT_FAILPOINT")
        assert os.waitpid(dies, 0)[1] == signal.SIGKILL
        catalogue = open_catalogue()
        half = list(catalogue.rows.half_recorded())
        begun = catalogue.rows.requested(request)
        number = catalogue.begin_import("a folder", ROWS, request)
        assert whole(catalogue, number)
        if turn < 4:
            assert begun is None
            assert forgotten(catalogue, half[0])
        else:
            assert (half, begun) == ([], number)
        assert catalogue.rows.half_recorded() == {}


def test_the_same_request_meanwhile_waits_for_the_first(open_catalogue, monkeypatch):
    """Sent twice at once, a request begins one import, and both are told its id when it is whole."""
    catalogue, others = open_catalogue(), []
    with ThreadPoolExecutor(1) as pool:
        between(
            monkeypatch,
            lambda: others.append(pool.submit(catalogue.begin_import, "a folder", ROWS, KEY)) if not others else None,
        )
        number = catalogue.begin_import("a folder", ROWS, KEY)
        assert [other.result() for other in others] == [number]
    assert whole(catalogue, number)
    with pytest.raises(KeyReused):
        catalogue.begin_import("a folder", ROWS, RequestKey(KEY.key, "1" * 64))


def test_a_recorder_that_was_given_up_stops(open_catalogue, monkeypatch):
    """Whoever gives up an import that was only slow tells its recorder; giving up again changes nothing."""
    catalogue, other = open_catalogue(), open_catalogue()

    def give_up() -> None:
        for number in other.rows.half_recorded():
            other.rows.abandon(number)

    between(monkeypatch, give_up)
    with pytest.raises(Unavailable, match="send it again"):
        catalogue.begin_import("a folder", ROWS, KEY)
    between(monkeypatch, lambda: None)
    number = catalogue.begin_import("a folder", ROWS, KEY)
    other.rows.abandon(number)
    assert whole(catalogue, number)
    assert forgotten(catalogue, number - 1)


def test_rows_that_cannot_be_recorded_take_back_those_that_were(open_catalogue, monkeypatch):
    """A disk that fills up half-way leaves an import that has failed and no rows; its key is free again."""
    catalogue, insert = open_catalogue(), sql_imports.insert_rows
    rooms = iter([True, True, False])

    def until_full(connection, import_id, rows) -> None:
        insert(connection, import_id, rows)
        if not next(rooms, True):
            raise StorageFull("the disk is full")

    monkeypatch.setattr(sql_imports, "insert_rows", until_full)
    with pytest.raises(StorageFull):
        catalogue.begin_import("a folder", ROWS, KEY)
    assert catalogue.rows.half_recorded() == {}
    assert whole(catalogue, catalogue.begin_import("a folder", ROWS, KEY))


def test_a_first_row_that_cannot_be_recorded_leaves_nothing(open_catalogue, monkeypatch):
    """Where not even the first rows could be stored there is no import, and nobody waits for it."""
    catalogue, insert = open_catalogue(), sql_imports.insert_rows

    def full(*_) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(sql_imports, "insert_rows", full)
    with pytest.raises(StorageFull):
        catalogue.begin_import("a folder", ROWS, KEY)
    assert catalogue.rows.half_recorded() == {}
    monkeypatch.setattr(sql_imports, "insert_rows", insert)
    assert whole(catalogue, catalogue.begin_import("a folder", ROWS, KEY))


def test_a_report_walks_through_no_rows(tmp_path):
    """Counts come from an index alone, and refused rows are found by their state: it is asked for often."""
    catalogue, asked = SqlCatalogue(sqlite_catalogue(tmp_path)), []
    number = catalogue.begin_import("a folder", ROWS)
    engine = catalogue._database.engine
    event.listen(engine, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
    catalogue.import_report(number)
    with engine.connect() as connection:
        rows = [one for one in asked if "import_rows" in one[0]]
        plans = [
            [step[-1] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)]
            for query, values in rows
        ]
    catalogue.close()
    steps = [step for plan in plans for step in plan if " import_rows " in step]
    assert len(plans) == 3
    assert any("COVERING INDEX" in step for step in steps)
    assert not [step for step in steps if "COVERING" not in step and step.endswith("(import_id=?)")]
    assert not [step for step in steps if step.startswith("SCAN")]
