"""The shapes of editing: what may be sent, what is answered, and what is told of an annotation's past."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.domain.catalogue import Box, CaptureDate, Viewpoint
from app.domain.cells import parse_date, parse_name
from app.domain.curation import Action, Changes, Signature
from app.web.schemas import AnnotationAnswer, Answer

_LARGEST = 1_000_000
_LONGEST = 1_000


def _dated(text: str) -> str:
    parse_date(text)
    return text


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("this holds control characters")
    return text


Name = Annotated[str, AfterValidator(parse_name)]
Said = Annotated[str, Field(min_length=1, max_length=_LONGEST), AfterValidator(_visible)]
Pixels = Annotated[int, Field(strict=True, ge=0, le=_LARGEST)]
Side = Annotated[int, Field(strict=True, ge=1, le=_LARGEST)]
Revision = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class Body(BaseModel):
    """The base of what may be sent: a field that is not known is a mistake, not to be passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BoxBody(Body):
    """A crop in pixels of the upright image, from its top left corner."""

    x: Pixels
    y: Pixels
    width: Side
    height: Side


class Signed(Body):
    """Which state an editor has seen, who the editor is and why the change is made."""

    revision: Revision | None = Field(None, description="The revision that was read; or give it as If-Match.")
    actor: Said | None = Field(None, description="Who makes the change, recorded as said.")
    reason: Said | None = Field(None, description="Why, recorded as said.")

    def signature(self) -> Signature:
        """Who and why."""
        return Signature(self.actor, self.reason)


class AnnotationEdit(Signed):
    """What is to change: a field that is not sent stays as it is, null takes the fact away."""

    viewpoint: Viewpoint = Field(Viewpoint.UNKNOWN, description="The side seen.")
    date: Annotated[str, AfterValidator(_dated)] | None = Field(
        None, description="When it was taken, as exactly as it is known: 2019, 2019-07, 2019-07-14 or with the time."
    )
    individual: Name | None = Field(None, description="Its individual, made when there is none of this name.")
    encounter: Name | None = Field(None, description="Its encounter, made when there is none of this name.")
    box: BoxBody | None = Field(None, description="The crop that shows the animal; null for the whole image.")

    def changes(self) -> Changes:
        """What was sent, as the service takes it."""
        said: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set - set(Signed.model_fields)}
        if "date" in said:
            text = said.pop("date")
            said["captured"] = parse_date(text) if text else CaptureDate()
        if (box := said.get("box")) is not None:
            said["box"] = Box(**box.model_dump())
        changes: Changes = said  # type: ignore[assignment]
        return changes


class NearDuplicateAnswer(Answer):
    """An annotation in nearly the same photograph."""

    annotation_id: int
    distance: int = Field(description="Bits in which the perceptual hashes of the two photographs differ, 0 to 2.")


class AnnotationDetailAnswer(AnnotationAnswer):
    """One annotation, with what an editor needs to know."""

    revision: int = Field(description="The catalogue version that last changed it; name it when you edit.")
    near_duplicates: list[NearDuplicateAnswer] | None = Field(
        description="Annotations in nearly the same photograph; null while the index is not ready."
    )


class IndexState(StrEnum):
    """Whether matches see a change already."""

    INDEXED = "indexed"
    STORED = "stored"


class ChangeAnswer(Answer):
    """What a change led to; it is on disk."""

    annotation_id: int
    revision: int = Field(description="The annotation's revision by now.")
    removed: bool
    state: IndexState = Field(
        description="indexed: every match from now on sees the change. stored: the index will follow by itself."
    )
    catalogue_version: int | None = Field(description="That of the generation that answers; null while only stored.")
    index_generation: int | None = Field(description="The generation that answers; null while only stored.")


class EditionAnswer(Answer):
    """One change of an annotation."""

    action: Action
    at: datetime
    actor: str | None
    reason: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    catalogue_version: int = Field(description="The catalogue version that the change made.")


class HistoryAnswer(Answer):
    """The past of an annotation, oldest change first."""

    annotation_id: int
    source_id: str
    revision: int
    removed: bool
    changes: list[EditionAnswer]
