"""Where rows contradict the catalogue or each other: the rules, whatever the catalogue is stored in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.catalogue import Annotation, Box, CaptureDate, Sighting, Viewpoint, name_key
from app.domain.ingestion import RowState

Photo = tuple[str, Box | None]
"""What tells two annotations apart: the SHA-256 of the photograph and the box."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row: ``twin`` is the annotation of the catalogue that it repeats, if any."""

    state: RowState
    reason: str | None = None
    twin: Annotation | None = None


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names that a catalogue holds, by ``name_key``: spellings, and the individual that an encounter belongs to."""

    individuals: Mapping[str, str]
    encounters: Mapping[str, str]
    owners: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """What a catalogue holds that bears on some rows."""

    annotations: Sequence[Annotation]
    names: KnownNames


class Memory(Protocol):
    """What the rows of one sheet said first, however many they are: it fits by shape, on disk or in a dictionary."""

    def first(self, kind: str, said: Mapping[str, str]) -> dict[str, str]:
        """For each key the text that was first said of it; a key that is new is remembered with the text given."""

    def known(self, kind: str, keys: Iterable[str]) -> dict[str, str]:
        """What is remembered of those of the keys that were said before."""

    def count(self, kind: str) -> int:
        """How many keys are remembered."""


class Remembered:
    """The Memory in a dictionary."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, str]] = {}

    def first(self, kind: str, said: Mapping[str, str]) -> dict[str, str]:
        """For each key the text that was first said of it."""
        kept = self._said.setdefault(kind, {})
        return {key: kept.setdefault(key, text) for key, text in said.items()}

    def known(self, kind: str, keys: Iterable[str]) -> dict[str, str]:
        """What is remembered of those of the keys that were said before."""
        kept = self._said.get(kind, {})
        return {key: kept[key] for key in keys if key in kept}

    def count(self, kind: str) -> int:
        """How many keys are remembered."""
        return len(self._said.get(kind, {}))


def crosscheck(rows: Sequence[Sighting], held: Held, memory: Memory) -> list[tuple[Sighting, str, str]]:
    """(row, column, reason) where rows contradict the catalogue, each other, or the rows that ``memory`` has met.

    The columns are those of the contest; of two rows the later one is at fault.
    """
    named = [(row, name_key(row.individual), row.individual) for row in rows if row.individual]
    met = [(row, name_key(row.encounter), row.encounter) for row in rows if row.encounter]
    owned = [(row, key, row.individual) for row, key, _ in met if row.individual]
    ids = memory.first("image_id", _firsts((row.source_id, str(row.row)) for row in rows))
    individuals = memory.first("whale_id", _firsts(_over(held.names.individuals, named)))
    encounters = memory.first("encounter_id", _firsts(_over(held.names.encounters, met)))
    owners = memory.first("owner", _firsts(_over(held.names.owners, owned)))
    by_source = {annotation.source_id: annotation for annotation in held.annotations if not annotation.removed}
    found = []
    for row in rows:
        if ids[row.source_id] != str(row.row):
            found.append((row, "image_id", f"{row.source_id!r} appears already in row {ids[row.source_id]}"))
        elif row.source_id in by_source:
            found += [(row, column, why) for column, why in contradictions(row, by_source[row.source_id])]
    for column, said, firsts in (("whale_id", named, individuals), ("encounter_id", met, encounters)):
        found += [
            (row, column, f"{name!r} differs from {firsts[key]!r} only in case, spaces or Unicode form")
            for row, key, name in said
            if firsts[key] != name
        ]
    found += [
        (row, "encounter_id", f"{row.encounter!r} belongs to {owners[key]!r}, not to {name!r}")
        for row, key, name in owned
        if owners[key] != name and name_key(owners[key]) != name_key(name)
    ]
    return sorted(found, key=lambda fault: fault[0].row)


def _firsts(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    firsts: dict[str, str] = {}
    for key, text in said:
        firsts.setdefault(key, text)
    return firsts


def _over(held: Mapping[str, str], said: Iterable[tuple[Sighting, str, str]]) -> Iterable[tuple[str, str]]:
    """What is said, where the catalogue's own word goes first."""
    return ((key, held.get(key, text)) for _, key, text in said)


def contradictions(said: Sighting, held: Sighting | Annotation) -> list[tuple[str, str]]:
    """(column, reason) for each fact in which two descriptions of one annotation differ.

    What the new row leaves open contradicts nothing; what it adds does, since an import changes nothing that is held.
    """
    viewpoint = "" if said.viewpoint is Viewpoint.UNKNOWN else said.viewpoint
    facts = (
        ("viewpoint", viewpoint, held.viewpoint),
        ("date", _date(said.captured), _date(held.captured)),
        ("whale_id", said.individual or "", held.individual or ""),
        ("encounter_id", said.encounter or "", held.encounter or ""),
    )
    faults = [
        (column, f"{new!r} contradicts {old or 'unknown'!r}, which is held for {held.source_id!r}")
        for column, new, old in facts
        if new and new != old and name_key(new) != name_key(old)
    ]
    if said.source_id == held.source_id and said.box != held.box:
        faults.append(("image_id", f"{said.source_id!r} is held with another box"))
    return faults


class Ledger:
    """What is held so far, in the catalogue and by the rows before: tells whether the next row agrees with it."""

    def __init__(self, held: Collection[Annotation], names: KnownNames) -> None:
        # What was removed contradicts nothing, but no import brings it back either.
        gone = [a for a in held if a.removed]
        self._removed: dict[str | Photo, Annotation] = {a.source_id: a for a in gone}
        self._removed |= {(a.image.sha256, a.box): a for a in gone}
        annotations = [a for a in held if not a.removed]
        self._photos: dict[str, Photo] = {a.source_id: (a.image.sha256, a.box) for a in annotations}
        self._by_photo: dict[Photo, Sighting | Annotation] = {(a.image.sha256, a.box): a for a in annotations}
        self._owners = dict(names.owners)

    def accept(self, said: Sighting, sha256: str) -> None:
        """Hold a row with its photograph from now on."""
        photo = (sha256, said.box)
        self._by_photo.setdefault(photo, said)
        self._photos.setdefault(said.source_id, photo)

    def judge(self, said: Sighting, sha256: str) -> Verdict:
        """Decide about a row with its photograph: stored when new, unchanged when held, else refused."""
        photo = (sha256, said.box)
        if gone := self._removed.get(said.source_id) or self._removed.get(photo):
            number, name = gone.annotation_id, gone.source_id
            return Verdict(
                RowState.REFUSED, f"annotation {number} ({name!r}) was removed from the catalogue: restore it"
            )
        if self._photos.get(said.source_id, photo) != photo:
            return Verdict(RowState.REFUSED, f"{said.source_id!r} is the image_id of another photograph or box")
        held = self._by_photo.get(photo)
        faults = self._foreign_encounter(said) if held is None else contradictions(said, held)
        if faults:
            return Verdict(RowState.REFUSED, "; ".join(f"{column}: {reason}" for column, reason in faults))
        if held is not None:
            return Verdict(RowState.UNCHANGED, twin=held if isinstance(held, Annotation) else None)
        self.accept(said, sha256)
        return Verdict(RowState.STORED)

    def _foreign_encounter(self, said: Sighting) -> list[tuple[str, str]]:
        if said.encounter is None or said.individual is None:
            return []
        owner = self._owners.setdefault(name_key(said.encounter), said.individual)
        if name_key(owner) == name_key(said.individual):
            return []
        return [("encounter_id", f"{said.encounter!r} belongs to {owner!r}, not to {said.individual!r}")]


def _date(captured: CaptureDate) -> str:
    """A date with its precision as text; a zone is left out, as the catalogue keeps the time on the spot."""
    if captured.taken is None:
        return ""
    return f"{captured.taken.replace(tzinfo=None).isoformat(' ')} ({captured.precision})"
