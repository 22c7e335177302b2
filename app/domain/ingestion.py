"""One bulk ingestion: an import, its rows and where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.catalogue import Image, Sighting
from app.domain.ensemble import Float32


class RowState(StrEnum):
    """Where a row of an import stands; every row ends in one of the last four."""

    WAITING = "waiting"
    STORED = "stored"
    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class ImportState(StrEnum):
    """Where an import stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """One bulk ingestion: ``rows`` counts rows by state, ``refused`` gives (row, source id, reason), first 1,000."""

    import_id: int
    source: str
    state: ImportState
    started: datetime
    finished: datetime | None
    rows: Mapping[RowState, int]
    refused: tuple[tuple[int, str, str], ...] = ()
    reason: str | None = None

    @property
    def total(self) -> int:
        """All rows; progress is (total - waiting) / total over one population."""
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A sighting with its stored image and its vectors, ready to become an annotation."""

    sighting: Sighting
    image: Image
    vectors: Mapping[str, Float32]
