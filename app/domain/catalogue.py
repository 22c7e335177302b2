"""What a catalogue holds: individuals, encounters, images and annotations."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Viewpoint(StrEnum):
    """The side from which an animal is seen; left and right together are lateral."""

    TOP = "top"
    LEFT = "left"
    RIGHT = "right"
    UNKNOWN = "unknown"


class DatePrecision(StrEnum):
    """How exactly a capture date is known."""

    SECOND = "second"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CaptureDate:
    """When a photograph was taken, as exactly as its source says; ``taken`` is None only when unknown.

    A date known by month or year is held as the first day of it.
    """

    taken: datetime | None = None
    precision: DatePrecision = DatePrecision.UNKNOWN

    @property
    def year(self) -> int:
        """The year, 0 when unknown: it names a partition."""
        return self.taken.year if self.taken else 0

    @property
    def day(self) -> date | None:
        """The calendar day, None when it is not known to the day."""
        exact = self.precision in {DatePrecision.DAY, DatePrecision.SECOND}
        return self.taken.date() if self.taken and exact else None


@dataclass(frozen=True, slots=True)
class Box:
    """A crop of an image in pixels of the upright photograph, from its top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Image:
    """Stored bytes, named by their SHA-256."""

    sha256: str
    format: str
    width: int
    height: int
    byte_size: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a sheet says of one animal in one image, before the catalogue knows it.

    ``individual`` and ``encounter`` are the user's names, None when not known; ``row`` is its line in the sheet.
    """

    source_id: str
    path: str
    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None = None
    encounter: str | None = None
    box: Box | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """One animal in one image: the unit that is embedded."""

    annotation_id: int
    source_id: str
    image: Image
    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None
    encounter: str | None
    box: Box | None


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal, with a count of what the catalogue holds of it."""

    name: str
    annotations: int
    encounters: int
    viewpoints: tuple[Viewpoint, ...]
    first_seen: date | None
    last_seen: date | None


def name_key(name: str) -> str:
    """The key under which two spellings are one name: Unicode form, spaces and case do not tell animals apart."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
