"""Whole catalogues as files: always a SQLite database, whichever database the catalogue lives in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Table, delete, func, insert, make_url, select

from app.adapters.sql_engine import Database
from app.adapters.sql_tables import catalogue_version, metadata
from app.disk import disk_errors, sync_folder
from app.domain.errors import CatalogueUnavailable, Conflict, Corrupt, StorageFull
from migrations import upgrade

_ROWS = 1000
_NAMES = "SELECT id, sha256 FROM images WHERE id > ? ORDER BY id LIMIT 5000"


class SqlCopies:
    """The CatalogueCopies port for the catalogue at ``url``.

    SQLite is copied page by page in one read transaction; PostgreSQL is read table by table in one transaction at
    REPEATABLE READ. Neither keeps anybody from reading or writing meanwhile.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        parsed = make_url(url)
        self._file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None

    def write(self, file: Path) -> None:
        with _answering():
            file.unlink(missing_ok=True)
            if self._file:
                self._pages(self._file, file)
            else:
                self._rows(file)
            _whole(file)
            sync_folder(file)

    def names(self, file: Path) -> Iterator[str]:
        with _answering(), closing(_opened(file)) as connection:
            last = 0
            while page := connection.execute(_NAMES, (last,)).fetchall():
                yield from (sha256 for _, sha256 in page)
                last = page[-1][0]

    def require_empty(self) -> None:
        if self._file:
            if self._file.exists():
                raise Conflict("there is a catalogue already; a backup is restored into an empty place")
            return
        upgrade(self._url)
        database = Database(self._url)
        with closing(database), database.reading() as connection:
            held = {table for table in metadata.sorted_tables if _rows_in(connection, table)}
        if held - {catalogue_version}:
            raise Conflict("the database holds a catalogue already; a backup is restored into an empty one")

    def read(self, file: Path) -> None:
        with _answering():
            # An older backup is brought to the newest schema in a copy: the backup itself is never changed.
            partial = (self._file or file).with_suffix(".partial")
            try:
                shutil.copyfile(file, partial)
                upgrade(f"sqlite:///{partial}")
                _closed(partial)
                if self._file:
                    sync_folder(partial)
                    partial.rename(self._file)
                    sync_folder(self._file.parent)
                else:
                    self._fill(partial)
            finally:
                partial.unlink(missing_ok=True)

    def _pages(self, source: Path, file: Path) -> None:
        with closing(_opened(source, immutable=False)) as opened, closing(sqlite.connect(file)) as target:
            opened.backup(target)
        _closed(file)

    def _rows(self, file: Path) -> None:
        url = f"sqlite:///{file}"
        upgrade(url)
        source, target = Database(self._url), Database(url)
        with closing(source), closing(target), source.reading() as rows, target.writing() as copy:
            _transfer(rows, copy)
        _closed(file)

    def _fill(self, file: Path) -> None:
        source, target = Database(f"sqlite:///{file}"), Database(self._url)
        with closing(source), closing(target), source.reading() as rows, target.writing() as copy:
            _transfer(rows, copy)
            for table in metadata.sorted_tables:
                _count_on(copy, table)


def _count_on(connection: Connection, table: Table) -> None:
    """Let PostgreSQL draw the next key behind those that came with the copy."""
    for key in table.primary_key.columns:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, key.name)))
        if sequence and (last := connection.scalar(select(func.max(key)))):
            connection.execute(select(func.setval(sequence, last)))


def _rows_in(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _transfer(source: Connection, target: Connection) -> None:
    """Copy every row of every table, parents before children."""
    target.execute(delete(catalogue_version))
    for table in metadata.sorted_tables:
        found = source.execution_options(yield_per=_ROWS).execute(select(table)).mappings()
        for page in found.partitions(_ROWS):
            target.execute(insert(table), [dict(row) for row in page])


def _opened(file: Path, *, immutable: bool = True) -> sqlite.Connection:
    """A connection that writes nothing; ``immutable`` for a file that nobody else has open."""
    end = "&immutable=1" if immutable else ""
    return sqlite.connect(f"file:{quote(str(file.resolve()))}?mode=ro{end}", uri=True, timeout=5)


def _closed(file: Path) -> None:
    """Make a database one file that needs no others beside it."""
    with closing(sqlite.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()


def _whole(file: Path) -> None:
    with closing(_opened(file)) as connection:
        if (said := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise Corrupt(f"the catalogue is damaged: {said}")


@contextmanager
def _answering() -> Iterator[None]:
    with disk_errors("the disk is full: the catalogue was not copied", _broken):
        try:
            yield
        except sqlite.Error as error:
            if "full" in str(error):
                raise StorageFull("the disk is full: the catalogue was not copied") from error
            raise CatalogueUnavailable("the catalogue database, or its copy, does not answer") from error


def _broken(why: str) -> CatalogueUnavailable:
    return CatalogueUnavailable(f"the catalogue could not be copied: {why}")
