"""A database for the catalogue: SQLite by default, PostgreSQL by URL, and its errors in our words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain.errors import CatalogueUnavailable, Conflict, InvalidInput, StorageFull
from app.failpoints import reach

_BUSY_SECONDS = 5
_BUSY = 1000 * _BUSY_SECONDS  # milliseconds
_STATEMENT_SECONDS = 10
# Much longer than the longest write of our own.
_TURN_SECONDS = 30
_POOL = {"pool_size": 8, "max_overflow": 40, "pool_timeout": _BUSY_SECONDS}
# Before this release two connections that write and checkpoint at once could corrupt a database in WAL mode.
_SAFE_WAL = (3, 51, 3)
_PG_DISK_FULL, _PG_TOO_LONG = "53100", "57014"

T = TypeVar("T")


class Database:
    """Connections to one database, one transaction each; a write is durable when its block ends.

    Raises CatalogueUnavailable, StorageFull, Conflict or InvalidInput, never an error of SQLAlchemy or a driver.
    ``sqlite_version`` stands for the library's own version.
    """

    def __init__(self, url: str, *, sqlite_version: tuple[int, ...] = sqlite.sqlite_version_info) -> None:
        parsed = _parse(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        # Waiting threads of this process take turns: SQLite's own waiting is a lottery in which one may starve.
        self._turns = _Turns()
        self._file = Path(parsed.database or "") if self._sqlite else None
        self._seen = False
        if self._sqlite:
            self.engine = _sqlite_engine(parsed, journal_mode(sqlite_version))
            self._reader = self.engine
        else:
            self.engine = _postgres_engine(parsed)
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = self.engine.execution_options(resight_begin="BEGIN IMMEDIATE")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout."""
        self._look()
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block and rolled back when the block raises."""
        self._look()
        with _translated(), self._turn_to_write() as patience, self._writer.connect() as connection:
            with connection.execution_options(resight_patience=patience).begin():
                yield connection
                reach("catalogue.before_commit")
            reach("catalogue.committed")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _turn_to_write(self) -> Iterator[int]:
        """Yields for how many milliseconds another process may still be waited for.

        Waiting for one's turn counts: behind a lock of another process all that wait are told so at the same time.
        """
        if not self._sqlite:
            yield _BUSY
            return
        start = monotonic()
        if not self._turns.acquire(_TURN_SECONDS):
            raise CatalogueUnavailable("the catalogue database is busy")
        try:
            yield max(0, round(_BUSY - 1000 * (monotonic() - start)))
        finally:
            self._turns.release()

    def _look(self) -> None:
        """Raise CatalogueUnavailable for a file of SQLite that is gone.

        Open connections would go on with what is no longer there, and a new one would begin an empty database.
        """
        if self._file is None:
            return
        there = self._file.exists()
        if self._seen and not there:
            raise CatalogueUnavailable("the catalogue database is not where it was: is its disk mounted?")
        self._seen = there


class _Turns:
    """A lock for threads in the order in which they came: whoever writes again and again lets all others in between."""

    def __init__(self) -> None:
        self._door = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for one's turn; False when it did not come within ``timeout`` seconds."""
        mine = Lock()
        with self._door:
            if not self._taken:
                self._taken = True
                return True
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout):
            return True
        with self._door:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it came in that very moment

    def release(self) -> None:
        """Let the next one in."""
        with self._door:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


def journal_mode(version: tuple[int, ...]) -> str:
    """WAL where this SQLite writes it safely, else the slower rollback journal."""
    return "WAL" if version >= _SAFE_WAL else "TRUNCATE"


def batches(values: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Cut values into lists that fit into one statement."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("the database URL cannot be read") from error
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise InvalidInput("a catalogue on SQLite needs a file: sqlite:///catalogue.sqlite")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidInput(f"the catalogue runs on SQLite or PostgreSQL, not on {backend!r}")


def _sqlite_engine(url: URL, journal: str) -> Engine:
    # The driver opens no transactions of its own (isolation_level): the begin event says which kind.
    options: dict[str, Any] = {"timeout": _BUSY_SECONDS, "isolation_level": None}
    engine = create_engine(url, module=sqlite, connect_args=options, **_POOL)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={options.get('resight_patience', _BUSY)}")
        # A writer asks for the lock at once: one that reads first and writes later can be refused half-way.
        connection.exec_driver_sql(options.get("resight_begin", "BEGIN"))

    return engine


def _postgres_engine(url: URL) -> Engine:
    settings = f"-c statement_timeout={_STATEMENT_SECONDS}s -c synchronous_commit=on"
    options = {"connect_timeout": _BUSY_SECONDS, "options": settings, "application_name": "resight"}
    try:
        return create_engine(url, connect_args=options, pool_pre_ping=True, **_POOL)
    except ModuleNotFoundError as error:
        raise InvalidInput("a catalogue on PostgreSQL needs the extra resight[postgres]") from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("the change contradicts what the catalogue holds") from error
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput("the catalogue cannot hold this value") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _PG_DISK_FULL or "disk is full" in str(error.orig):
            raise StorageFull("the disk of the catalogue database is full; nothing was stored") from error
        if getattr(error.orig, "sqlstate", None) == _PG_TOO_LONG:
            raise CatalogueUnavailable(
                f"the catalogue database was at one statement for more than {_STATEMENT_SECONDS} seconds and gave it up"
            ) from error
        raise CatalogueUnavailable("the catalogue database does not answer") from error
    except PoolTimeout as error:
        raise CatalogueUnavailable("the catalogue database is busy") from error
