"""What the rows of one sheet said, in a temporary SQLite file: bounded memory, exact, gone when it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from app.adapters.sql_engine import batches
from app.domain.errors import StorageFull, Unavailable

_CACHE_KIB = 24_000


class SqlMemory:
    """The Memory of ``conflicts``; used by one thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def first(self, kind: str, said: Mapping[str, str]) -> dict[str, str]:
        known = self.known(kind, said)
        new = [(kind, key, text) for key, text in said.items() if key not in known]
        self._connection.executemany("INSERT INTO said VALUES (?, ?, ?)", new)
        return {**said, **known}

    def known(self, kind: str, keys: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for batch in batches(list(keys)):
            marks = ",".join("?" * len(batch))
            query = f"SELECT key, text FROM said WHERE kind = ? AND key IN ({marks})"  # noqa: S608 - question marks
            found.update(self._connection.execute(query, [kind, *batch]))
        return found

    def count(self, kind: str) -> int:
        query = "SELECT count(*) FROM said WHERE kind = ?"
        return int(self._connection.execute(query, [kind]).fetchone()[0])


@contextmanager
def sql_memory() -> Iterator[SqlMemory]:
    """A memory of its own; raises StorageFull when the disk for temporary files is full, else Unavailable."""
    try:
        # A database without a name is a file that SQLite deletes as soon as it has opened it.
        connection = sqlite.connect("", isolation_level=None)
        try:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
                connection.execute(f"PRAGMA {pragma}").close()
            columns = "kind TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL"
            connection.execute(f"CREATE TABLE said ({columns}, PRIMARY KEY (kind, key)) WITHOUT ROWID")
            connection.execute("BEGIN")
            yield SqlMemory(connection)
        finally:
            connection.close()
    except sqlite.Error as error:
        if "full" in str(error):
            raise StorageFull("the disk for temporary files is full: the sheet could not be checked") from error
        raise Unavailable("the temporary file for checking a sheet does not answer") from error
