"""Imports and where their rows stand, in the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.sql_engine import batches
from app.adapters.sql_tables import LARGEST_ID, import_rows, imports
from app.disk import disk_errors
from app.domain.catalogue import Sighting
from app.domain.errors import KeyReused, Unavailable, UnknownImport
from app.domain.ingestion import ImportReport, ImportState, RequestKey, RowState
from app.domain.sightings import dump_sighting, load_sighting

_SHOWN = 1000
# Of a large import all rows at once would take longer than a statement may, and hold up every other writer.
_SETTLED = 10_000
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
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


def begin(
    connection: Connection, source: str, rows: Iterable[dict[str, Any]], request: RequestKey | None = None
) -> int:
    """Record an import with all its rows; returns its id, or that of the import of the same request."""
    row = {"source": source, "state": ImportState.RUNNING, "started": _now()}
    if request:
        row |= {"request_key": request.key, "request_sha256": request.sha256}
    # Of requests at the same time with one key, this statement lets the first one in and the others wait for it.
    unique = _INSERTS[connection.dialect.name](imports).on_conflict_do_nothing(index_elements=["request_key"])
    import_id: Any = connection.execute(unique.values(row).returning(imports.c.id)).scalar_one_or_none()
    if request and import_id is None and (earlier := requested(connection, request)):
        return earlier
    for batch in batches(rows, 5000):
        connection.execute(insert(import_rows).values(import_id=import_id), batch)
    return int(import_id)


def require(connection: Connection, import_id: int) -> Row[*tuple[Any, ...]]:
    """The row of an import; raises UnknownImport."""
    query = select(imports).where(imports.c.id == import_id)
    row = connection.execute(query).one_or_none() if 0 < import_id <= LARGEST_ID else None
    if row is None:
        raise UnknownImport(f"no import has the id {import_id}")
    return row


def requested(connection: Connection, request: RequestKey) -> int | None:
    """The import that a request began; raises KeyReused when its key stands for another one."""
    query = select(imports.c.id, imports.c.request_sha256).where(imports.c.request_key == request.key)
    found = connection.execute(query).one_or_none()
    if found is not None and found.request_sha256 != request.sha256:
        raise KeyReused("this idempotency key was used before, for another import")
    return found and int(found.id)


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
    """End an import that is running; one that has ended stays as it is."""
    require(connection, import_id)
    running = imports.c.id == import_id, imports.c.state == ImportState.RUNNING
    connection.execute(update(imports).where(*running).values(state=state, reason=reason, finished=_now()))


def settle(connection: Connection, import_id: int, old: RowState, new: RowState, reason: str | None) -> int:
    """Bring the next rows of an import from one state to another; how many, 0 when none is left in the old one."""
    own = import_rows.c.import_id == import_id
    some = select(import_rows.c.row).where(own, import_rows.c.state == old).order_by(import_rows.c.row).limit(_SETTLED)
    values = {"state": new} | ({"reason": reason} if reason else {})
    query = update(import_rows).where(own, import_rows.c.state == old, import_rows.c.row.in_(some))
    return int(connection.execute(query.values(values)).rowcount)


def report(connection: Connection, import_id: int) -> ImportReport:
    """Where an import stands."""
    row = require(connection, import_id)
    own = import_rows.c.import_id == import_id
    counts = select(import_rows.c.state, func.count()).where(own).group_by(import_rows.c.state)
    return ImportReport(
        import_id=row.id,
        source=row.source,
        state=ImportState(row.state),
        started=row.started.replace(tzinfo=UTC),
        finished=row.finished and row.finished.replace(tzinfo=UTC),
        rows={RowState(state): count for state, count in connection.execute(counts)},
        refused=_listed(connection, import_id, RowState.REFUSED),
        quarantined=_listed(connection, import_id, RowState.QUARANTINED),
        reason=row.reason,
    )


def _listed(connection: Connection, import_id: int, state: RowState) -> tuple[tuple[int, str, str], ...]:
    columns = (import_rows.c.row, import_rows.c.source_id, import_rows.c.sighting, import_rows.c.reason)
    own = import_rows.c.import_id == import_id, import_rows.c.state == state
    found = connection.execute(select(*columns).where(*own).order_by(import_rows.c.row).limit(_SHOWN))
    return tuple(
        (load_sighting(row, source_id, said).line, source_id, why or "") for row, source_id, said, why in found
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _away(why: str) -> Unavailable:
    return Unavailable(f"the folder of temporary files does not answer: {why}")
