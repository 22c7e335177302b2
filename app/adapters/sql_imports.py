"""Imports and where their rows stand, in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.sql_tables import LARGEST_ID, import_rows, imports
from app.domain.errors import KeyReused, Unavailable, UnknownImport
from app.domain.ingestion import ImportReport, ImportState, RequestKey, RowState
from app.domain.sightings import load_sighting

_SHOWN = 1000
# Of a large import all rows at once would take longer than a statement may, and hold up every other writer.
_SETTLED = 10_000
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_CUT_SHORT = "it was cut short while it was being recorded: nothing of it was taken in; import it again"
_GOES_ON = and_(imports.c.state == ImportState.RECORDING, imports.c.finished.is_(None))


def begin(connection: Connection, source: str, state: ImportState, request: RequestKey | None = None) -> int | None:
    """A new import without rows; None where there is one of the same request already."""
    row = {"source": source, "state": state, "started": _now()}
    if request:
        row |= {"request_key": request.key, "request_sha256": request.sha256}
    # Of requests at the same time with one key, this statement lets the first one in and the others wait for it.
    unique = _INSERTS[connection.dialect.name](imports).on_conflict_do_nothing(index_elements=["request_key"])
    begun: int | None = connection.execute(unique.values(row).returning(imports.c.id)).scalar_one_or_none()
    return begun


def insert_rows(connection: Connection, import_id: int, rows: list[dict[str, Any]]) -> None:
    """More rows of an import."""
    if rows:
        connection.execute(insert(import_rows).values(import_id=import_id), rows)


def require_recording(connection: Connection, import_id: int) -> None:
    """Raise Unavailable when the import that is being recorded was given up; nobody gives it up before the commit."""
    query = select(imports.c.id).where(imports.c.id == import_id, _GOES_ON).with_for_update()
    if connection.execute(query).first() is None:
        raise Unavailable("the import stood still while it was being recorded and was given up; send it again")


def recorded(connection: Connection, import_id: int) -> None:
    """All rows of an import are there: it runs from now on."""
    connection.execute(update(imports).where(imports.c.id == import_id).values(state=ImportState.RUNNING))


def recording(connection: Connection) -> dict[int, int]:
    """Imports whose recording has not ended, each with its last row so far."""
    last = select(func.max(import_rows.c.row)).where(import_rows.c.import_id == imports.c.id).scalar_subquery()
    query = select(imports.c.id, func.coalesce(last, 0)).where(imports.c.state == ImportState.RECORDING)
    return {int(number): int(reached) for number, reached in connection.execute(query)}


def give_up(connection: Connection, import_id: int) -> bool:
    """Let nobody go on recording an import, and free its key; False when it is not being recorded.

    That it has ended and is still ``recording`` says that it was given up and that its rows are being forgotten.
    """
    half = imports.c.id == import_id, imports.c.state == ImportState.RECORDING
    values = {"finished": _now(), "request_key": None, "request_sha256": None}
    return bool(connection.execute(update(imports).where(*half).values(values)).rowcount)


def clear(connection: Connection, import_id: int) -> int:
    """Forget the next rows of an import that was given up; how many, and it has failed when there are none left."""
    own = import_rows.c.import_id == import_id
    some = select(import_rows.c.row).where(own).order_by(import_rows.c.row).limit(_SETTLED)
    count = int(connection.execute(delete(import_rows).where(own, import_rows.c.row.in_(some))).rowcount)
    if not count:
        half = imports.c.id == import_id, imports.c.state == ImportState.RECORDING
        connection.execute(update(imports).where(*half).values(state=ImportState.FAILED, reason=_CUT_SHORT))
    return count


def require(connection: Connection, import_id: int) -> Row[*tuple[Any, ...]]:
    """The row of an import; raises UnknownImport."""
    query = select(imports).where(imports.c.id == import_id)
    row = connection.execute(query).one_or_none() if 0 < import_id <= LARGEST_ID else None
    if row is None:
        raise UnknownImport(f"no import has the id {import_id}")
    return row


def requested(connection: Connection, request: RequestKey) -> int | None:
    """The import that a request began, whole; raises KeyReused when its key stands for another one."""
    found = earlier(connection, request)
    return int(found.id) if found and found.state != ImportState.RECORDING else None


def earlier(connection: Connection, request: RequestKey | None) -> Row[*tuple[Any, ...]] | None:
    """Id and state of the import of a request, be it half recorded; raises KeyReused."""
    key = request and request.key
    query = select(imports.c.id, imports.c.state, imports.c.request_sha256).where(imports.c.request_key == key)
    found = connection.execute(query).one_or_none() if request else None
    if found is not None and request and found.request_sha256 != request.sha256:
        raise KeyReused("this idempotency key was used before, for another import")
    return found


def running(connection: Connection) -> list[int]:
    """Imports that have not ended, oldest first."""
    query = select(imports.c.id).where(imports.c.state == ImportState.RUNNING).order_by(imports.c.id)
    return list(connection.execute(query).scalars())


def unsettled(connection: Connection) -> list[int]:
    """Cancelled imports with rows that wait or are stored, oldest first."""
    open_rows = import_rows.c.import_id == imports.c.id, import_rows.c.state.in_([RowState.WAITING, RowState.STORED])
    cancelled = imports.c.state == ImportState.CANCELLED, exists().where(*open_rows)
    return list(connection.scalars(select(imports.c.id).where(*cancelled).order_by(imports.c.id)))


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
    own = import_rows.c.import_id == import_id
    # Ordered by a sum, which no index is ordered by: SQLite would walk through all rows, in order, to find these few.
    first = select(import_rows.c.row).where(own, import_rows.c.state == state).order_by(import_rows.c.row + 0)
    wanted = own, import_rows.c.row.in_(first.limit(_SHOWN))
    found = connection.execute(select(*columns).where(*wanted).order_by(import_rows.c.row))
    return tuple(
        (load_sighting(row, source_id, said).line, source_id, why or "") for row, source_id, said, why in found
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
