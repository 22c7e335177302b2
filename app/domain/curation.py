"""Curation: what an editor may change about an annotation, and the record that each change leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypedDict

from app.domain.catalogue import Annotation, Box, CaptureDate, Viewpoint
from app.domain.ensemble import Float32
from app.domain.jobs import JSON


class Action(StrEnum):
    """What was done to an annotation."""

    EDITED = "edited"
    REMOVED = "removed"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said of the animal in an annotation: everything that an editor may change."""

    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None
    encounter: str | None
    box: Box | None

    @staticmethod
    def of(annotation: Annotation) -> Facts:
        """What the catalogue holds."""
        one = annotation
        return Facts(one.viewpoint, one.captured, one.individual, one.encounter, one.box)


class Changes(TypedDict, total=False):
    """The facts that an edit changes; what is not named stays as it is."""

    viewpoint: Viewpoint
    captured: CaptureDate
    individual: str | None
    encounter: str | None
    box: Box | None


@dataclass(frozen=True, slots=True)
class Signature:
    """Who changes an annotation and why, as they said it: nobody was asked to prove a name."""

    actor: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Edition:
    """One change as the history keeps it: ``before`` and ``after`` are facts as plain values.

    ``version`` is the catalogue version that the change made, ``at`` its time in UTC.
    """

    action: Action
    at: datetime
    signature: Signature
    before: dict[str, JSON]
    after: dict[str, JSON]
    version: int


class Annals(Protocol):
    """The catalogue as editors see it: annotations, removed ones too, and their history. A call is a transaction."""

    def kept(self, annotation_id: int) -> Annotation:
        """One annotation, be it removed; raises UnknownAnnotation for one that never was."""

    def embedded_in(self, annotation_id: int) -> set[str]:
        """Names of the active spaces in which it has a vector."""

    def amend(self, amendment: Amendment) -> int:
        """Change, remove or restore an annotation, and write its history; returns the version that holds the change.

        Nothing changes when the amendment says what is held already. Raises UnknownAnnotation, StaleRevision when the
        annotation has another revision, Conflict when a name or the photograph's box belongs to somebody else, and
        SpaceMismatch for vectors of a space that is not in use.
        """

    def history(self, annotation_id: int) -> list[Edition]:
        """Every change of an annotation, oldest first; raises UnknownAnnotation."""


@dataclass(frozen=True, slots=True, eq=False)
class Amendment:
    """What becomes of an annotation that still has ``revision``: facts, whether it is removed, and new vectors.

    Vectors of an earlier box are dropped; ``vectors`` are those that the annotation lacks, by space name.
    """

    annotation_id: int
    revision: int
    facts: Facts
    removed: bool
    vectors: Mapping[str, Float32]
    signature: Signature

    def action(self, before: Annotation) -> Action:
        """What it does to an annotation."""
        if self.removed == before.removed:
            return Action.EDITED
        return Action.REMOVED if self.removed else Action.RESTORED


def changed(facts: Facts, changes: Changes) -> Facts:
    """Facts after an edit; a time zone is dropped, as the catalogue keeps the clock on the spot."""
    edited = replace(facts, **changes)
    taken = edited.captured.taken
    if taken is None or taken.tzinfo is None:
        return edited
    return replace(edited, captured=CaptureDate(taken.replace(tzinfo=None), edited.captured.precision))


def plain(facts: Facts, *, removed: bool) -> dict[str, JSON]:
    """Facts as plain values, as the history keeps them."""
    taken = facts.captured.taken
    return {
        "viewpoint": facts.viewpoint.value,
        "date": taken.isoformat() if taken else None,
        "date_precision": facts.captured.precision.value,
        "individual": facts.individual,
        "encounter": facts.encounter,
        "box": asdict(facts.box) if facts.box else None,
        "removed": removed,
    }
