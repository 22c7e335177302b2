"""The shapes of calibrations, strict as the other answers are."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.domain.calibration_record import Source
from app.domain.meter import Verdict, YearGap
from app.domain.profiles import REVIEW
from app.domain.trials import Listed, ViewPair
from app.web.forms import Form, Name
from app.web.schemas import Answer


class CalibrationForm(Form):
    """What is to be calibrated."""

    profile: Name = Field(REVIEW.name, description="How candidates are ordered.")


class BinAnswer(Answer):
    """One bar of a reliability diagram."""

    low: float
    high: float
    weight: float = Field(description="Encounters, as each counts once.")
    stated: float = Field(description="The mean probability that was stated.")
    true: float = Field(description="The share that came true.")


class ReliabilityAnswer(Answer):
    """How honest probabilities of one kind are, on animals that they were not fitted on."""

    kind: ViewPair = Field(description="How the query's viewpoint and the gallery's go together.")
    of: str = Field(description="P(same) in lists by annotation or individual, or P(new).", examples=["individual"])
    expected_calibration_error: float
    brier: float = Field(description="Brier score; base x (1 - base) if nothing but the base rate were stated.")
    base: float = Field(description="The share that came true.")
    count: int
    individuals: int
    bins: list[BinAnswer]


class FigureAnswer(Answer):
    """One figure of the missed-match meter."""

    kind: ViewPair
    listed: Listed
    years_between: YearGap
    individuals: int = Field(description="Size of the gallery that the figure is for.")
    missed: float = Field(description="The share of known animals that may be missed.", examples=[0.02])
    verdict: Verdict
    look_at: int | None = Field(description="Candidates to look at; null when no number can be given.")
    low: int | None = Field(description="Lower end of the 95 % interval, resampled by individual.")
    high: int | None = Field(description="Its upper end; null when even the whole list may miss more.")
    missed_by_whole_list: float
    queries: int
    encounters: int
    animals: int


class CalibrationAnswer(Answer):
    """A calibration: what it was fitted to, how honest it is, and the missed-match meter."""

    calibration_id: int | None = Field(description="Null for the one that the release brings.")
    source: Source
    fitted_on: str
    made: datetime
    catalogue_version: int | None
    manifest_sha256: str
    profile: str
    profile_sha256: str
    queries: int
    encounters: int
    individuals: int
    reliability: list[ReliabilityAnswer]
    meter: list[FigureAnswer] = Field(description="Empty for a release's: how far to look is each catalogue's own.")


class CalibrationLine(Answer):
    """One of a list of calibrations."""

    calibration_id: int
    made: datetime
    fitted_on: str
    catalogue_version: int | None
    manifest_sha256: str
    profile: str
    queries: int
    encounters: int
    individuals: int
    error_same: float | None = Field(description="Expected calibration error of P(same) in lists by individual.")
    error_new: float | None = Field(description="The same of P(new).")


class CalibrationsAnswer(Answer):
    """A page of the calibrations of this catalogue, newest first."""

    calibrations: list[CalibrationLine]
    next: str | None = Field(description="Address of the next page, null on the last one.")
