"""What a catalogue holds: individuals, encounters, images and annotations."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache


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
    """Stored bytes, named by their SHA-256; ``phash`` is their perceptual hash (Images.phash), None until computed."""

    sha256: str
    format: str
    width: int
    height: int
    byte_size: int
    phash: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a sheet says of one animal in one image, before the catalogue knows it.

    ``individual`` and ``encounter`` are the user's names, None when not known. ``row`` is unique in its sheet, ``line``
    the line on which it begins: they differ where one line tells of several photographs. ``sha256`` is what the sheet
    says of the photograph's bytes, None when it says nothing.
    """

    source_id: str
    path: str
    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None = None
    encounter: str | None = None
    box: Box | None = None
    row: int = 0
    sha256: str | None = None
    line: int = 0

    def __post_init__(self) -> None:
        """A row that does not say its line is on the line of that number."""
        if not self.line:
            object.__setattr__(self, "line", self.row)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One animal in one image: the unit that is embedded.

    ``revision`` is the catalogue version that last changed it; one that was ``removed`` is kept but never searched.
    """

    annotation_id: int
    source_id: str
    image: Image
    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None
    encounter: str | None
    box: Box | None
    revision: int = 0
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal, with a count of what the catalogue holds of it."""

    name: str
    annotations: int
    encounters: int
    viewpoints: tuple[Viewpoint, ...]
    first_seen: date | None
    last_seen: date | None


@lru_cache(maxsize=4_096)  # the rows of a survey share few names
def name_key(name: str) -> str:
    """The key under which two spellings are one name: Unicode form, spaces and case do not tell animals apart."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
