"""The rows of imports that wait, in the tables."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, bindparam, false, select, update

from app.adapters import sql_imports
from app.adapters.sql_engine import Database
from app.adapters.sql_recording import Recorder
from app.adapters.sql_tables import annotations as annotated
from app.adapters.sql_tables import import_rows
from app.domain.ingestion import RequestKey, RowState, Waiting
from app.domain.sightings import load_sighting


class SqlRows:
    """The ImportRows port, on the database of the catalogue."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.recorder = Recorder(database)

    def waiting(self, import_id: int, limit: int) -> list[Waiting]:
        columns = import_rows.c.row, import_rows.c.source_id, import_rows.c.sighting, import_rows.c.attempts
        order = import_rows.c.attempts, import_rows.c.row
        with self._database.reading() as connection:
            sql_imports.require(connection, import_id)
            found = connection.execute(select(*columns).where(_waits(import_id)).order_by(*order).limit(limit))
            return [Waiting(load_sighting(*said), attempts) for *said, attempts in found]

    def attempt(self, import_id: int, rows: Sequence[int]) -> None:
        self._count(import_id, rows, 1)

    def give_back(self, import_id: int, rows: Sequence[int]) -> None:
        self._count(import_id, rows, -1)

    def quarantine(self, import_id: int, rows: Sequence[tuple[int, str]]) -> None:
        with self._database.writing() as connection:
            states = {row: (RowState.QUARANTINED, reason) for row, reason in rows}
            sql_imports.mark(connection, import_id, states)

    def brought(self, import_id: int) -> list[int]:
        own = annotated.c.import_id == import_id, annotated.c.removed.is_(false())
        with self._database.reading() as connection:
            return list(connection.scalars(select(annotated.c.id).where(*own).order_by(annotated.c.id)))

    def requested(self, request: RequestKey) -> int | None:
        with self._database.reading() as connection:
            return sql_imports.requested(connection, request)

    def unsettled(self) -> list[int]:
        with self._database.reading() as connection:
            return sql_imports.unsettled(connection)

    def half_recorded(self) -> dict[int, int]:
        return self.recorder.half_recorded()

    def abandon(self, import_id: int) -> None:
        self.recorder.abandon(import_id)

    def _count(self, import_id: int, rows: Sequence[int], by: int) -> None:
        if not rows:
            return
        query = update(import_rows).where(_waits(import_id), import_rows.c.row == bindparam("line"))
        values = query.values(attempts=import_rows.c.attempts + by)
        with self._database.writing() as connection:
            connection.execute(values, [{"line": row} for row in rows])


def _waits(import_id: int) -> ColumnElement[bool]:
    return and_(import_rows.c.import_id == import_id, import_rows.c.state == RowState.WAITING)
