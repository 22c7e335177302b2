"""Calibrations: how honest the probabilities are, and how far to look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Response

from app.domain import errors
from app.domain.jobs import JSON, JobKind
from app.domain.profiles import REVIEW, profile_named
from app.web.door import TheServices
from app.web.forms import LARGEST_ID, no_repeats
from app.web.problems import declare
from app.web.schemas_calibration import CalibrationAnswer, CalibrationForm, CalibrationsAnswer
from app.web.schemas_jobs import JobAnswer, job_answer
from app.web.shapes_calibration import calibration_answer, calibration_line

router = APIRouter(tags=["calibrations"])


@router.post(
    "/calibrations",
    status_code=202,
    summary="Fit probabilities to the catalogue",
    dependencies=[Depends(no_repeats)],
    form_limits={"max_files": 0, "max_fields": 20},
    responses=declare(errors.InvalidInput, errors.ModelUnavailable, errors.CatalogueUnavailable, errors.StorageFull),
)
def begin_calibration(
    form: Annotated[CalibrationForm, Form(media_type="multipart/form-data")], services: TheServices, response: Response
) -> JobAnswer:
    """What `resight calibrate` does, as a job beside the requests: follow the `Location`.

    Its `result` names the `calibration_id`. It fails with the reason where too few animals were met in several
    encounters. One that was made since of the same catalogue is given instead of another.
    """
    profile = profile_named(form.profile)
    arguments: dict[str, JSON] = {"profile": profile.name, "after": services.calibrate.newest(profile)}
    job = services.jobs.enqueue(JobKind.CALIBRATE, arguments)
    response.headers["Location"] = f"/jobs/{job.job_id}"
    return job_answer(job)


@router.get(
    "/calibrations",
    summary="The calibrations of this catalogue, newest first",
    responses=declare(errors.CatalogueUnavailable),
)
def calibrations(
    services: TheServices,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> CalibrationsAnswer:
    """For every ensemble and profile; none is ever changed or removed."""
    found = services.calibrate.calibrations.listed(limit + 1, offset)
    return CalibrationsAnswer(
        calibrations=[calibration_line(one) for one in found[:limit]],
        next=f"/calibrations?limit={limit}&offset={offset + limit}" if len(found) > limit else None,
    )


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


@router.get(
    "/calibrations/{calibration_id}",
    summary="A calibration, with its proof and the missed-match meter",
    responses=declare(errors.UnknownCalibration, errors.CatalogueUnavailable),
)
def calibration(calibration_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], services: TheServices) -> CalibrationAnswer:
    """Whether or not it is in force."""
    return calibration_answer(services.calibrate.calibrations.get(calibration_id))
