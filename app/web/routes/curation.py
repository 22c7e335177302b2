"""Curation: annotations are edited, removed and restored, and their past is told."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from app.domain import errors
from app.domain.curation import Signature
from app.domain.errors import InvalidInput
from app.services.curate import Outcome
from app.web import shapes_curation as shapes
from app.web.door import TheDoor, TheServices
from app.web.problems import declare
from app.web.routes.catalogue import AnnotationId
from app.web.schemas_curation import AnnotationEdit, ChangeAnswer, HistoryAnswer, Revision, Said, Signed

router = APIRouter(tags=["curation"])

IfMatch = Annotated[str | None, Header(max_length=40, description='The revision that was read, as in `ETag`: `"17"`.')]

_MAY_FAIL = declare(
    errors.UnknownAnnotation,
    errors.StaleRevision,
    errors.Conflict,
    errors.CatalogueUnavailable,
    errors.ModelUnavailable,
    errors.StorageFull,
    errors.Corrupt,
)
_STORED: dict[int | str, dict[str, Any]] = {
    202: {"model": ChangeAnswer, "description": "On disk, and not in the index yet: it follows by itself"}
}


def _asked(if_match: IfMatch = None, revision: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None) -> int | None:
    if if_match is None:
        return revision
    text = if_match.removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise InvalidInput('If-Match must be one revision in quotes, as in the ETag of the annotation: "17"')
    if revision not in {None, int(text)}:
        raise InvalidInput("If-Match and revision name different revisions")
    return int(text)


Asked = Annotated[int | None, Depends(_asked)]


@router.patch("/annotations/{annotation_id}", summary="Edit an annotation", responses={**_MAY_FAIL, **_STORED})
def edit(
    annotation_id: AnnotationId, body: AnnotationEdit, door: TheDoor, response: Response, asked: Asked
) -> ChangeAnswer:
    """Change viewpoint, date, individual, encounter or box; what is not sent stays as it is."""
    if not (changes := body.changes()):
        raise InvalidInput("nothing is to change: send at least one of viewpoint, date, individual, encounter and box")
    revision = _revision(asked, body.revision)
    outcome = door.services.curate.edit(annotation_id, changes, revision=revision, signature=body.signature())
    return _told(door, outcome, response)


@router.delete("/annotations/{annotation_id}", summary="Remove an annotation", responses={**_MAY_FAIL, **_STORED})
def remove(
    annotation_id: AnnotationId,
    door: TheDoor,
    response: Response,
    asked: Asked,
    actor: Annotated[Said | None, Query(description="Who removes it, recorded as said.")] = None,
    reason: Annotated[Said | None, Query(description="Why, recorded as said.")] = None,
) -> ChangeAnswer:
    """Take it out of the gallery; its photograph and its past are kept, and it can be restored."""
    revision = _revision(asked, None)
    outcome = door.services.curate.remove(annotation_id, revision=revision, signature=Signature(actor, reason))
    return _told(door, outcome, response)


@router.post(
    "/annotations/{annotation_id}/restore",
    summary="Bring a removed annotation back",
    responses={**_MAY_FAIL, **_STORED},
)
def restore(annotation_id: AnnotationId, body: Signed, door: TheDoor, response: Response, asked: Asked) -> ChangeAnswer:
    """As it was when it was removed."""
    revision = _revision(asked, body.revision)
    outcome = door.services.curate.restore(annotation_id, revision=revision, signature=body.signature())
    return _told(door, outcome, response)


@router.get(
    "/annotations/{annotation_id}/history",
    summary="Every change of an annotation",
    responses=declare(errors.UnknownAnnotation, errors.CatalogueUnavailable),
)
def history(annotation_id: AnnotationId, services: TheServices, response: Response) -> HistoryAnswer:
    """Oldest first; told of removed annotations too."""
    kept = services.curate.kept(annotation_id)
    response.headers["ETag"] = f'"{kept.revision}"'
    return shapes.history_answer(kept, services.curate.history(annotation_id))


def _revision(asked: int | None, said: Revision | None) -> int:
    if asked is None and said is None:
        raise InvalidInput("name the revision that you have read, as If-Match or revision: somebody may have edited it")
    if asked is not None and said is not None and asked != said:
        raise InvalidInput("If-Match and revision name different revisions")
    return asked if asked is not None else int(said or 0)


def _told(door: TheDoor, outcome: Outcome, response: Response) -> ChangeAnswer:
    if outcome.snapshot is None:
        response.status_code = 202
        door.upkeep.nudge()
    response.headers["ETag"] = f'"{outcome.annotation.revision}"'
    return shapes.change_answer(outcome)
