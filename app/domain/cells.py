"""Cells of a sheet: each text becomes a value of the catalogue, or a ValueError whose sentence says what is wrong."""

from __future__ import annotations

import math
import re
from datetime import datetime
from functools import lru_cache

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Viewpoint

MAX_NAME = 200
MAX_PATH = 1_000
FIRST_YEAR = 1900

_VIEWPOINTS = {viewpoint.value: viewpoint for viewpoint in Viewpoint} | {"up": Viewpoint.TOP, "": Viewpoint.UNKNOWN}
# The sides that a WBIA viewpoint is put together from: what is none of ours is held as unknown.
_OTHER_SIDES = re.compile(r"(?=.)(up|down)?(front|back)?(left|right)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_MOMENT = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?)?)?)?"
)
_ZONED = re.compile(r".*[0-9]:[0-9]{2}.*(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})")
_BRACKETS = str.maketrans("", "", "[]()")
_BETWEEN = re.compile(r"\s*[,;]\s*|\s+")
_FINENESS = (DatePrecision.YEAR, DatePrecision.MONTH, DatePrecision.DAY, DatePrecision.SECOND)
_LARGEST = 1_000_000


def parse_name(text: str) -> str:
    """An id of at most 200 visible characters; raises ValueError."""
    if not text:
        raise ValueError("the cell is empty")
    if len(text) > MAX_NAME:
        raise ValueError(f"{len(text)} characters, more than {MAX_NAME}")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} holds control or invisible characters")
    return text


def parse_path(text: str) -> str:
    """A relative path with "/" between folders, without "." parts; raises ValueError for one that leaves its folder."""
    if not text:
        raise ValueError("the cell is empty")
    if len(text) > MAX_PATH:
        raise ValueError(f"{len(text)} characters, more than {MAX_PATH}")
    if _CONTROL.search(text):
        raise ValueError(f"{shown(text)} holds control characters")
    if "\\" in text:
        raise ValueError(f"{shown(text)} has backslashes; write / between folders")
    if text.startswith("/") or _DRIVE.match(text):
        raise ValueError(f"{shown(text)} is absolute; paths are relative to the sheet")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts or not parts:
        raise ValueError(f"{shown(text)} leaves the folder of the sheet")
    return "/".join(parts)


def parse_viewpoint(text: str) -> Viewpoint:
    """Top (or up), left, right or unknown in any case; empty is unknown; raises ValueError."""
    viewpoint = _VIEWPOINTS.get(text.casefold())
    if viewpoint is None:
        raise ValueError(f"{shown(text)} is not a viewpoint: top, left, right or unknown")
    return viewpoint


def parse_side(text: str) -> Viewpoint:
    """A viewpoint, where one of WBIA's others (front, backleft, down, ...) is unknown; raises ValueError."""
    side = text.casefold()
    return Viewpoint.UNKNOWN if side not in _VIEWPOINTS and _OTHER_SIDES.fullmatch(side) else parse_viewpoint(text)


def parse_sha256(text: str) -> str | None:
    """A SHA-256 as 64 hexadecimal digits; empty is None; raises ValueError."""
    digits = text.casefold()
    if digits and not _SHA256.fullmatch(digits):
        raise ValueError(f"{shown(text)} is not a SHA-256: 64 hexadecimal digits")
    return digits or None


@lru_cache(maxsize=4_096)  # the rows of a survey share few days
def parse_date(text: str) -> CaptureDate:
    """A capture date from YYYY, YYYY-MM, YYYY-MM-DD or a date with a local time; empty is unknown.

    Midnight exactly is a placeholder for an unknown time: such a date is known by its day. Raises ValueError for
    anything else, for a year before 1900 and for a time zone (the place's own time is meant; shifting it would guess).
    """
    if not text:
        return CaptureDate()
    found = _MOMENT.fullmatch(text)
    if found is None:
        if _ZONED.fullmatch(text):
            raise ValueError(f"{shown(text)} has a time zone; write the local time without one")
        raise ValueError(f"{shown(text)} is not a date: YYYY-MM-DD, with HH:MM:SS if known, or YYYY-MM, or YYYY")
    parts = [int(part) for part in found.groups() if part is not None]
    if parts[0] < FIRST_YEAR:
        raise ValueError(f"{shown(text)} lies before {FIRST_YEAR}")
    try:
        taken = datetime(*(parts + [1, 1][len(parts) - 1 :]))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not in the calendar") from error
    has_time = any(parts[3:])
    return CaptureDate(taken, DatePrecision.SECOND if has_time else _FINENESS[min(len(parts), 3) - 1])


def finer(left: CaptureDate, right: CaptureDate) -> CaptureDate:
    """The more exact of two dates of one photograph; raises ValueError when they contradict each other."""
    if left.taken is None or right.taken is None:
        return right if left.taken is None else left
    depths = _FINENESS.index(left.precision), _FINENESS.index(right.precision)
    # Compared as far as the coarser of the two is known: YYYY, -MM, -DD, then the time.
    known = (4, 7, 10, 19)[min(depths)]
    if left.taken.isoformat()[:known] != right.taken.isoformat()[:known]:
        raise ValueError(f"{right.taken.isoformat(' ')} contradicts the date {left.taken.isoformat(' ')}")
    return right if depths[1] >= depths[0] else left


def parse_box(text: str) -> Box | None:
    """A box from "[x, y, w, h]", also without brackets or commas, rounded to whole pixels; empty is None.

    Raises ValueError unless these are four finite numbers, x and y at least 0, width and height at least 1.
    """
    inner = text.translate(_BRACKETS).strip()
    if not inner:
        return None
    try:
        numbers = [float(part) for part in _BETWEEN.split(inner)]
        x, y, width, height = numbers
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not a box: four numbers [x, y, width, height]") from error
    if not all(math.isfinite(number) and 0 <= number <= _LARGEST for number in numbers):
        raise ValueError(f"{shown(text)} is not a box: a number is negative or beyond {_LARGEST}")
    left, top = round(x), round(y)
    box = Box(left, top, round(x + width) - left, round(y + height) - top)
    if box.width < 1 or box.height < 1:
        raise ValueError(f"{shown(text)} is an empty box")
    return box


def shown(text: str, longest: int = 80) -> str:
    """A value quoted for a message: escaped, and cut when long."""
    return repr(text) if len(text) <= longest else repr(text[:longest]) + "…"
