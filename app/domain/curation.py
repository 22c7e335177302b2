"""Curation: what an editor may change about an annotation, and the record that each change leaves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from app.domain.catalogue import Annotation, Box, CaptureDate, Viewpoint
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
