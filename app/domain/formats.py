"""The kinds of sheet that users bring: which column says what, and which kind a header belongs to.

=============  ==============  =====================  =======================  ==================
what           contest         wildlife-datasets      MiewID                   Wildbook
=============  ==============  =====================  =======================  ==================
source id      image_id        image_id               annot_uuid, or the path  the photograph
photograph     path            path                   file_path                see ``wildbook``
individual     whale_id        identity               name
encounter      encounter_id    -                      -
viewpoint      viewpoint       orientation            viewpoint ("up" is top)
date           date,timestamp  date                   date
box            bbox            bbox                   x, y, w, h
hash           sha256          sha256                 sha256
=============  ==============  =====================  =======================  ==================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import BadRows, Fault
from app.domain.records import missing_columns


class SheetFormat(StrEnum):
    """A kind of sheet, by the name that users give it."""

    CONTEST = "contest"
    WILDLIFE = "wildlife-datasets"
    MIEWID = "miewid"
    WILDBOOK = "wildbook"


MEDIA = "encounter.mediaasset"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a sheet with one photograph a line keeps what: column by field of a sighting, absent fields left out."""

    format: SheetFormat
    required: tuple[str, ...]
    columns: Mapping[str, str]
    box: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How a sheet is read: its format, its own column for each word of the contest, and the columns left alone."""

    format: SheetFormat
    columns: Mapping[str, str]
    ignored: tuple[str, ...]

    def column(self, word: str) -> str:
        """The column of this sheet for what the contest calls ``word``."""
        return self.columns.get(word, word)


CONTEST = Dialect(
    SheetFormat.CONTEST,
    ("image_id", "path", "viewpoint", "date"),
    {
        "source_id": "image_id",
        "path": "path",
        "viewpoint": "viewpoint",
        "captured": "date",
        "timestamp": "timestamp",
        "individual": "whale_id",
        "encounter": "encounter_id",
        "sha256": "sha256",
    },
    ("bbox",),
)
WILDLIFE = Dialect(
    SheetFormat.WILDLIFE,
    ("image_id", "path", "identity"),
    {
        "source_id": "image_id",
        "path": "path",
        "viewpoint": "orientation",
        "captured": "date",
        "individual": "identity",
        "sha256": "sha256",
    },
    ("bbox",),
)
MIEWID = Dialect(
    SheetFormat.MIEWID,
    ("file_path", "name"),
    {
        "source_id": "annot_uuid",
        "path": "file_path",
        "viewpoint": "viewpoint",
        "captured": "date",
        "individual": "name",
        "sha256": "sha256",
    },
    ("x", "y", "w", "h"),
)
_FLAT = {dialect.format: dialect for dialect in (CONTEST, WILDLIFE, MIEWID)}
_WORDS = {
    "image_id": "source_id",
    "path": "path",
    "viewpoint": "viewpoint",
    "date": "captured",
    "whale_id": "individual",
    "encounter_id": "encounter",
}


def format_of(names: Collection[str]) -> SheetFormat:
    """The format that a sheet with these column names (in lower case) seems to have."""
    present = set(names)
    if any(name.startswith(MEDIA) for name in present):
        return SheetFormat.WILDBOOK
    if "file_path" in present:
        return SheetFormat.MIEWID
    return SheetFormat.WILDLIFE if present & {"identity", "orientation"} else SheetFormat.CONTEST


def dialect_of(names: Collection[str], wanted: SheetFormat) -> Dialect:
    """The dialect of a sheet with one photograph a line; raises BadRows for mixed dialects and missing columns."""
    present = set(names)
    both = [
        Fault(1, theirs, f"the columns {ours!r} and {theirs!r} say the same thing in two dialects: leave one out")
        for ours, theirs in (("whale_id", "identity"), ("viewpoint", "orientation"), ("path", "file_path"))
        if {ours, theirs} <= present
    ]
    dialect = _FLAT[wanted]
    if faults := both + missing_columns(present, dialect.required):
        raise BadRows(faults)
    return dialect


def flat_layout(dialect: Dialect, header: Sequence[str], positions: Mapping[str, int]) -> Layout:
    """The layout of a sheet in this dialect."""
    columns = {word: dialect.columns.get(field, word) for word, field in _WORDS.items()}
    if columns["image_id"] not in positions:
        columns["image_id"] = columns["path"]
    used = {*dialect.columns.values(), *dialect.box}
    return Layout(dialect.format, columns, unused(header, positions, used))


def unused(header: Sequence[str], positions: Mapping[str, int], used: Collection[str]) -> tuple[str, ...]:
    """The named columns of a header that are not ``used`` (in lower case), as the sheet spells them."""
    return tuple(header[position].strip() for name, position in positions.items() if name not in used)
