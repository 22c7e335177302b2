"""Evaluations: measure the ranking on scenarios, beside the requests, and fetch what came out."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Response

from app.domain import errors
from app.domain.jobs import Job, JobKind
from app.domain.scenario import ScenarioPack
from app.services.bundle import Services
from app.services.evaluate_book import Standing
from app.services.evaluate_work import Wanted
from app.web.door import TheServices
from app.web.forms import no_repeats
from app.web.problems import declare
from app.web.schemas_evaluations import (
    Document,
    EvaluationAnswer,
    EvaluationForm,
    EvaluationsAnswer,
    evaluation_answer,
)

router = APIRouter(tags=["evaluations"])

_ID = Annotated[str, Path(min_length=1, max_length=100)]
_MEDIA = {
    Document.PREDICTIONS: "text/csv; charset=utf-8",
    Document.SCORES: "application/json",
    Document.REPORT: "text/html; charset=utf-8",
}
# A report brings its own style and pictures and nothing else; in a sandbox it could not even run a script.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


@router.post(
    "/evaluations",
    status_code=202,
    summary="Measure the ranking on scenarios",
    dependencies=[Depends(no_repeats)],
    form_limits={"max_files": 2, "max_fields": 20},
    responses=declare(
        errors.BadScenario,
        errors.BadArchive,
        errors.UnknownEvaluation,
        errors.Conflict,
        errors.NotAllowed,
        errors.TooLarge,
        errors.CatalogueUnavailable,
        errors.StorageFull,
    ),
)
def begin_evaluation(
    form: Annotated[EvaluationForm, Form(media_type="multipart/form-data")], services: TheServices, response: Response
) -> EvaluationAnswer:
    """Give exactly one of `archive`, `folder`, `stored` and `scenarios`.

    The pack is checked whole first; then the evaluation runs beside the requests on the catalogue as it is when its
    turn comes: follow the `Location`. Nothing is embedded.
    """
    pack, unfilled = _pack(form, services)
    name = form.name or form.folder or form.stored or form.scenarios or "upload"
    run_id = services.evaluate.begin(pack, Wanted(name, form.profile, form.against, unfilled))
    job = services.jobs.enqueue(JobKind.EVALUATE, {"evaluation_id": run_id}, key=run_id)
    services.evaluate.accept(run_id, job.job_id)
    response.headers["Location"] = f"/evaluations/{run_id}"
    return evaluation_answer(services.evaluate.standing(run_id), job)


@router.get("/evaluations", summary="Evaluations, newest first", responses=declare(errors.Unavailable))
def evaluations(
    services: TheServices,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> EvaluationsAnswer:
    """Those of the command line are among them; one whose files cannot be read is shown as failed, with the reason."""
    found = services.evaluate.standings(limit + 1, offset)
    return EvaluationsAnswer(
        evaluations=[evaluation_answer(one, _job(one, services)) for one in found[:limit]],
        next=f"/evaluations?limit={limit}&offset={offset + limit}" if len(found) > limit else None,
    )


@router.get(
    "/evaluations/{evaluation_id}",
    summary="Where an evaluation stands, and what it found",
    responses=declare(errors.UnknownEvaluation, errors.Unavailable),
)
def evaluation(evaluation_id: _ID, services: TheServices) -> EvaluationAnswer:
    """`documents` holds the addresses of its files once it is done."""
    standing = services.evaluate.standing(evaluation_id)
    return evaluation_answer(standing, _job(standing, services))


@router.get(
    "/evaluations/{evaluation_id}/{document}",
    summary="A document of an evaluation",
    response_class=Response,
    responses={
        200: {"description": "The document", "content": {media.partition(";")[0]: {} for media in _MEDIA.values()}},
        **declare(errors.UnknownEvaluation, errors.Conflict, errors.Unavailable),
    },
)
def document(evaluation_id: _ID, document: Document, services: TheServices) -> Response:
    """`predictions.csv` in the contest's format, `scores.json` with every query, `report.html` for people."""
    content = services.evaluate.document(evaluation_id, document.value)
    headers = {"Cache-Control": "private, max-age=86400"}
    if document is Document.REPORT:
        headers["Content-Security-Policy"] = _REPORT_POLICY
    else:
        headers["Content-Disposition"] = f'attachment; filename="{document.value}"'
    return Response(content, media_type=_MEDIA[document], headers=headers)


def _pack(form: EvaluationForm, services: Services) -> tuple[ScenarioPack, tuple[str, ...]]:
    """The scenarios that were asked for, and kinds that the catalogue cannot fill."""
    given = [form.archive, form.folder, form.stored, form.scenarios]
    if sum(one is not None for one in given) != 1:
        raise errors.InvalidInput("give exactly one of archive, folder, stored and scenarios")
    if form.archive is not None:
        return services.evaluate.sources.archive(form.archive.file), ()
    if form.folder is not None:
        return services.evaluate.sources.folder(form.folder), ()
    if form.stored is not None:
        return services.evaluate.pack_of(form.stored), ()
    built = services.evaluate.built()
    return built.pack, tuple(f"{one.kind}: {one.reason}" for one in built.unfilled)


def _job(standing: Standing, services: Services) -> Job | None:
    """Its job, None where it has none: the command line works without, and old jobs are forgotten in the end."""
    if standing.job_id is None:
        return None
    with suppress(errors.UnknownJob):
        return services.jobs.job(standing.job_id)
    return None
