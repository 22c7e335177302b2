"""A question: which photographs or annotations of one animal are asked about, and where to search."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from app.domain.partition import Scope
from app.domain.profiles import REVIEW, Profile

MAX_CANDIDATES = 100
MAX_PHOTOGRAPHS = 20

MOST_INSIDE = 20
"""So many of the annotations that are shown inside a candidate are named; all of them are counted."""


class GroupBy(StrEnum):
    """What a candidate stands for."""

    ANNOTATION = "annotation"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """A question about one animal: ``photographs`` (file bytes), ``annotation_ids`` or both, and where to search.

    ``viewpoints`` and ``captured`` tell what is known of them; for an annotation they default to its own. There is one
    viewpoint for all, or one for each: the photographs in their order, then the annotations. ``names`` are those of the
    photographs' files, for messages. ``without_encounters`` and ``without_individuals`` are names as the user knows
    them.
    """

    photographs: tuple[bytes, ...] = ()
    annotation_ids: tuple[int, ...] = ()
    viewpoints: tuple[Viewpoint, ...] = ()
    names: tuple[str, ...] = ()
    captured: date | None = None
    scope: Scope = field(default_factory=Scope)
    without_encounters: frozenset[str] = frozenset()
    without_individuals: frozenset[str] = frozenset()
    without_own_encounter: bool = False
    limit: int = 20
    group_by: GroupBy = GroupBy.ANNOTATION
    profile: Profile = REVIEW

    def __post_init__(self) -> None:
        """Raise InvalidInput unless there is something to ask about, of which enough is told, and a usable limit."""
        if not 1 <= self.size <= MAX_PHOTOGRAPHS:
            wanted = "give a photograph or an annotation id" if not self.size else "there are too many photographs"
            raise InvalidInput(f"{wanted}; a question has up to {MAX_PHOTOGRAPHS} of one animal")
        if len(set(self.annotation_ids)) < len(self.annotation_ids):
            raise InvalidInput("an annotation id was given more than once")
        if len(self.viewpoints) not in {0, 1, self.size}:
            raise InvalidInput(f"give viewpoint once, or once for each of the {self.size} photographs")
        if not 1 <= self.limit <= MAX_CANDIDATES:
            raise InvalidInput(f"limit must lie between 1 and {MAX_CANDIDATES}")
        if self.without_own_encounter and not self.annotation_ids:
            raise InvalidInput("only a catalogued annotation has an encounter of its own to leave out")

    @property
    def size(self) -> int:
        """How many photographs and annotations are asked about."""
        return len(self.photographs) + len(self.annotation_ids)

    def viewpoint_of(self, place: int) -> Viewpoint | None:
        """What was said of the photograph at this place, the annotations after the photographs."""
        told = self.viewpoints * self.size if len(self.viewpoints) == 1 else self.viewpoints
        return told[place] if told else None

    def title_of(self, place: int) -> str:
        """How a message calls the photograph at this place."""
        if place >= len(self.photographs):
            return f"annotation {self.annotation_ids[place - len(self.photographs)]}"
        name = self.names[place] if self.names else ""
        return f"photograph {place + 1} of {len(self.photographs)}" + (
            f" ({name})" if name.isprintable() and name else ""
        )
