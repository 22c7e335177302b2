"""The database of the jobs: SQLite in the data folder, or the schema ``dbos`` of a PostgreSQL database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain.errors import CatalogueUnavailable, InvalidInput, StorageFull

_BUSY_SECONDS = 5
_STATEMENT_SECONDS = 30
_LOOK_AGAIN = 1.0
_POOL = {"pool_size": 5, "max_overflow": 15, "pool_timeout": _BUSY_SECONDS, "pool_pre_ping": True}
_PG_DISK_FULL = "53100"


def jobs_engine(url: str, *, patient: threading.Event | None = None) -> Engine:
    """Connections that DBOS is given instead of making its own, which would be of Python's own SQLite.

    Where ``patient`` is given, connecting waits for a database that is away until the event is set: DBOS itself would
    look again after ever longer pauses, of up to 90 seconds. Raises InvalidInput.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed.set(drivername="sqlite+pysqlite"), module=sqlite, **_POOL)
        event.listen(engine, "connect", _prepare)
    else:
        settings = f"-c statement_timeout={_STATEMENT_SECONDS}s -c synchronous_commit=on"
        options = {"connect_timeout": _BUSY_SECONDS, "options": settings, "application_name": "resight-jobs"}
        try:
            engine = create_engine(parsed.set(drivername="postgresql+psycopg"), connect_args=options, **_POOL)
        except ModuleNotFoundError as error:
            raise InvalidInput("jobs on PostgreSQL need the extra resight[postgres]") from error
    if patient:
        event.listen(engine, "do_connect", _patiently(patient))
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """No error of SQLAlchemy or of a driver leaves this block; raises CatalogueUnavailable or StorageFull instead."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _PG_DISK_FULL or "disk is full" in str(error.orig):
            raise StorageFull("the disk of the jobs' database is full; nothing was recorded") from error
        raise CatalogueUnavailable("the jobs' database does not answer") from error
    except PoolTimeout as error:
        raise CatalogueUnavailable("the jobs' database is busy") from error


def _prepare(connection: Any, _record: object) -> None:
    # DBOS counts on a write lock from the first write on. The rollback journal is as fast as a few writes a step
    # need, and keeps the jobs in one file.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _patiently(stop: threading.Event) -> Callable[..., Any]:
    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        while True:
            try:
                return dialect.connect(*arguments, **options)
            except dialect.dbapi.OperationalError:
                if stop.wait(_LOOK_AGAIN):
                    raise

    return connect
