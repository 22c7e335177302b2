"""Imports: check a sheet whole, record it, and work it off beside the requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Response
from fastapi.responses import JSONResponse

from app.domain import errors
from app.services.bundle import Services
from app.services.ingest import Plan
from app.web import shapes
from app.web.door import TheDoor, TheServices
from app.web.forms import LARGEST_ID, ImportForm, no_repeats
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
            errors.BadArchive,
            errors.NotAllowed,
            errors.TooLarge,
            errors.ModelUnavailable,
            errors.CatalogueUnavailable,
            errors.StorageFull,
        ),
    },
)
def begin_import(
    form: Annotated[ImportForm, Form(media_type="multipart/form-data")], door: TheDoor, response: Response
) -> ImportAnswer | Response:
    """Give exactly one of `archive` and `folder`.

    Every row and the header of every photograph is checked first; any fault refuses the whole sheet with row, column
    and reason, and nothing is written. Then the import runs beside the requests: follow the `Location`. Importing the
    same again adds nothing.
    """
    source, plan = _plan(form, door.services)
    if form.dry_run:
        door.services.uploads.discard(source)
        return JSONResponse(shapes.plan_answer(plan).model_dump(mode="json"))
    import_id = _begin(source, plan, door.services)
    door.upkeep.submit_import(import_id)
    response.headers["Location"] = f"/imports/{import_id}"
    return shapes.import_answer(door.services.ingest.report(import_id))


@router.get("/imports/{import_id}", summary="Where an import stands", responses=declare(errors.UnknownImport))
def import_report(import_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], services: TheServices) -> ImportAnswer:
    """Progress counts rows in a final state over all rows; refused rows are listed with their reasons."""
    return shapes.import_answer(services.ingest.report(import_id))


def _plan(form: ImportForm, services: Services) -> tuple[str, Plan]:
    """The source and its checked sheet; an upload that cannot be used is forgotten."""
    if (form.archive is None) == (form.folder is None):
        raise errors.InvalidInput("give either an archive or a folder")
    source = services.uploads.store(form.archive.file) if form.archive else f"folder:{form.folder}"
    try:
        return source, services.ingest.plan(source, decode=form.dry_run)
    except errors.ResightError:
        services.uploads.discard(source)
        raise


def _begin(source: str, plan: Plan, services: Services) -> int:
    try:
        return services.ingest.begin(plan)
    except errors.ResightError:
        services.uploads.discard(source)
        raise
