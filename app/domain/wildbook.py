"""Wildbook's bulk-import sheet: a line tells of one encounter and of all its photographs.

Its columns are named in the documentation of Wildbook's bulk import; the ones that a catalogue here has no place for
(position, sex, life stage, quality, submitter, ...) are left alone and listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint
from app.domain.cells import MAX_NAME, parse_name, parse_sha256, shown
from app.domain.errors import BadRows, Fault
from app.domain.formats import MEDIA, Layout, SheetFormat, unused

_MEDIA = re.compile(re.escape(MEDIA) + r"([0-9]+)")
_MARKED, _NAMED = "markedindividual.individualid", "encounter.individualid"
_CATALOGUED, _SIGHTING, _VIEWPOINT = "encounter.catalognumber", "encounter.sightingid", "encounter.viewpoint"
_DATE = tuple(f"encounter.{part}" for part in ("year", "month", "day", "hour", "minutes"))
_KEYWORDS = {"top": Viewpoint.TOP, "up": Viewpoint.TOP, "left": Viewpoint.LEFT, "right": Viewpoint.RIGHT}
_WORDS = re.compile(r"[^\W_]+")
_NOBODY = frozenset({"", "unknown", "unidentified"})
_TAIL = MAX_NAME
MAX_PHOTOGRAPHS = 900

T = TypeVar("T")


class Wildbook:
    """Reads the lines of one such sheet; raises BadRows for a header without photographs."""

    def __init__(self, header: Sequence[str], positions: Mapping[str, int], photograph: Callable[[str], str]) -> None:
        self._header, self._positions, self._photograph = header, positions, photograph
        numbers = sorted(int(found[1]) for name in positions if (found := _MEDIA.fullmatch(name)))
        if not numbers or len(numbers) > MAX_PHOTOGRAPHS:
            reason = f"the columns of photographs are named Encounter.mediaAsset0, 1, ..., at most {MAX_PHOTOGRAPHS}"
            raise BadRows([Fault(1, "Encounter.mediaAsset0", reason)])
        self._media = [f"{MEDIA}{number}" for number in numbers]
        self._count = 0

    @property
    def layout(self) -> Layout:
        """Its layout; a photograph's own columns are read where they say the viewpoint or the hash."""
        own = {f"{name}{end}" for name in self._media for end in ("", ".keywords", ".viewpoint", ".sha256")}
        used = {*own, *_DATE, _MARKED, _NAMED, _CATALOGUED, _SIGHTING, _VIEWPOINT}
        individual = _MARKED if _MARKED in self._positions else _NAMED
        meeting = _CATALOGUED if _CATALOGUED in self._positions else _SIGHTING
        words = {
            "image_id": self._spelled(self._media[0]),
            "path": self._spelled(self._media[0]),
            "viewpoint": self._spelled(f"{self._media[0]}.keywords"),
            "date": self._spelled(_DATE[0]),
            "whale_id": self._spelled(individual),
            "encounter_id": self._spelled(meeting),
        }
        return Layout(SheetFormat.WILDBOOK, words, unused(self._header, self._positions, used))

    def __call__(
        self, line: int, cells: Sequence[str], parse_day: Callable[[str], CaptureDate]
    ) -> Iterator[Sighting | Fault]:
        """The sightings of one line, or its faults."""
        said = {name: cells[position].strip() for name, position in self._positions.items()}
        faults: list[Fault] = []

        def kept(column: str, parse: Callable[[], T]) -> T | None:
            try:
                return parse()
            except ValueError as error:
                faults.append(Fault(line, self._spelled(column), str(error)))
                return None

        shots = [name for name in self._media if said[name]]
        if not shots:
            faults.append(Fault(line, self._spelled(self._media[0]), "the encounter has no photograph"))
        captured = kept(_DATE[0], lambda: parse_day(_date_text(said)))
        individual = kept(_MARKED, lambda: _individual(said))
        encounter = kept(_SIGHTING, lambda: _encounter(said, shots))
        paths = [kept(name, partial(self._photograph, said[name])) for name in shots]
        seen = [kept(f"{name}.keywords", partial(_viewpoint, said, name)) for name in shots]
        hashes = [kept(f"{name}.sha256", partial(parse_sha256, said.get(f"{name}.sha256", ""))) for name in shots]
        if faults:
            yield from faults
            return
        for path, viewpoint, sha256 in zip(paths, seen, hashes, strict=True):
            self._count += 1
            yield Sighting(
                source_id=str(path),
                path=str(path),
                viewpoint=viewpoint or Viewpoint.UNKNOWN,
                captured=captured or CaptureDate(),
                individual=individual,
                encounter=encounter,
                row=self._count,
                sha256=sha256,
                line=line,
            )

    def _spelled(self, name: str) -> str:
        """A column as the sheet spells it."""
        return self._header[self._positions[name]].strip() if name in self._positions else name


def _individual(said: Mapping[str, str]) -> str | None:
    """The marked individual, which goes before the encounter's own word for it; raises ValueError when they differ."""
    names = [name for name in (said.get(_MARKED, ""), said.get(_NAMED, "")) if name.casefold() not in _NOBODY]
    if len(set(names)) > 1:
        raise ValueError(f"{shown(names[0])} contradicts Encounter.individualID, {shown(names[1])}")
    return parse_name(names[0]) if names else None


def _encounter(said: Mapping[str, str], shots: Sequence[str]) -> str | None:
    """A name that stays the same when the sheet comes again: its catalogue number, else what is told of it.

    A sighting there is a group of animals; here an encounter is of one individual.
    """
    if number := said.get(_CATALOGUED, ""):
        return parse_name(number)
    individual = said.get(_MARKED, "") or said.get(_NAMED, "")
    alone = individual.casefold() in _NOBODY
    if (sighting := said.get(_SIGHTING, "")) and not alone:
        return parse_name(f"{sighting}/{individual}")
    return parse_name(said[shots[0]][-_TAIL:]) if shots else None


def _date_text(said: Mapping[str, str]) -> str:
    """Year, month, day, hour and minutes as one date; a part without the part before it raises ValueError."""
    parts = [said.get(name, "") for name in _DATE]
    known = next((place for place, part in enumerate(parts) if not part), len(parts))
    if any(parts[known:]):
        raise ValueError(f"the date has a gap: {', '.join(part or 'nothing' for part in parts)}")
    if not all(part.isdecimal() and part.isascii() for part in parts[:known]):
        raise ValueError(f"{shown(' '.join(parts[:known]))} is not a date in whole numbers")
    year, *rest = [part.zfill(width) for part, width in zip(parts[:known], (4, 2, 2, 2, 2), strict=False)] or [""]
    text = "-".join([year, *rest[:2]])
    return text if len(rest) < len("mdh") else f"{text} {rest[2]}:{rest[3] if len(rest) > len('mdh') else '00'}"


def _viewpoint(said: Mapping[str, str], name: str) -> Viewpoint:
    """What a photograph's keywords, or else its line, say of the side; raises ValueError for two sides."""
    told = " ".join(said.get(column, "") for column in (f"{name}.viewpoint", f"{name}.keywords"))
    for text in (told, said.get(_VIEWPOINT, "")):
        sides = {_KEYWORDS[word] for word in _WORDS.findall(text.casefold()) if word in _KEYWORDS}
        if len(sides) > 1:
            raise ValueError(f"{shown(text.strip())} names two viewpoints")
        if sides:
            return sides.pop()
    return Viewpoint.UNKNOWN
