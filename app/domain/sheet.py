"""A metadata sheet: how each of its rows becomes a sighting or faults, one after the other, in bounded memory.

What rows say about each other is for ``conflicts``; the kinds of sheet are in ``formats`` and ``wildbook``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint
from app.domain.cells import (
    finer,
    parse_box,
    parse_date,
    parse_name,
    parse_path,
    parse_sha256,
    parse_side,
    parse_viewpoint,
    shown,
)
from app.domain.conflicts import Held, KnownNames, Remembered, crosscheck
from app.domain.errors import BadRows, Fault
from app.domain.formats import Dialect, Layout, SheetFormat, dialect_of, flat_layout, format_of
from app.domain.records import columns, ragged, records
from app.domain.wildbook import Wildbook

SHEET = "metadata.csv"
MAX_FAULTS = 1_000
MAX_ROWS = 1_000_000

_NOBODY = frozenset({"", "unknown"})

Absent = Callable[[str], str | None]
"""Tells why the photograph at a path cannot be used, None when it can."""


def sheet_layout(chunks: Iterable[bytes], wanted: SheetFormat | None = None) -> Layout:
    """How a sheet given as bytes will be read; only its header is. Raises BadRows when that cannot be read."""
    header = _header(records(chunks))
    return _reader(header, wanted, lambda _: None, date.max).layout


def stream_sightings(
    chunks: Iterable[bytes], *, absent: Absent, today: date, wanted: SheetFormat | None = None
) -> Iterator[Sighting | Fault]:
    """Every row of a sheet given as bytes, as a sighting or as its faults; what ends the reading is the last fault.

    Dates after ``today`` are faults. The format follows from the header unless one is ``wanted``.
    """
    try:
        rows = records(chunks)
        header = _header(rows)
        reader = _reader(header, wanted, absent, today)
        count = 0
        for count, (row, cells) in enumerate(rows, start=1):
            if count > MAX_ROWS:
                raise BadRows([Fault(row, "", f"more than {MAX_ROWS} rows")])
            fault = ragged(row, cells, header)
            yield from [fault] if fault else reader(row, cells)
        if not count:
            raise BadRows([Fault(1, "", "the sheet has a header but no rows")])
    except BadRows as error:
        yield from error.faults


def read_sightings(chunks: Iterable[bytes], *, absent: Absent, today: date) -> list[Sighting]:
    """Every row of a sheet at once, held against each other, too; for a training that needs them all.

    Raises BadRows with the first 1,000 faults and their true number.
    """
    faults, sightings = Faults(), []
    for said in stream_sightings(chunks, absent=absent, today=today):
        if isinstance(said, Fault):
            faults.extend([said])
        else:
            sightings.append(said)
    found = crosscheck(sightings, Held([], KnownNames({}, {}, {})), Remembered())
    faults.extend(Fault(said.line, column, reason) for said, column, reason in found)
    faults.raise_any()
    return sightings


def latest_today() -> date:
    """Today where the date is furthest ahead (UTC+14): what lies beyond it is in the future everywhere."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def why(error: Exception) -> str:
    """The reason of an error without its path: a message must not show where on this machine something lies."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


class Faults:
    """Faults as they are found: the first 1,000 by row are kept, all are counted."""

    def __init__(self) -> None:
        self._kept: list[Fault] = []
        self.total = 0

    def extend(self, faults: Iterable[Fault]) -> None:
        """Count several faults."""
        for fault in faults:
            self.total += 1
            self._kept.append(fault)
            if len(self._kept) >= 2 * MAX_FAULTS:
                self._kept = self.kept

    @property
    def kept(self) -> list[Fault]:
        """The first 1,000, in the order of the sheet."""
        return sorted(self._kept, key=lambda fault: fault.row)[:MAX_FAULTS]

    def raise_any(self) -> None:
        """Raise BadRows when there were any."""
        if self.total:
            raise BadRows(self.kept, self.total)


def _header(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    first = next(rows, None)
    if first is None:
        raise BadRows([Fault(1, "", "the sheet is empty")])
    return first[1]


class _Cells:
    """What photographs and dates are held against while a sheet is read."""

    def __init__(self, absent: Absent, today: date) -> None:
        self._absent, self._today = absent, today

    def photograph(self, text: str) -> str:
        path = parse_path(text)
        if reason := self._absent(path):
            raise ValueError(f"{shown(path)} {reason}")
        return path

    def day(self, text: str) -> CaptureDate:
        captured = parse_date(text)
        if captured.taken and captured.taken.date() > self._today:
            raise ValueError(f"{shown(text)} lies in the future")
        return captured


def _reader(header: Sequence[str], wanted: SheetFormat | None, absent: Absent, today: date) -> _Flat | _Lines:
    positions, cells = columns(header), _Cells(absent, today)
    chosen = wanted or format_of(positions)
    if chosen is SheetFormat.WILDBOOK:
        return _Lines(Wildbook(header, positions, cells.photograph), cells)
    return _Flat(dialect_of(positions, chosen), header, positions, cells)


class _Lines:
    """A sheet with several photographs a line."""

    def __init__(self, wildbook: Wildbook, cells: _Cells) -> None:
        self._wildbook, self._cells = wildbook, cells
        self.layout = wildbook.layout

    def __call__(self, row: int, cells: Sequence[str]) -> Iterator[Sighting | Fault]:
        return self._wildbook(row, cells, self._cells.day)


class _Flat:
    """A sheet with one photograph a line."""

    def __init__(self, dialect: Dialect, header: Sequence[str], positions: Mapping[str, int], cells: _Cells) -> None:
        self.layout: Layout = flat_layout(dialect, header, positions)
        side = parse_side if dialect.format is SheetFormat.MIEWID else parse_viewpoint
        parsers: Mapping[str, Callable[[str], Any]] = {
            "source_id": parse_name,
            "path": cells.photograph,
            "viewpoint": side,
            "captured": cells.day,
            "timestamp": cells.day,
            "individual": _named,
            "encounter": _named,
            "sha256": parse_sha256,
        }
        self._columns = [
            (field, name, positions[name], parsers[field])
            for field, name in dialect.columns.items()
            if name in positions
        ]
        self._box = [positions[name] for name in dialect.box if name in positions]
        self._box_name = dialect.box[0]
        self._timestamp = dialect.columns.get("timestamp", "")

    def __call__(self, row: int, cells: Sequence[str]) -> Iterator[Sighting | Fault]:
        found: dict[str, Any] = {"viewpoint": Viewpoint.UNKNOWN, "captured": CaptureDate()}
        faults: list[Fault] = []
        for field, name, position, parse in self._columns:
            try:
                found[field] = parse(cells[position].strip())
            except ValueError as error:
                faults.append(Fault(row, name, str(error)))
        try:
            box = " ".join(cells[position].strip() for position in self._box)
            found["box"] = parse_box(box)
        except ValueError as error:
            faults.append(Fault(row, self._box_name, str(error)))
        timestamp = found.pop("timestamp", CaptureDate())
        try:
            found["captured"] = finer(found["captured"], timestamp)
        except ValueError as error:
            faults.append(Fault(row, self._timestamp, str(error)))
        if faults:
            yield from faults
            return
        if "source_id" not in found:
            found["source_id"] = f"{found['path']}#{box}" if box.strip() else found["path"]
        yield Sighting(row=row, **found)


def _named(text: str) -> str | None:
    return None if text.casefold() in _NOBODY else parse_name(text)
