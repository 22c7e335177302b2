"""SqlCatalogue on SQLite and PostgreSQL keeps the contract, as does the fake; what only databases show stands below."""

import os
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import text

from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_engine import Database, journal_mode
from app.domain.catalogue import Viewpoint
from app.domain.errors import CatalogueUnavailable, Conflict, InvalidInput, StorageFull, UnknownIndividual
from app.domain.partition import Partition
from migrations import upgrade
from tests.contracts.catalogue import *  # noqa: F403 - the contract's tests are collected here
from tests.contracts.catalogue import BODY, import_all, ready, said
from tests.databases import postgres_catalogue, sqlite_catalogue


@pytest.fixture
def database(url):
    made = Database(url)
    yield made
    made.close()


def test_a_catalogue_outlives_its_process(url):
    """What one program stored another finds, down to the last bit of a vector."""
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])
        row = ready(said("one"), body=np.array([1e-30, -0.0, np.float32(1) / 3, 7], np.float32))
        import_all(opened, [row])
    with closing(SqlCatalogue(url)) as opened:
        _, vectors = opened.partition(Partition("body", Viewpoint.TOP, 2019))
        assert vectors.tobytes() == row.vectors["body"].astype("<f4").tobytes()
        assert opened.version() == 2


@pytest.mark.parametrize(
    ("version", "mode"), [((3, 40, 1), "TRUNCATE"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((3, 53, 4), "WAL")]
)
def test_wal_needs_a_sqlite_that_keeps_it_whole(tmp_path, version, mode):
    """Before 3.51.3 two connections could corrupt a WAL database: such a library gets a synced journal."""
    assert journal_mode(version) == mode
    database = Database(f"sqlite:///{tmp_path / 'catalogue.sqlite'}", sqlite_version=version)
    with database.reading() as connection:
        asked = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    database.close()
    assert asked == [mode.lower(), 2, 1]


def test_an_unsafe_sqlite_leaves_wal_when_it_finds_it(tmp_path):
    """A database that a newer library left in WAL mode is brought back to the rollback journal."""
    url = sqlite_catalogue(tmp_path)
    old = Database(url, sqlite_version=(3, 40, 1))
    with old.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "truncate"
    old.close()


def test_the_bundled_sqlite_is_a_safe_one():
    """The library that Resight installs writes WAL safely."""
    assert journal_mode(sqlite.sqlite_version_info) == "WAL"


def test_postgres_acknowledges_what_is_on_disk_and_gives_up_in_time():
    """A session on PostgreSQL commits synchronously and has a statement timeout; a read is one snapshot."""
    with postgres_catalogue() as url:
        database = Database(url)
        with database.reading() as connection:
            names = ("synchronous_commit", "statement_timeout", "transaction_isolation", "transaction_read_only")
            asked = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
        database.close()
    assert asked == ["on", "10s", "repeatable read", "on"]


def test_a_block_that_raises_leaves_nothing(database):
    """A transaction is rolled back by any error of its block, which passes through unchanged."""

    def change() -> None:
        with database.writing() as connection:
            connection.execute(text("UPDATE catalogue_version SET version = 7"))
            raise KeyError

    with pytest.raises(KeyError):
        change()
    with database.reading() as connection:
        assert connection.execute(text("SELECT version FROM catalogue_version")).scalar() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO catalogue_version (id, version) VALUES (2, 0)",
        "INSERT INTO imports (source, state, started) VALUES ('a', 'odd', '2020-01-01')",
        "INSERT INTO encounters (name, key, individual_id) VALUES ('a', 'a', 99)",
        "INSERT INTO import_rows (import_id, row, source_id, state, sighting) VALUES (99, 1, 'a', 'waiting', '{}')",
    ],
)
def test_the_schema_refuses_what_the_domain_does_not_know(database, statement):
    """Checks and foreign keys hold in both databases, and speak as our errors."""
    with pytest.raises(Conflict) as caught, database.writing() as connection:
        connection.execute(text(statement))
    assert caught.value.__cause__ is not None


def test_a_viewpoint_must_be_one_of_four(url, database):
    """No annotation can be given a viewpoint that would lie in no partition."""
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])
        import_all(opened, [ready(said("one"))])
    with pytest.raises(Conflict), database.writing() as connection:
        connection.execute(text("UPDATE annotations SET viewpoint = 'front'"))


def test_a_missing_database_is_unavailable(tmp_path):
    """A database that cannot be opened says so in our words, without its address, and keeps the cause."""
    for url in (f"sqlite:///{tmp_path / 'none' / 'c.sqlite'}", "postgresql://nobody:secret@127.0.0.1:1/none"):
        with closing(SqlCatalogue(url)) as opened:
            with pytest.raises(CatalogueUnavailable) as caught:
                opened.version()
            assert str(caught.value) == "the catalogue database does not answer"
            assert caught.value.__cause__ is not None


def test_a_database_without_a_schema_is_unavailable(tmp_path):
    """A catalogue that was never migrated fails; it does not look empty."""
    with closing(SqlCatalogue(f"sqlite:///{tmp_path / 'c.sqlite'}")) as opened, pytest.raises(CatalogueUnavailable):
        opened.gallery()


def test_a_damaged_file_is_unavailable(tmp_path):
    """A file that is no database is refused on the first call."""
    (tmp_path / "c.sqlite").write_bytes(os.urandom(8192))
    with closing(SqlCatalogue(f"sqlite:///{tmp_path / 'c.sqlite'}")) as opened, pytest.raises(CatalogueUnavailable):
        opened.version()


def test_a_full_disk_is_told_apart(tmp_path):
    """A database that cannot grow raises StorageFull, stores nothing, and goes on when there is room again."""
    url = sqlite_catalogue(tmp_path)
    database = Database(url)
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])

    def fill() -> None:
        with database.writing() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.execute(text("INSERT INTO individuals (name, key) VALUES (:name, 'a')"), {"name": "a" * 100_000})

    with pytest.raises(StorageFull):
        fill()
    database.close()
    with closing(SqlCatalogue(url)) as opened:
        assert import_all(opened, [ready(said("one"))]) == {"stored": 1}


def test_a_locked_database_is_unavailable_and_recovers(tmp_path, monkeypatch):
    """While another program writes for too long, writing fails and reading goes on; afterwards all is well."""
    monkeypatch.setattr("app.adapters.sql_engine._BUSY_SECONDS", 0.1)
    url = sqlite_catalogue(tmp_path)
    other = sqlite.connect(str(tmp_path / "catalogue.sqlite"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with closing(SqlCatalogue(url)) as opened:
        with pytest.raises(CatalogueUnavailable):
            opened.use_spaces([BODY])
        assert opened.version() == 0
        other.execute("ROLLBACK")
        opened.use_spaces([BODY])
        assert opened.version() == 1
    other.close()


def test_writers_of_one_process_take_turns(tmp_path, monkeypatch):
    """A writer that waits too long for another thread gives up with our error instead of waiting for ever."""
    monkeypatch.setattr("app.adapters.sql_engine._TURN_SECONDS", 0.05)
    database = Database(sqlite_catalogue(tmp_path))
    failed: list[Exception] = []

    def wait() -> None:
        try:
            with database.writing():
                pass
        except CatalogueUnavailable as error:
            failed.append(error)

    with database.writing():
        waiter = threading.Thread(target=wait)
        waiter.start()
        waiter.join()
    database.close()
    assert [str(error) for error in failed] == ["the catalogue database is busy"]


@pytest.mark.parametrize("name", ["bad\ud800name", "nul\0name"])
def test_text_that_a_database_cannot_hold_is_the_callers_fault(url, name):
    """Half a character or a zero byte in a name is an input error or simply unknown, never a crash."""
    with closing(SqlCatalogue(url)) as opened, pytest.raises((InvalidInput, UnknownIndividual)):
        opened.individual(name)


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:", "no url"])
def test_only_files_and_postgres_are_databases(url):
    """A URL that cannot hold a catalogue is refused at once."""
    with pytest.raises(InvalidInput):
        SqlCatalogue(url)


def test_postgres_urls_may_be_spelled_as_elsewhere():
    """Both usual schemes lead to the one driver that Resight installs."""
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        database = Database(f"{scheme}://localhost/resight")
        assert database.engine.url.drivername == "postgresql+psycopg"
        database.close()


def test_every_image_is_listed_over_many_pages(url, monkeypatch):
    """The list of images is read page by page, without gap or overlap."""
    monkeypatch.setattr("app.adapters.sql_catalogue._SHAS", 3)
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])
        import_all(opened, [ready(said(f"n{row}", row)) for row in range(10)])
        shas = list(opened.image_shas())
        assert len(shas) == len(set(shas)) == 10


def test_a_partition_larger_than_a_page_comes_whole(url, monkeypatch):
    """Vectors that stream in several parts keep their order."""
    monkeypatch.setattr("app.adapters.sql_vectors._STREAM", 3)
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])
        rows = [ready(said(f"n{row}", row)) for row in range(10)]
        import_all(opened, rows)
        ids, vectors = opened.partition(Partition("body", Viewpoint.TOP, 2019))
        assert ids.tolist() == sorted(ids.tolist())
        np.testing.assert_array_equal(vectors, [row.vectors["body"] for row in rows])


def test_a_catalogue_in_a_folder_with_odd_signs_is_found(tmp_path):
    """Spaces and percent signs in a folder's name do not lead elsewhere."""
    folder = tmp_path / "50 % of belugas"
    folder.mkdir()
    file: Path = folder / "c.sqlite"
    upgrade(f"sqlite:///{file}")
    assert file.is_file()


def test_too_many_readers_at_once_are_turned_away(tmp_path, monkeypatch):
    """When every connection is taken, the next caller is told so after a while instead of hanging."""
    monkeypatch.setattr("app.adapters.sql_engine._POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05})
    database = Database(sqlite_catalogue(tmp_path))
    with database.reading(), pytest.raises(CatalogueUnavailable, match="busy"), database.reading():
        pass
    database.close()


def test_postgres_without_its_driver_says_what_to_install(monkeypatch):
    """The core installs without PostgreSQL's driver: whoever gives such a URL learns which extra to add."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput, match=r"resight\[postgres\]"):
        SqlCatalogue("postgresql://localhost/resight")
