"""The one table from error classes to HTTP: every failure is a problem document (RFC 9457) with a stable code."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.domain import errors
from app.domain.errors import BadRows, ResightError
from app.web.schemas import FieldFault, Problem, RowFault

MEDIA_TYPE = "application/problem+json"
_SHOWN_FIELDS = 50
_SHOWN_NAME = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of failure is told: ``retry_after`` in seconds where trying again can help."""

    status: int
    title: str
    retry_after: int | None = None


TABLE: Mapping[type[ResightError], Kind] = {
    errors.ResightError: Kind(500, "The service failed"),
    errors.InvalidInput: Kind(422, "The request cannot be used"),
    errors.BadImage: Kind(422, "The photograph cannot be used"),
    errors.BadFormat: Kind(415, "The format of the photograph is not supported"),
    errors.BadRows: Kind(422, "The sheet has faults"),
    errors.BadScenario: Kind(422, "The scenarios or predictions break the rules"),
    errors.BadScope: Kind(422, "The scope contradicts itself"),
    errors.BadArchive: Kind(422, "The archive cannot be used"),
    errors.BadDigest: Kind(422, "The bytes are not those that were announced"),
    errors.NotFound: Kind(404, "There is no such thing"),
    errors.UnknownAnnotation: Kind(404, "There is no such annotation"),
    errors.UnknownIndividual: Kind(404, "There is no such individual"),
    errors.UnknownImage: Kind(404, "There is no such image"),
    errors.UnknownCalibration: Kind(404, "There is no such calibration"),
    errors.UnknownImport: Kind(404, "There is no such import"),
    errors.UnknownEnsemble: Kind(404, "There is no such ensemble"),
    errors.UnknownJob: Kind(404, "There is no such job"),
    errors.UnknownEvaluation: Kind(404, "There is no such evaluation"),
    errors.UnknownUpload: Kind(404, "There is no such upload session"),
    errors.Conflict: Kind(409, "The request contradicts the catalogue"),
    errors.StaleRevision: Kind(412, "The annotation has changed"),
    errors.LosingEnsemble: Kind(409, "The new ensemble is the worse one"),
    errors.SpaceMismatch: Kind(409, "Vectors of two spaces cannot be compared"),
    errors.KeyReused: Kind(409, "The idempotency key stands for another request"),
    errors.UploadClosed: Kind(409, "The upload session was committed already"),
    errors.NotAllowed: Kind(403, "This is not allowed"),
    errors.LimitReached: Kind(429, "More than the service accepts", retry_after=5),
    errors.TooLarge: Kind(413, "Too large"),
    errors.Overloaded: Kind(503, "Too many requests at once", retry_after=1),
    errors.Unavailable: Kind(503, "The service cannot answer now", retry_after=5),
    errors.ModelUnavailable: Kind(503, "The ensemble is not ready", retry_after=10),
    errors.IndexUnavailable: Kind(503, "The index is not ready", retry_after=5),
    errors.CatalogueUnavailable: Kind(503, "The catalogue does not answer", retry_after=5),
    errors.StorageFull: Kind(507, "The disk is full", retry_after=60),
    errors.Corrupt: Kind(503, "A stored file is damaged", retry_after=60),
}

# What goes wrong before a route is reached, by status: code and title.
HTTP: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be read"),
    404: ("no_route", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not answer that method"),
    408: ("too_slow", "The request came in too slowly"),
    500: ("internal", "The service failed"),
}


def install(app: FastAPI) -> None:
    """Answer every failure of ``app`` with a problem document."""
    app.exception_handler(ResightError)(_domain)
    app.exception_handler(RequestValidationError)(_validation)
    app.exception_handler(HTTPException)(_http)


def of_error(error: ResightError, instance: str) -> Response:
    """The answer for an error that was raised on purpose."""
    kind = TABLE[type(error)]
    problem = _problem(kind.status, type(error).code, kind.title, str(error), instance)
    if isinstance(error, BadRows):
        faults = [RowFault(row=fault.row, column=fault.column, reason=fault.reason) for fault in error.faults]
        problem = problem.model_copy(update={"faults": faults, "total": error.total})
    return respond(problem, kind.retry_after)


def of_status(status: int, detail: str, instance: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer for a failure outside the error tree, such as an address that does not exist."""
    code, title = HTTP.get(status, HTTP[400])
    response = respond(_problem(status, code, title, detail, instance))
    response.headers.update(headers or {})
    return response


def respond(problem: Problem, retry_after: int | None = None) -> Response:
    """A problem document as a response; ASCII only, so that no text of a client's can break its encoding."""
    content = json.dumps(problem.model_dump(mode="json", exclude_none=True))
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(content, problem.status, headers, MEDIA_TYPE)


def not_ready(parts: Mapping[str, str], instance: str) -> Response:
    """The answer of a service that cannot serve yet, with what each part says."""
    kind = TABLE[errors.Unavailable]
    detail = "; ".join(f"{name}: {state}" for name, state in parts.items() if state != "ok")
    problem = _problem(kind.status, errors.Unavailable.code, kind.title, detail, instance)
    return respond(problem.model_copy(update={"parts": dict(parts)}), kind.retry_after)


def sentence(error: RequestValidationError) -> str:
    """The first faults of a request, for a person."""
    return "; ".join(f"{fault.field}: {fault.reason}" for fault in _fields(error.errors()[:3]))


def declare(*kinds: type[ResightError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that may answer with these errors; a broken request is always possible."""
    titles: dict[int | str, list[str]] = {}
    listed: tuple[type[ResightError], ...] = (*kinds, errors.InvalidInput)
    for kind in listed:
        row = TABLE[kind]
        titles.setdefault(row.status, []).append(f"{row.title} (`{kind.code}`)")
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": "; ".join(dict.fromkeys(texts)), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, texts in sorted(titles.items(), key=lambda entry: str(entry[0]))
    }


def _problem(status: int, code: str, title: str, detail: str, instance: str) -> Problem:
    return Problem(
        type=f"urn:resight:problem:{code}", title=title, status=status, detail=detail, code=code, instance=instance
    )


def _domain(request: Request, error: ResightError) -> Response:
    return of_error(error, request.url.path)


def _http(request: Request, error: HTTPException) -> Response:
    # FastAPI tells every failure to read a body as a bad request; a full disk is not the client's fault.
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.ENOSPC, errno.EDQUOT}:
        return of_error(errors.StorageFull("the disk is full: the request was not kept"), request.url.path)
    return of_status(error.status_code, error.detail, request.url.path, error.headers)


def _validation(request: Request, error: RequestValidationError) -> Response:
    kind = TABLE[errors.InvalidInput]
    faults = list(_fields(error.errors()[:_SHOWN_FIELDS]))
    problem = _problem(kind.status, errors.InvalidInput.code, kind.title, sentence(error), request.url.path)
    return respond(problem.model_copy(update={"errors": faults}))


def _fields(found: Iterable[Mapping[str, Any]]) -> Iterable[FieldFault]:
    """What pydantic found, without the values: they may be anything."""
    for one in found:
        name = ".".join(str(part) for part in one["loc"][1:])[:_SHOWN_NAME]
        yield FieldFault(field=name, reason=str(one["msg"]).removeprefix("Value error, "))
