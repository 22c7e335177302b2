"""A question: which photograph or annotation is asked about, and where to search."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from app.domain.partition import Scope
from app.domain.profiles import REVIEW, Profile

MAX_CANDIDATES = 100


class GroupBy(StrEnum):
    """What a candidate stands for."""

    ANNOTATION = "annotation"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class MatchRequest:
    """A question: exactly one of ``photograph`` (file bytes) and ``annotation_id``, and where to search.

    ``viewpoint`` and ``captured`` tell what is known of the photograph; for an annotation they default to its own.
    ``without_encounters`` and ``without_individuals`` are names as the user knows them.
    """

    photograph: bytes | None = None
    annotation_id: int | None = None
    viewpoint: Viewpoint | None = None
    captured: date | None = None
    scope: Scope = field(default_factory=Scope)
    without_encounters: frozenset[str] = frozenset()
    without_individuals: frozenset[str] = frozenset()
    without_own_encounter: bool = False
    limit: int = 20
    group_by: GroupBy = GroupBy.ANNOTATION
    profile: Profile = REVIEW

    def __post_init__(self) -> None:
        """Raise InvalidInput unless there is exactly one query and a usable limit."""
        if (self.photograph is None) == (self.annotation_id is None):
            raise InvalidInput("give either a photograph or an annotation id")
        if not 1 <= self.limit <= MAX_CANDIDATES:
            raise InvalidInput(f"limit must lie between 1 and {MAX_CANDIDATES}")
        if self.without_own_encounter and self.annotation_id is None:
            raise InvalidInput("only a catalogued annotation has an encounter of its own to leave out")
