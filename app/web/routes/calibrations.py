"""Calibrations: how honest the probabilities are, and how far to look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.domain import errors
from app.domain.profiles import REVIEW, profile_named
from app.web.door import TheServices
from app.web.problems import declare
from app.web.schemas_calibration import CalibrationAnswer
from app.web.shapes_calibration import calibration_answer

router = APIRouter(tags=["calibrations"])


@router.get(
    "/calibrations/current",
    summary="The calibration in force, with its proof and the missed-match meter",
    responses=declare(errors.UnknownCalibration, errors.ModelUnavailable, errors.CatalogueUnavailable),
)
def current(
    services: TheServices,
    profile: Annotated[str, Query(max_length=100, description="The ranking profile asked about.")] = REVIEW.name,
) -> CalibrationAnswer:
    """The newest calibration of this catalogue for the ensemble in force and this profile, else the release's own.

    One of another ensemble or of other settings is never used in its place.
    """
    return calibration_answer(services.calibrate.current(profile_named(profile)))
