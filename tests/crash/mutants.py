"""The service with one bug put in on purpose: a harness that never fails proves nothing.

The nursery puts the bug that ``RESIGHT_MUTANT`` names into a service's adapters before it starts it. Windows are
widened by short sleeps, as chance alone would need many kills.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from app.adapters import sql_imports, sql_intake
from app.adapters.faiss_index import FaissIndex
from app.adapters.file_blobs import FileBlobs
from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_rows import SqlRows
from app.adapters.sql_state import SqlState
from app.domain.conflicts import Ledger

_WINDOW = 0.3


def acknowledge_before_fsync() -> None:
    """Nothing is ever synced: what is said to be stored is in memory only."""
    os.fsync = os.fdatasync = lambda _descriptor: None


def row_before_original() -> None:
    """Originals are written a moment after they are said to be stored."""
    store = FileBlobs.put_all

    def put_all(self: FileBlobs, contents: Sequence[bytes]) -> list[str]:
        threading.Timer(_WINDOW, store, (self, list(contents))).start()
        return [hashlib.sha256(content).hexdigest() for content in contents]

    FileBlobs.put_all = put_all


def insert_twice() -> None:
    """A chunk is inserted in one transaction and its rows are marked in another; who repeats it inserts it again."""

    def add(self: SqlCatalogue, import_id: int, rows: Sequence[Any], refused: Sequence[Any], _spaces: Any) -> None:
        marked: dict[int, Any] = {}
        sql_imports.mark, mark = lambda _connection, _id, states: marked.update(states), sql_imports.mark
        held = self.annotation_ids(row.sighting.source_id for row in rows)
        try:
            with self._database.writing() as connection:
                sql_intake.add(connection, import_id, [_renamed(row, held) for row in rows], refused)
        finally:
            sql_imports.mark = mark
        time.sleep(_WINDOW)
        with self._database.writing() as connection:
            mark(connection, import_id, marked)

    SqlCatalogue.add = add
    SqlCatalogue.known = lambda _self, _sightings: set()
    sql_intake._ledger = lambda connection, rows: Ledger(
        (), sql_intake.held(connection, [r[0] for r in rows], ()).names
    )
    box = sql_intake._box
    sql_intake._box = lambda given: box(given) | {"box_key": uuid4().hex}


def swap_before_commit() -> None:
    """The index answers from rows whose transaction is still open."""
    opened: list[FaissIndex] = []
    prepare, store = FaissIndex.__init__, sql_intake.add

    def remember(self: FaissIndex, *args: Any, **kwargs: Any) -> None:
        prepare(self, *args, **kwargs)
        opened.append(self)

    def add(connection: Connection, *args: Any) -> Any:
        answer = store(connection, *args)
        opened[-1].refresh(_Uncommitted(connection))
        time.sleep(_WINDOW)
        return answer

    FaissIndex.__init__, sql_intake.add = remember, add


def lost_resume() -> None:
    """The rows that a killed service left waiting are forgotten by the next one."""
    open_catalogue, waiting = SqlCatalogue.__init__, SqlRows.waiting
    left: list[int] = []

    def opened(self: SqlCatalogue, url: str) -> None:
        open_catalogue(self, url)
        left.extend(self.running_imports())

    def known(self: SqlRows, import_id: int, limit: int) -> Any:
        return [] if import_id in left else waiting(self, import_id, limit)

    SqlCatalogue.__init__, SqlRows.waiting = opened, known


def stale_snapshot() -> None:
    """A new generation is written and named in the answer, but the one before goes on answering for a while."""
    refresh = FaissIndex.refresh

    def late(self: FaissIndex, source: Any) -> Any:
        before = self._current
        after = refresh(self, source)
        if before is not None:
            self._current = before
            threading.Timer(2 * _WINDOW, lambda: setattr(self, "_current", after)).start()
        return after

    FaissIndex.refresh = late


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        acknowledge_before_fsync,
        row_before_original,
        insert_twice,
        swap_before_commit,
        lost_resume,
        stale_snapshot,
    )
}


class _Uncommitted(SqlState):
    """What an index is built from, as one open transaction sees it."""

    def at_once(self) -> AbstractContextManager[SqlState]:
        return nullcontext(self)


def _renamed(row: Any, held: Mapping[str, int]) -> Any:
    """The row under another source id where its own is taken."""
    name = row.sighting.source_id
    return replace(row, sighting=replace(row.sighting, source_id=f"{name}~{uuid4().hex[:6]}")) if name in held else row
