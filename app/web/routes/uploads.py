"""Upload sessions: photographs come in one by one, many at a time, over a line that may break."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Form, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.domain import errors
from app.domain.ports_uploads import Receiver
from app.domain.uploads import Received, UploadSession, expected_digest
from app.services.bundle import Services
from app.services.upload import source_of
from app.web import shapes
from app.web.caller import TheCaller
from app.web.door import Door, TheDoor, TheServices
from app.web.forms import CommitForm
from app.web.problems import declare
from app.web.schemas import ImportAnswer, PlanAnswer
from app.web.schemas_uploads import ReceivedAnswer, UploadAnswer

router = APIRouter(tags=["imports"])

_PIECE = 1 << 20
_PAGE = 1_000
_FURTHEST = 2**31 - 1

UploadId = Annotated[str, Path(min_length=1, max_length=64)]
Sha256 = Annotated[str | None, Query(max_length=64, description="The SHA-256 that the bytes must have.")]
ContentDigest = Annotated[str | None, Header(max_length=1_000, description="Their digest: `sha-256=:base64:`.")]
_RECEIVES = declare(
    errors.BadDigest,
    errors.UnknownUpload,
    errors.UploadClosed,
    errors.TooLarge,
    errors.CatalogueUnavailable,
    errors.StorageFull,
)


@router.post(
    "/uploads",
    status_code=201,
    summary="Begin an upload session",
    responses=declare(errors.TooLarge, errors.CatalogueUnavailable, errors.StorageFull),
)
def create_upload(response: Response, services: TheServices) -> UploadAnswer:
    """Then send photographs and their sheet with PUT, in any order, and commit: that begins the import."""
    session = services.upload.create()
    response.headers["Location"] = f"/uploads/{session.upload_id}"
    return _answer(session, None, [], 0)


@router.get("/uploads/{upload_id}", summary="What an upload session holds", responses=declare(errors.UnknownUpload))
def upload_session(
    upload_id: UploadId,
    services: TheServices,
    after: Annotated[int, Query(ge=0, le=_FURTHEST, description="Leave out so many photographs.")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="How many photographs to list.")] = _PAGE,
) -> UploadAnswer:
    """After a broken line: what is listed is on disk, whatever is not must be sent again."""
    session = services.upload.session(upload_id)
    found = services.upload.received(upload_id, after, limit)
    return _answer(session, services.upload.begun(upload_id), found, after)


@router.put(
    "/uploads/{upload_id}/photographs/{path:path}",
    status_code=201,
    summary="Send a photograph to an upload session",
    responses=_RECEIVES,
)
async def put_photograph(
    request: Request,
    upload_id: UploadId,
    path: Annotated[str, Path(max_length=1_000)],
    services: TheServices,
    sha256: Sha256 = None,
    content_digest: ContentDigest = None,
) -> ReceivedAnswer:
    """`path` is what the sheet calls it. With a digest, by header or parameter, other bytes are refused.

    Sending it again replaces it. 201 means that it is on disk.
    """
    return await _received(request, services, upload_id, path, _expected(content_digest, sha256))


@router.put(
    "/uploads/{upload_id}/sheet", status_code=201, summary="Send the sheet of an upload session", responses=_RECEIVES
)
async def put_sheet(
    request: Request,
    upload_id: UploadId,
    services: TheServices,
    sha256: Sha256 = None,
    content_digest: ContentDigest = None,
) -> ReceivedAnswer:
    """As CSV; sending it again replaces it."""
    return await _received(request, services, upload_id, None, _expected(content_digest, sha256))


@router.post(
    "/uploads/{upload_id}/commit",
    status_code=202,
    summary="Import what an upload session holds",
    response_model=ImportAnswer,
    responses={
        200: {"model": PlanAnswer, "description": "A dry run without fault; nothing was written"},
        **declare(
            errors.BadRows,
            errors.Overloaded,
            errors.BadArchive,
            errors.UnknownUpload,
            errors.SpaceMismatch,
            errors.ModelUnavailable,
            errors.CatalogueUnavailable,
            errors.StorageFull,
        ),
    },
)
def commit_upload(
    upload_id: UploadId, form: Annotated[CommitForm, Form()], door: TheDoor, caller: TheCaller, response: Response
) -> ImportAnswer | Response:
    """As `POST /imports`; a session with faults stays open and can be mended. Again, it answers the same import.

    Where that import has failed and the photographs are still there, another one begins.
    """
    services = door.services
    request, begun = services.upload.request(upload_id), services.upload.begun(upload_id)
    if request or begun is None:
        progress = caller.stays if form.dry_run else None
        plan = services.planning.plan(source_of(upload_id), form.format, progress)
        if form.dry_run:
            answer = shapes.plan_answer(plan, services.planning.try_out(plan, progress))
            return JSONResponse(answer.model_dump(mode="json"))
        begun = services.planning.begin(plan, request)
    return _accepted(begun, door, response)


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Forget an upload session",
    responses=declare(errors.UnknownUpload, errors.UploadClosed),
)
def remove_upload(upload_id: UploadId, services: TheServices) -> None:
    """With all that it holds; what its import has stored in the catalogue stays there."""
    services.upload.remove(upload_id)


def _accepted(import_id: int, door: Door, response: Response) -> ImportAnswer:
    job = door.upkeep.enqueue_import(import_id)
    response.headers["Location"] = f"/imports/{import_id}"
    report = door.services.ingest.report(import_id)
    return shapes.import_answer(report, job, door.services.duplicates.of_import(report))


def _expected(header: str | None, query: str | None) -> str | None:
    try:
        return expected_digest(header, query)
    except ValueError as error:
        raise errors.InvalidInput(str(error)) from error


async def _received(
    request: Request, services: Services, upload_id: str, path: str | None, expected: str | None
) -> ReceivedAnswer:
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else None
    receiver = await run_in_threadpool(services.upload.receive, upload_id, path, expected, size)
    async with _aborted(receiver):
        waiting = bytearray()
        try:
            async for piece in request.stream():
                waiting += piece
                if len(waiting) >= _PIECE:
                    await run_in_threadpool(receiver.write, bytes(waiting))
                    waiting.clear()
        except ClientDisconnect as error:
            raise errors.InvalidInput("the line broke before the file was whole") from error
        await run_in_threadpool(receiver.write, bytes(waiting))
        return _one(await run_in_threadpool(receiver.finish))


@asynccontextmanager
async def _aborted(receiver: Receiver) -> AsyncIterator[None]:
    """Whatever ends the taking in of a file leaves nothing half behind."""
    try:
        yield
    finally:
        # In this thread: a request that was cut off is cancelled, and could not wait for another one.
        receiver.abort()


def _answer(session: UploadSession, import_id: int | None, found: list[Received], after: int) -> UploadAnswer:
    behind = after + len(found)
    more = found and behind < session.photographs
    return UploadAnswer(
        upload_id=session.upload_id,
        created=session.created,
        expires=session.expires,
        photographs=session.photographs,
        size=session.size,
        sheet=_one(session.sheet) if session.sheet else None,
        import_id=import_id,
        received=[_one(received) for received in found],
        next=f"/uploads/{session.upload_id}?after={behind}&limit={len(found)}" if more else None,
    )


def _one(received: Received) -> ReceivedAnswer:
    return ReceivedAnswer(path=received.path, sha256=received.sha256, size=received.size)
