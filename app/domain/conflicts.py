"""Where rows contradict the catalogue or each other: the rules, whatever the catalogue is stored in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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

    def __init__(self, held: Iterable[Annotation], names: KnownNames) -> None:
        annotations = list(held)
        self._by_source: dict[str, Sighting | Annotation] = {a.source_id: a for a in annotations}
        self._photos: dict[str, Photo] = {a.source_id: (a.image.sha256, a.box) for a in annotations}
        self._by_photo: dict[Photo, Sighting | Annotation] = {(a.image.sha256, a.box): a for a in annotations}
        self._individuals = dict(names.individuals)
        self._encounters = dict(names.encounters)
        self._owners = dict(names.owners)

    def conflicts(self, said: Sighting) -> list[tuple[str, str]]:
        """(column, reason) where a row of a sheet contradicts what is held; the row is held from now on."""
        held = self._by_source.setdefault(said.source_id, said)
        faults = [] if held is said else contradictions(said, held)
        faults += _spelling("whale_id", said.individual, self._individuals)
        faults += _spelling("encounter_id", said.encounter, self._encounters)
        return faults + self._foreign_encounter(said)

    def judge(self, said: Sighting, sha256: str) -> Verdict:
        """Decide about a row with its photograph: stored when new, unchanged when held, else refused."""
        photo = (sha256, said.box)
        if self._photos.get(said.source_id, photo) != photo:
            return Verdict(RowState.REFUSED, f"{said.source_id!r} is the image_id of another photograph or box")
        held = self._by_photo.get(photo)
        faults = self._foreign_encounter(said) if held is None else contradictions(said, held)
        if faults:
            return Verdict(RowState.REFUSED, "; ".join(f"{column}: {reason}" for column, reason in faults))
        if held is not None:
            return Verdict(RowState.UNCHANGED, twin=held if isinstance(held, Annotation) else None)
        self._by_photo[photo] = said
        self._photos[said.source_id] = photo
        return Verdict(RowState.STORED)

    def _foreign_encounter(self, said: Sighting) -> list[tuple[str, str]]:
        if said.encounter is None or said.individual is None:
            return []
        owner = self._owners.setdefault(name_key(said.encounter), said.individual)
        if name_key(owner) == name_key(said.individual):
            return []
        return [("encounter_id", f"{said.encounter!r} belongs to {owner!r}, not to {said.individual!r}")]


def _spelling(column: str, name: str | None, known: dict[str, str]) -> list[tuple[str, str]]:
    if name is None:
        return []
    first = known.setdefault(name_key(name), name)
    if first == name:
        return []
    return [(column, f"{name!r} differs from {first!r} only in case, spaces or Unicode form")]


def _date(captured: CaptureDate) -> str:
    """A date with its precision as text; a zone is left out, as the catalogue keeps the time on the spot."""
    if captured.taken is None:
        return ""
    return f"{captured.taken.replace(tzinfo=None).isoformat(' ')} ({captured.precision})"
