"""One bulk ingestion: an import, its rows and where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.catalogue import Image, Sighting
from app.domain.ensemble import Float32
from app.domain.formats import Layout


class RowState(StrEnum):
    """Where a row of an import stands; every row ends in one of the last six."""

    WAITING = "waiting"
    STORED = "stored"
    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class ImportState(StrEnum):
    """Where an import stands; nobody is told of one while its rows are still being recorded."""

    RECORDING = "recording"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


Refused = Sequence[tuple[int, str]]
"""Rows that are refused, each with its reason."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """One bulk ingestion: ``rows`` counts rows by state.

    ``refused`` and ``quarantined`` give (row, source id, reason), the first 1,000 of each. Refused rows have a
    photograph that cannot be used; work on a quarantined one failed so often that it was set apart.
    """

    import_id: int
    source: str
    state: ImportState
    started: datetime
    finished: datetime | None
    rows: Mapping[RowState, int]
    refused: tuple[tuple[int, str, str], ...] = ()
    reason: str | None = None
    quarantined: tuple[tuple[int, str, str], ...] = ()

    @property
    def total(self) -> int:
        """All rows; progress is (total - waiting) / total over one population."""
        return sum(self.rows.values())

    @property
    def key(self) -> str:
        """What tells this import from any other, such as one of the same number in a catalogue made anew."""
        return f"{self.import_id}-{self.started:%Y%m%dT%H%M%S%f}"

    @property
    def done(self) -> int:
        """Rows in a final state."""
        return self.total - self.rows.get(RowState.WAITING, 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that waits, and how often work on it was begun and neither ended nor was given back."""

    sighting: Sighting
    attempts: int


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key that a client gave its request, so that sending it again is harmless, and the SHA-256 of what it sent."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A sheet that was checked whole and found without fault; ``rows`` counts its photographs.

    ``seal`` tells whether the sheet is still the one that was checked.
    """

    source: str
    layout: Layout
    seal: str
    rows: int
    individuals: int
    encounters: int
    viewpoints: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """What an import would do with the rows of a plan: ``refused`` gives (line, source id, reason), first 1,000."""

    new: int
    unchanged: int
    refused_rows: int
    refused: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A sighting with its stored image and its vectors, ready to become an annotation."""

    sighting: Sighting
    image: Image
    vectors: Mapping[str, Float32]
