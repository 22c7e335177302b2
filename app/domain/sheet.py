"""A metadata sheet: the dialects that users bring, and how each of its rows becomes a sighting or faults.

Two dialects are told apart by their header. Columns that neither knows are left alone.

=============  ===================================  =====================================
what           contest                              wildlife-datasets
=============  ===================================  =====================================
source id      image_id                             image_id
photograph     path                                 path
individual     whale_id (optional)                  identity
encounter      encounter_id (optional)              -
viewpoint      viewpoint                            orientation (optional; "up" is top)
date           date, timestamp (optional)           date (optional)
box            bbox (optional)                      bbox (optional)
=============  ===================================  =====================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint, name_key
from app.domain.cells import finer, parse_box, parse_date, parse_name, parse_path, parse_viewpoint, shown
from app.domain.errors import BadRows, Fault
from app.domain.records import columns, missing_columns, ragged, records

SHEET = "metadata.csv"
MAX_FAULTS = 1_000
MAX_ROWS = 1_000_000

_NOBODY = frozenset({"", "unknown"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where one kind of sheet keeps what; "" for what it has no column for."""

    required: tuple[str, ...]
    individual: str
    viewpoint: str
    encounter: str = ""
    timestamp: str = ""


CONTEST = Dialect(("image_id", "path", "viewpoint", "date"), "whale_id", "viewpoint", "encounter_id", "timestamp")
WILDLIFE = Dialect(("image_id", "path", "identity"), "identity", "orientation")


def dialect_of(names: Iterable[str]) -> Dialect:
    """The dialect of a sheet with these column names; raises BadRows when they mix both or lack what is required."""
    present = set(names)
    both = [
        Fault(1, theirs, f"the columns {ours!r} and {theirs!r} say the same thing in two dialects: leave one out")
        for ours, theirs in (("whale_id", "identity"), ("viewpoint", "orientation"))
        if {ours, theirs} <= present
    ]
    dialect = WILDLIFE if present & {"identity", "orientation"} else CONTEST
    if faults := both + missing_columns(present, dialect.required):
        raise BadRows(faults)
    return dialect


def read_sightings(chunks: Iterable[bytes], *, absent: Callable[[str], str | None], today: date) -> list[Sighting]:
    """Every row of a sheet given as bytes; nothing is returned unless all rows are sound.

    ``absent`` tells why the photograph at a path cannot be used, None when it can; dates after ``today`` are faults.
    Raises BadRows with the first 1,000 faults and their true number.
    """
    rows = records(chunks)
    faults = Faults()
    sightings: list[Sighting] = []
    try:
        first = next(rows, None)
        if first is None:
            raise BadRows([Fault(1, "", "the sheet is empty")])
        reading = _Reading(first[1], faults, absent, today)
        for count, (row, cells) in enumerate(rows, start=1):
            if count > MAX_ROWS:
                raise BadRows([Fault(row, "", f"more than {MAX_ROWS} rows")])
            sighting = reading.sighting(row, cells)
            if sighting is not None and not faults.total:
                sightings.append(sighting)
    except BadRows as error:
        faults.extend(error.faults)
    faults.raise_any()
    if not sightings:
        raise BadRows([Fault(1, "", "the sheet has a header but no rows")])
    return sightings


def latest_today() -> date:
    """Today where the date is furthest ahead (UTC+14): what lies beyond it is in the future everywhere."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def why(error: Exception) -> str:
    """The reason of an error without its path: a message must not show where on this machine something lies."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


class Faults:
    """Faults as they are found: the first 1,000 are kept, all are counted."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.total = 0

    def add(self, row: int, column: str, reason: str) -> None:
        """Count one fault."""
        self.extend([Fault(row, column, reason)])

    def extend(self, faults: Iterable[Fault]) -> None:
        """Count several faults."""
        for fault in faults:
            self.total += 1
            if len(self.kept) < MAX_FAULTS:
                self.kept.append(fault)

    def raise_any(self) -> None:
        """Raise BadRows when there were any."""
        if self.total:
            raise BadRows(self.kept, self.total)


class _Reading:
    """One pass over a sheet: remembers the ids and the spellings that it has met."""

    def __init__(self, header: Sequence[str], faults: Faults, absent: Callable[[str], str | None], today: date) -> None:
        self._header = header
        self._faults = faults
        self._absent = absent
        self._today = today
        positions = columns(header)
        dialect = dialect_of(positions)
        self._columns = {
            field: (name, positions[name], parse)
            for field, name, parse in (
                ("source_id", "image_id", self._source_id),
                ("path", "path", self._photograph),
                ("viewpoint", dialect.viewpoint, parse_viewpoint),
                ("captured", "date", self._date),
                ("timestamp", dialect.timestamp, self._date),
                ("individual", dialect.individual, self._individual),
                ("encounter", dialect.encounter, self._encounter),
                ("box", "bbox", parse_box),
            )
            if name in positions
        }
        self._timestamp = dialect.timestamp
        self._rows: dict[str, int] = {}
        self._individuals: dict[str, str] = {}
        self._encounters: dict[str, str] = {}
        self._row = 0

    def sighting(self, row: int, cells: Sequence[str]) -> Sighting | None:
        """The sighting of one record; None after noting its faults."""
        self._row, before = row, self._faults.total
        if fault := ragged(row, cells, self._header):
            self._faults.extend([fault])
            return None
        found: dict[str, Any] = {"viewpoint": Viewpoint.UNKNOWN, "captured": CaptureDate()}
        for field, (name, position, parse) in self._columns.items():
            try:
                found[field] = parse(cells[position].strip())
            except ValueError as error:
                self._faults.add(row, name, str(error))
        if self._faults.total > before:
            return None
        return self._dated(row, found, found.pop("timestamp", CaptureDate()))

    def _dated(self, row: int, found: dict[str, Any], timestamp: CaptureDate) -> Sighting | None:
        try:
            found["captured"] = finer(found["captured"], timestamp)
        except ValueError as error:
            self._faults.add(row, self._timestamp, str(error))
            return None
        return Sighting(row=row, **found)

    def _source_id(self, text: str) -> str:
        name = parse_name(text)
        first = self._rows.setdefault(name, self._row)
        if first != self._row:
            raise ValueError(f"{shown(name)} appears already in row {first}")
        return name

    def _photograph(self, text: str) -> str:
        path = parse_path(text)
        if reason := self._absent(path):
            raise ValueError(f"{shown(path)} {reason}")
        return path

    def _date(self, text: str) -> CaptureDate:
        captured = parse_date(text)
        if captured.taken and captured.taken.date() > self._today:
            raise ValueError(f"{shown(text)} lies in the future")
        return captured

    def _individual(self, text: str) -> str | None:
        return _spelled(text, self._individuals)

    def _encounter(self, text: str) -> str | None:
        return _spelled(text, self._encounters)


def _spelled(text: str, known: dict[str, str]) -> str | None:
    if text.casefold() in _NOBODY:
        return None
    name = parse_name(text)
    first = known.setdefault(name_key(name), name)
    if first != name:
        raise ValueError(f"{shown(name)} differs from {shown(first)} only in case, spaces or Unicode form")
    return first
