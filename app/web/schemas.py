"""The shapes of answers, strict: what is not declared here is not sent."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.domain.calibration_record import Source
from app.domain.catalogue import DatePrecision, Viewpoint
from app.domain.formats import SheetFormat
from app.domain.ingestion import ImportState, RowState
from app.domain.question import GroupBy


class Answer(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class RowFault(Answer):
    """One fault of a sheet."""

    row: int = Field(description="Line of the sheet, counted from 1; the header is line 1.")
    column: str
    reason: str


class FieldFault(Answer):
    """One field of a request that cannot be used."""

    field: str
    reason: str


class Problem(Answer):
    """A failure (RFC 9457). ``code`` is stable; a program matches on it."""

    type: str = Field(examples=["urn:resight:problem:bad_image"])
    title: str = Field(examples=["The photograph cannot be used"])
    status: int = Field(examples=[422])
    detail: str = Field(description="A sentence that may be shown to a person.")
    code: str = Field(examples=["bad_image"])
    instance: str = Field(description="The address that was asked.", examples=["/match"])
    faults: list[RowFault] | None = Field(None, description="Faults of a sheet, at most 1,000.")
    total: int | None = Field(None, description="How many faults the sheet has.")
    errors: list[FieldFault] | None = Field(None, description="Fields of the request that cannot be used.")
    parts: dict[str, str] | None = Field(None, description="What each part of the service says of itself.")


class Sighted(Answer):
    """What is known of one annotation."""

    annotation_id: int
    source_id: str = Field(description="The image_id that the sheet gave.")
    individual: str | None
    encounter: str | None
    viewpoint: Viewpoint
    date: str | None = Field(description="As exactly as it is known: 2019, 2019-07, 2019-07-14 or with the time.")
    date_precision: DatePrecision
    thumbnail: str = Field(description="Address of a small JPEG of the annotation's box.")
    image: str = Field(description="Address of a large JPEG of the whole image, without metadata.")


class FoldedAnswer(Answer):
    """What is shown inside a candidate instead of after it: the same moment, encounter or individual."""

    count: int = Field(description="All of them in the gallery searched.")
    annotation_ids: list[int] = Field(description="The first 20 of them, best first.")


class CandidateAnswer(Sighted):
    """One answer of a match; ``score`` orders candidates and is not a probability."""

    rank: int
    score: float = Field(description="(1 + likeness) / 2, in [0, 1]; a profile makes the likeness of cosines.")
    probability_same: float | None = Field(
        description="Calibrated probability that it is the same animal; null without a calibration."
    )
    days_between: int | None = Field(description="Days between the two dates; null when one of them is not known.")
    same_photograph: bool = Field(description="True for a stored image with the very bytes of a query.")
    same_occasion: bool = Field(description="True where being of the query's own survey day raised its score.")
    bridge: Sighted | None = Field(
        description="The annotation in the query's own view through which another view of the animal was found."
    )
    folded: FoldedAnswer


class ScopeAnswer(Answer):
    """The scope as it was applied."""

    viewpoints: list[Viewpoint]
    years: list[int] | None
    since: date | None
    until: date | None
    excluded_encounters: list[str]
    excluded_individuals: list[str]
    excluded_annotations: list[int] = Field(description="With the annotation asked about, if there is one.")
    excluded_own_encounter: bool


class EnsembleAnswer(Answer):
    """The ensemble that computed the vectors, named exactly."""

    name: str
    version: str
    manifest_sha256: str
    members: dict[str, str] = Field(description="SHA-256 of each member's file, by name.")


class ProfileAnswer(Answer):
    """How candidates were ordered."""

    name: str
    stages: dict[str, dict[str, bool | int | float | str | list[float]]] = Field(
        description="Settings of each stage, by name, in the order in which they ran."
    )


class CalibrationNote(Answer):
    """The calibration behind the probabilities of an answer."""

    calibration_id: int | None = Field(description="Null for the one that the release brings.")
    source: Source = Field(description="Whose animals it was fitted to: this catalogue's or the release's.")
    fitted_on: str
    catalogue_version: int | None
    error_same: float | None = Field(description="Expected calibration error of probability_same in such lists.")
    error_new: float | None = Field(description="Expected calibration error of probability_new.")
    meter: list[str] = Field(description="How many candidates to look at, in sentences; empty when it is not known.")


class QueryAnswer(Answer):
    """One photograph that was asked about."""

    sha256: str
    annotation_id: int | None = Field(description="Null for a photograph that was sent.")
    viewpoint: Viewpoint
    day: date | None = Field(description="The day that it was asked as; null when it is not known.")


class ReceiptAnswer(Answer):
    """What was searched, with which versions: enough to understand an answer years later."""

    queries: list[QueryAnswer] = Field(description="Photographs first, then annotations, as they were given.")
    catalogue_version: int
    index_generation: int
    ensemble: EnsembleAnswer
    scope: ScopeAnswer
    group_by: GroupBy
    profile: ProfileAnswer
    calibration: CalibrationNote | None = Field(description="Null when none fits this ensemble and profile.")
    no_probabilities: str | None = Field(description="Why there are no probabilities; null where there are.")
    gallery: int = Field(description="Annotations in the index.")
    searched: int = Field(description="Annotations that the scope left.")
    removed: dict[str, int] = Field(description="Annotations that each filter took away, one filter after the other.")
    notes: list[str] = Field(description="What did nothing for want of the day or viewpoint of the query; often none.")
    milliseconds: dict[str, float] = Field(description="Time of each stage.")


class MatchAnswer(Answer):
    """Candidates, best first, and their receipt. The researcher decides."""

    candidates: list[CandidateAnswer]
    probability_new: float | None = Field(
        description="Calibrated probability that the animal is none of those searched; null without a calibration."
    )
    receipt: ReceiptAnswer


class Size(Answer):
    """Width and height in pixels, upright."""

    width: int
    height: int


class BoxAnswer(Size):
    """A crop in pixels of the upright image, from its top left corner."""

    x: int
    y: int


class AnnotationAnswer(Sighted):
    """One animal in one image."""

    image_sha256: str
    image_size: Size
    box: BoxAnswer | None


class IndividualAnswer(Answer):
    """One animal, with a count of what the catalogue holds of it."""

    name: str
    annotations: int
    encounters: int
    viewpoints: list[Viewpoint]
    first_seen: date | None
    last_seen: date | None


class IndividualsAnswer(Answer):
    """A page of individuals by name."""

    individuals: list[IndividualAnswer]
    next: str | None = Field(description="Address of the next page, null on the last one.")


class IndividualDetailAnswer(IndividualAnswer):
    """One individual with its annotations by date."""

    seen: list[AnnotationAnswer]


class RefusedRow(Answer):
    """A row whose photograph was not taken, and why."""

    row: int
    source_id: str
    reason: str


class PlanAnswer(Answer):
    """What an import of a sheet without fault would do; nothing was written."""

    format: SheetFormat
    ignored_columns: list[str] = Field(description="Columns that the catalogue has no place for.")
    rows: int = Field(description="Photographs that the sheet tells of.")
    individuals: int
    encounters: int
    viewpoints: dict[Viewpoint, int]
    new: int = Field(description="Rows that would become annotations.")
    unchanged: int = Field(description="Rows that the catalogue or an earlier row holds already.")
    refused_rows: int = Field(description="Rows that would be refused; the others would be taken.")
    refused: list[RefusedRow] = Field(description="At most 1,000.")


class ImportAnswer(Answer):
    """Where an import stands."""

    import_id: int
    job_id: str | None = Field(description="The job that works it off, at /jobs/{job_id}; null when there is none.")
    source: str
    state: ImportState
    started: datetime
    finished: datetime | None
    progress: Annotated[float, Field(ge=0, le=1, description="Rows in a final state / all rows.")]
    total: int
    rows: dict[RowState, int]
    refused: list[RefusedRow] = Field(description="At most 1,000.")
    quarantined: list[RefusedRow] = Field(description="Set apart after three attempts of its own; at most 1,000.")
    near_duplicates: int | None = Field(
        description="Of its new annotations, how many have a photograph that is nearly another one; null until known."
    )
    bursts: int | None = Field(description="Of its new annotations, how many are one of a burst; null until known.")
    reason: str | None = Field(description="Why a failed import failed.")


class Alive(Answer):
    """The server answers."""

    status: str = Field(examples=["alive"])


class Ready(Answer):
    """Every part can serve."""

    catalogue: str
    ensemble: str
    index: str
    storage: str


class VersionAnswer(Answer):
    """What is running."""

    version: str
    ensemble: EnsembleAnswer | None = Field(description="Null while no ensemble is loaded.")
