"""What clients may send: the fields of a match and of an import, checked before a service is called."""

from __future__ import annotations

import csv
import datetime as dt
from typing import Annotated

from fastapi import Request, UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from app.domain.formats import SheetFormat
from app.domain.partition import Scope
from app.domain.profiles import MATCHING, REVIEW
from app.domain.question import MAX_CANDIDATES, MAX_PHOTOGRAPHS, GroupBy, MatchRequest

LARGEST_ID = 2**63 - 1
LONGEST_NAME = 200


def _split(given: list[str]) -> list[str]:
    """Values of a repeated field, each of which may list several, as a line of a CSV does."""
    try:
        return [part for line in csv.reader(given, skipinitialspace=True) for part in line if part]
    except csv.Error as error:
        raise ValueError(f"not a list of values: {error}") from error


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name holds no control characters")
    return name


def _profile(name: str) -> str:
    if name not in MATCHING:
        raise ValueError(f"there is no such profile; there are {', '.join(MATCHING)}")
    return name


def _chosen(given: list[UploadFile | str]) -> list[UploadFile | str]:
    """What was sent, without the empty part that a browser sends when no file was chosen."""
    return [one for one in given if (one if isinstance(one, str) else one.filename or one.size)]


Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
Year = Annotated[int, Field(ge=1, le=9999)]
Viewpoints = Annotated[list[Viewpoint], BeforeValidator(_split)]
Years = Annotated[list[Year], BeforeValidator(_split)]
Names = Annotated[list[Name], BeforeValidator(_split)]
Ids = Annotated[list[Id], BeforeValidator(_split)]
Photographs = Annotated[list[UploadFile], BeforeValidator(_chosen)]
ProfileName = Annotated[str, AfterValidator(_profile)]


class Form(BaseModel):
    """The base of a form: a field that it does not know is a mistake, not to be passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MatchForm(Form):
    """A question: photographs or catalogued annotations of one animal, what is known of them, and where to search."""

    image: Photographs = Field([], description="A photograph: JPEG, PNG, WebP, TIFF or HEIC.")
    annotation_id: Ids = Field([], description="Instead of a photograph, or beside it: a catalogued annotation.")
    viewpoint: Viewpoints = Field([], description="The side seen: once for all, or once for each photograph.")
    date: dt.date | None = Field(None, description="When it was taken; by default what its file says.")
    viewpoints: Viewpoints = Field([], description="Viewpoints to search.")
    years: Years = Field([], description="Years to search.")
    since: dt.date | None = Field(None, description="Search from this day on.")
    until: dt.date | None = Field(None, description="Search up to this day.")
    exclude_encounters: Names = Field([], description="Encounters to leave out.")
    exclude_individuals: Names = Field([], description="Individuals to leave out.")
    exclude_annotations: Ids = Field([], description="Annotations to leave out.")
    exclude_own_encounter: bool = Field(default=False, description="Leave out the annotation's own encounter.")
    limit: int = Field(20, ge=1, le=MAX_CANDIDATES, description="How many candidates.")
    group_by: GroupBy = Field(GroupBy.ANNOTATION, description="What a candidate stands for.")
    profile: ProfileName = Field(REVIEW.name, description="How candidates are ordered.")

    def request(self) -> MatchRequest:
        """The question as the service takes it; raises InvalidInput, BadScope."""
        return MatchRequest(
            photographs=tuple(image.file.read() for image in self.image[: MAX_PHOTOGRAPHS + 1]),
            annotation_ids=tuple(self.annotation_id),
            viewpoints=tuple(self.viewpoint),
            names=tuple((image.filename or "")[:LONGEST_NAME] for image in self.image),
            captured=self.date,
            scope=Scope(
                viewpoints=frozenset(self.viewpoints or Viewpoint),
                years=frozenset(self.years) or None,
                since=self.since,
                until=self.until,
                without_annotations=frozenset(self.exclude_annotations),
            ),
            without_encounters=frozenset(self.exclude_encounters),
            without_individuals=frozenset(self.exclude_individuals),
            without_own_encounter=self.exclude_own_encounter,
            limit=self.limit,
            group_by=self.group_by,
            profile=MATCHING[self.profile],
        )


class ImportForm(Form):
    """What to import: a ZIP, a folder under the import root, or a prefix of S3."""

    archive: UploadFile | None = Field(None, description="A ZIP with metadata.csv and its photographs.")
    folder: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)] | None = Field(
        None, description="Instead of a ZIP: a folder under the service's import root, by name."
    )
    s3: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)] | None = Field(
        None, description="Instead of a ZIP: s3://bucket/prefix, below a prefix that the service allows."
    )
    format: SheetFormat | None = Field(None, description="The kind of sheet; by default what its header says.")
    dry_run: bool = Field(default=False, description="Check everything, write nothing.")


class CommitForm(Form):
    """How to import what an upload session holds."""

    format: SheetFormat | None = Field(None, description="The kind of sheet; by default what its header says.")
    dry_run: bool = Field(default=False, description="Check everything, write nothing.")


_REPEATABLE = frozenset(
    {"image", "annotation_id", "viewpoint", "viewpoints", "years"}
    | {"exclude_encounters", "exclude_individuals", "exclude_annotations"}
)


async def no_repeats(request: Request) -> None:
    """Refuse a form that gives one field twice, such as two dates: which of them was meant is not known."""
    # The parser has read the form already and keeps it: nothing is awaited that takes time.
    names = [name for name, _ in (await request.form()).multi_items() if name not in _REPEATABLE]
    for name in {name for name in names if names.count(name) > 1}:
        raise InvalidInput(f"the field {name[:LONGEST_NAME]!r} was given more than once")
