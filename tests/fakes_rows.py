"""The ImportRows port in memory, on the rows of the catalogue's fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.catalogue import Sighting
from app.domain.errors import KeyReused, UnknownImport
from app.domain.ingestion import RequestKey, RowState, Waiting


@dataclass
class Row:
    sighting: Sighting
    state: RowState = RowState.WAITING
    reason: str | None = None
    attempts: int = 0

    @property
    def told(self) -> tuple[int, str, str]:
        """As a report lists it."""
        return self.sighting.line, self.sighting.source_id, self.reason or ""


@dataclass
class FakeRows:
    """``broken`` is raised by the next writes, one after the other.

    ``cancelled`` tells of the imports that were cancelled; ``halves`` are those that somebody records, and their rows.
    """

    rows: dict[int, dict[int, Row]]
    ids: Callable[[list[str]], Mapping[str, int]]
    broken: list[Exception] = field(default_factory=list)
    requests: dict[str, tuple[str, int]] = field(default_factory=dict)
    cancelled: Callable[[], list[int]] = list
    halves: dict[int, int] = field(default_factory=dict)

    def waiting(self, import_id: int, limit: int) -> list[Waiting]:
        if import_id not in self.rows:
            raise UnknownImport(str(import_id))
        found = [(row.attempts, line, row) for line, row in self.rows[import_id].items() if self._waits(row)]
        return [Waiting(row.sighting, attempts) for attempts, _, row in sorted(found, key=lambda one: one[:2])[:limit]]

    def attempt(self, import_id: int, rows: Sequence[int]) -> None:
        self._count(import_id, rows, 1)

    def give_back(self, import_id: int, rows: Sequence[int]) -> None:
        self._count(import_id, rows, -1)

    def quarantine(self, import_id: int, rows: Sequence[tuple[int, str]]) -> None:
        for line, reason in rows:
            own = self.rows[import_id][line]
            own.state, own.reason = RowState.QUARANTINED, reason

    def brought(self, import_id: int) -> list[int]:
        added = {RowState.STORED, RowState.INDEXED}
        names = [row.sighting.source_id for row in self.rows.get(import_id, {}).values() if row.state in added]
        return sorted(self.ids(names).values())

    def requested(self, request: RequestKey) -> int | None:
        sha256, import_id = self.requests.get(request.key, (request.sha256, None))
        if sha256 != request.sha256:
            raise KeyReused("this idempotency key was used before, for another import")
        return import_id

    def unsettled(self) -> list[int]:
        passing = {RowState.WAITING, RowState.STORED}
        return [n for n in self.cancelled() if passing & {row.state for row in self.rows[n].values()}]

    def half_recorded(self) -> dict[int, int]:
        return dict(self.halves)

    def abandon(self, import_id: int) -> None:
        self.halves.pop(import_id, None)

    def _count(self, import_id: int, rows: Sequence[int], by: int) -> None:
        if self.broken:
            raise self.broken.pop(0)
        for line in rows:
            if self._waits(self.rows[import_id][line]):
                self.rows[import_id][line].attempts += by

    @staticmethod
    def _waits(row: Row) -> bool:
        return row.state is RowState.WAITING
