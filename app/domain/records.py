"""Records of a comma-separated file, read from its bytes in bounded memory.

Strict on purpose: UTF-8 (with or without a byte-order mark), commas, double quotes, any newline. What cannot be read
that way is named by its line, never guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from app.domain.errors import BadRows, Fault

MAX_LINE = 1_000_000
MAX_COLUMNS = 1_000

_BOM = b"\xef\xbb\xbf"
# How a workbook begins: .xlsx is a ZIP, the older .xls a compound file.
_WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def records(chunks: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Each record as (line on which it begins, cells), the header first; lines count from 1, blank ones are skipped.

    Raises BadRows, with the one fault that ended the reading, for text that is not UTF-8, a NUL character, broken
    quotes, or a line (1,000,000 bytes) or cell (131,072 characters) that is too long.
    """
    reader = csv.reader(_lines(chunks), strict=True)
    begins = 1
    try:
        for cells in reader:
            # A cell that is empty to the eye is empty: spreadsheets leave such rows behind.
            if any(cell and not cell.isspace() for cell in cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadRows([Fault(begins, "", f"this is not comma-separated text: {error}")]) from error


def columns(header: Sequence[str]) -> dict[str, int]:
    """Position of each named column; names are compared without case and outer spaces, nameless columns left out.

    Raises BadRows for a name that appears twice and for more than 1,000 columns.
    """
    if len(header) > MAX_COLUMNS:
        raise BadRows([Fault(1, "", f"{len(header)} columns, more than {MAX_COLUMNS}")])
    positions: dict[str, int] = {}
    faults = []
    for position, text in enumerate(header):
        name = text.strip().casefold()
        if name in positions:
            faults.append(Fault(1, name[:80], "this column appears more than once"))
        elif name:
            positions[name] = position
    if faults:
        raise BadRows(faults)
    return positions


def missing_columns(positions: Iterable[str], required: Iterable[str]) -> list[Fault]:
    """A fault for each required column that the header lacks, with a hint when another separator seems to be in use."""
    names = set(positions)
    found = [word for mark, word in _SEPARATORS.items() if any(mark in name for name in names)]
    hint = f"; columns are separated by commas, not {found[0]}" if found else ""
    return [Fault(1, name, f"the column is missing{hint}") for name in required if name not in names]


def ragged(row: int, cells: Sequence[str], header: Sequence[str]) -> Fault | None:
    """The fault of a record with more or fewer cells than the header, None when they fit."""
    if len(cells) == len(header):
        return None
    column = header[min(len(cells), len(header) - 1)].strip()[:80]
    return Fault(row, column, f"{len(cells)} cells where the header has {len(header)} columns")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(_byte_lines(chunks), start=1):
        text = line.removeprefix(_BOM) if number == 1 else line
        if number == 1 and text.startswith(_UTF16_MARKS):
            raise BadRows([Fault(1, "", "the sheet is UTF-16 text; save it as CSV UTF-8")])
        if number == 1 and text.startswith(_WORKBOOKS):
            raise BadRows([Fault(1, "", "this is a spreadsheet (.xlsx, .xls): save it as CSV UTF-8 and bring that")])
        if len(text) > MAX_LINE:
            raise BadRows([Fault(number, "", f"the line is longer than {MAX_LINE} bytes")])
        if b"\0" in text:
            raise BadRows([Fault(number, "", "a NUL character: this is not CSV UTF-8 text (UTF-16, or a binary file)")])
        try:
            yield text.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = text[error.start]
            reason = f"byte 0x{wrong:02x} is not UTF-8 text; save the sheet as CSV UTF-8"
            raise BadRows([Fault(number, "", reason)]) from error


def _byte_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chain.from_iterable(_pieces(chunk) for chunk in chunks):
        parts = (rest + chunk).splitlines(keepends=True)
        # The last part waits for its newline: a \r may still be followed by its \n.
        rest = parts.pop() if parts else b""
        yield from parts
        if len(rest) > MAX_LINE + len(_BOM):
            break
    if rest:
        yield rest


def _pieces(chunk: bytes, size: int = 65_536) -> Iterator[bytes]:
    return (chunk[start : start + size] for start in range(0, len(chunk), size))
