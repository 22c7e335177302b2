"""Imports and where their rows stand, in the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from app.adapters.sql_engine import batches
from app.adapters.sql_tables import LARGEST_ID, import_rows, imports
from app.disk import disk_errors
from app.domain.catalogue import Sighting
from app.domain.errors import Unavailable, UnknownImport
from app.domain.ingestion import ImportReport, ImportState, RowState
from app.domain.sightings import dump_sighting, load_sighting

_SHOWN = 1000
_COLUMNS = ("row", "source_id", "sighting")


@contextmanager
def spooled(sightings: Iterable[Sighting]) -> Iterator[Iterator[dict[str, Any]]]:
    """Columns of the rows of an import before it has an id, on disk: made first, so that the transaction is short."""
    with ExitStack() as stack:
        with disk_errors("the disk is full: the import was not begun", _away):
            spool = stack.enter_context(TemporaryFile("w+", encoding="utf-8"))
        for said in sightings:
            line = json.dumps([said.row, said.source_id, dump_sighting(said)])
            with disk_errors("the disk is full: the import was not begun", _away):
                spool.write(line + "\n")
        with disk_errors("the disk is full: the import was not begun", _away):
            spool.seek(0)
        yield (dict(zip(_COLUMNS, json.loads(line), strict=True), state=RowState.WAITING) for line in spool)


def begin(connection: Connection, source: str, rows: Iterable[dict[str, Any]]) -> int:
    """Record an import with all its rows; returns its id."""
    row = {"source": source, "state": ImportState.RUNNING, "started": _now()}
    import_id = int(connection.execute(insert(imports).values(row).returning(imports.c.id)).scalar_one())
    for batch in batches(rows, 5000):
        connection.execute(insert(import_rows).values(import_id=import_id), batch)
    return import_id


def require(connection: Connection, import_id: int) -> Row[*tuple[Any, ...]]:
    """The row of an import; raises UnknownImport."""
    query = select(imports).where(imports.c.id == import_id)
    row = connection.execute(query).one_or_none() if 0 < import_id <= LARGEST_ID else None
    if row is None:
        raise UnknownImport(f"no import has the id {import_id}")
    return row


def waiting(connection: Connection, import_id: int) -> list[Sighting]:
    """The rows of an import that are still waiting, in order."""
    require(connection, import_id)
    query = select(import_rows.c.row, import_rows.c.source_id, import_rows.c.sighting).where(
        import_rows.c.import_id == import_id, import_rows.c.state == RowState.WAITING
    )
    return [load_sighting(*row) for row in connection.execute(query.order_by(import_rows.c.row))]


def running(connection: Connection) -> list[int]:
    """Imports that have not ended, oldest first."""
    query = select(imports.c.id).where(imports.c.state == ImportState.RUNNING).order_by(imports.c.id)
    return list(connection.execute(query).scalars())


def mark(connection: Connection, import_id: int, states: Mapping[int, tuple[RowState, str | None]]) -> None:
    """Set the state, and the reason if any, of rows."""
    if states:
        query = update(import_rows).where(import_rows.c.import_id == import_id, import_rows.c.row == bindparam("line"))
        values = [{"line": row, "state": state, "reason": reason} for row, (state, reason) in states.items()]
        connection.execute(query, values)


def finish(connection: Connection, import_id: int, state: ImportState, reason: str | None) -> None:
    """End an import; stored rows become indexed when it is done."""
    require(connection, import_id)
    connection.execute(
        update(imports).where(imports.c.id == import_id).values(state=state, reason=reason, finished=_now())
    )
    if state is ImportState.DONE:
        stored = import_rows.c.import_id == import_id, import_rows.c.state == RowState.STORED
        connection.execute(update(import_rows).where(*stored).values(state=RowState.INDEXED))


def report(connection: Connection, import_id: int) -> ImportReport:
    """Where an import stands."""
    row = require(connection, import_id)
    own = import_rows.c.import_id == import_id
    counts = select(import_rows.c.state, func.count()).where(own).group_by(import_rows.c.state)
    columns = (import_rows.c.row, import_rows.c.source_id, import_rows.c.sighting, import_rows.c.reason)
    refused = select(*columns).where(own, import_rows.c.state == RowState.REFUSED)
    return ImportReport(
        import_id=row.id,
        source=row.source,
        state=ImportState(row.state),
        started=row.started.replace(tzinfo=UTC),
        finished=row.finished and row.finished.replace(tzinfo=UTC),
        rows={RowState(state): count for state, count in connection.execute(counts)},
        refused=tuple(
            (load_sighting(line, source_id, said).line, source_id, reason or "")
            for line, source_id, said, reason in connection.execute(refused.order_by(import_rows.c.row).limit(_SHOWN))
        ),
        reason=row.reason,
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _away(why: str) -> Unavailable:
    return Unavailable(f"the folder of temporary files does not answer: {why}")
