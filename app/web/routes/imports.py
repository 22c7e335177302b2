"""Imports: check a sheet whole, record it, and work it off beside the requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Response
from fastapi.responses import JSONResponse

from app.domain import errors
from app.services.bundle import Services
from app.web import shapes
from app.web.caller import TheCaller
from app.web.door import Door, TheDoor, TheServices
from app.web.forms import LARGEST_ID, ImportForm, no_repeats
from app.web.idempotency import IdempotencyKey, import_request
from app.web.problems import declare
from app.web.schemas import ImportAnswer, PlanAnswer

router = APIRouter(tags=["imports"])


@router.post(
    "/imports",
    status_code=202,
    summary="Import photographs with their sheet",
    dependencies=[Depends(no_repeats)],
    form_limits={"max_files": 4, "max_fields": 100},
    response_model=ImportAnswer,
    responses={
        200: {"model": PlanAnswer, "description": "A dry run without fault; nothing was written"},
        **declare(
            errors.BadRows,
            errors.Overloaded,
            errors.BadArchive,
            errors.KeyReused,
            errors.NotAllowed,
            errors.TooLarge,
            errors.ModelUnavailable,
            errors.CatalogueUnavailable,
            errors.StorageFull,
        ),
    },
)
def begin_import(
    form: Annotated[ImportForm, Form(media_type="multipart/form-data")],
    door: TheDoor,
    caller: TheCaller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ImportAnswer | Response:
    """Give exactly one of `archive`, `folder` and `s3`; for a line that breaks there are upload sessions.

    Every row is checked first; any fault refuses the whole sheet with row, column and reason, and nothing is written.
    Then the import runs beside the requests: follow the `Location`. A photograph that cannot be used refuses its own
    row; a dry run opens them all and tells beforehand which. Importing the
    same again adds nothing; under the same `Idempotency-Key` it does not even begin another import.
    """
    request = import_request(idempotency_key, form) if idempotency_key and not form.dry_run else None
    if request and (begun := door.services.ingest.requested(request)):
        return _accepted(begun, door, response)
    source = _source(form, door.services)
    planning = door.services.planning
    if form.dry_run:
        with _kept(source, door.services, always=False):
            plan = planning.plan(source, form.format, caller.stays)
            answer = shapes.plan_answer(plan, planning.try_out(plan, caller.stays))
        return JSONResponse(answer.model_dump(mode="json"))
    with _kept(source, door.services, always=True):
        import_id = planning.begin(planning.plan(source, form.format), request)
    if request and door.services.ingest.report(import_id).source != source:
        door.services.uploads.discard(source)  # the same request, sent twice at once, was a moment earlier
    return _accepted(import_id, door, response)


@router.get("/imports/{import_id}", summary="Where an import stands", responses=declare(errors.UnknownImport))
def import_report(import_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], services: TheServices) -> ImportAnswer:
    """Progress counts rows in a final state over all rows; refused rows are listed with their reasons."""
    report = services.ingest.report(import_id)
    return shapes.import_answer(report, services.control.job_of(report), services.duplicates.of_import(report))


def _accepted(import_id: int, door: Door, response: Response) -> ImportAnswer:
    job = door.upkeep.enqueue_import(import_id)
    response.headers["Location"] = f"/imports/{import_id}"
    report = door.services.ingest.report(import_id)
    return shapes.import_answer(report, job, door.services.duplicates.of_import(report))


def _source(form: ImportForm, services: Services) -> str:
    """The name under which an import remembers what it was given; an upload is kept first."""
    if sum(given is not None for given in (form.archive, form.folder, form.s3)) != 1:
        raise errors.InvalidInput("give exactly one of archive, folder and s3")
    if form.archive:
        return services.uploads.store(form.archive.file)
    return f"folder:{form.folder}" if form.folder else f"s3:{str(form.s3).removeprefix('s3:')}"


@contextmanager
def _kept(source: str, services: Services, *, always: bool) -> Iterator[None]:
    """An upload that no import will need is forgotten: one that cannot be used, and that of a dry run."""
    try:
        yield
    except errors.ResightError:
        services.uploads.discard(source)
        raise
    if not always:
        services.uploads.discard(source)
