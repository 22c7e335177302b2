"""From calibrations and odds to the shapes of answers."""

from __future__ import annotations

from dataclasses import asdict

from app.domain.calibration_record import Calibrated
from app.domain.fitting import Judged
from app.domain.meter import Figure
from app.domain.odds import Odds
from app.domain.trials import Listed, ViewPair
from app.web.schemas import CalibrationNote
from app.web.schemas_calibration import (
    BinAnswer,
    CalibrationAnswer,
    CalibrationLine,
    FigureAnswer,
    ReliabilityAnswer,
)


def calibration_note(odds: Odds) -> CalibrationNote | None:
    """What a receipt says of the calibration that was used."""
    used = odds.calibrated
    if used is None:
        return None
    return CalibrationNote(
        calibration_id=used.calibration_id or None,
        source=used.source,
        fitted_on=used.fitted_on,
        catalogue_version=used.catalogue_version,
        error_same=odds.error_same,
        error_new=odds.error_new,
        meter=[figure.sentence for figure in odds.meter],
    )


def calibration_answer(calibrated: Calibrated) -> CalibrationAnswer:
    """A whole calibration with its proof and its meter."""
    return CalibrationAnswer(
        calibration_id=calibrated.calibration_id or None,
        source=calibrated.source,
        fitted_on=calibrated.fitted_on,
        made=calibrated.made,
        catalogue_version=calibrated.catalogue_version,
        manifest_sha256=calibrated.purpose.manifest_sha256,
        profile=calibrated.purpose.profile,
        profile_sha256=calibrated.purpose.profile_sha256,
        queries=calibrated.queries,
        encounters=calibrated.encounters,
        individuals=calibrated.individuals,
        reliability=[_reliability(one) for one in calibrated.judged],
        meter=[_figure(one) for one in calibrated.meter],
    )


def calibration_line(calibrated: Calibrated) -> CalibrationLine:
    """One of a list."""
    return CalibrationLine(
        calibration_id=calibrated.calibration_id,
        made=calibrated.made,
        fitted_on=calibrated.fitted_on,
        catalogue_version=calibrated.catalogue_version,
        manifest_sha256=calibrated.purpose.manifest_sha256,
        profile=calibrated.purpose.profile,
        queries=calibrated.queries,
        encounters=calibrated.encounters,
        individuals=calibrated.individuals,
        error_same=calibrated.error_of(ViewPair.ANY, Listed.INDIVIDUAL),
        error_new=calibrated.error_of(ViewPair.ANY, None),
    )


def _reliability(judged: Judged) -> ReliabilityAnswer:
    found = judged.reliability
    return ReliabilityAnswer(
        kind=judged.kind,
        of=judged.listed or "new",
        expected_calibration_error=found.error,
        brier=found.brier,
        base=found.base,
        count=found.count,
        individuals=found.individuals,
        bins=[BinAnswer(**asdict(one)) for one in found.bins],
    )


def _figure(figure: Figure) -> FigureAnswer:
    facts = asdict(figure)
    return FigureAnswer(years_between=facts.pop("gap"), missed_by_whole_list=facts.pop("unfound"), **facts)
