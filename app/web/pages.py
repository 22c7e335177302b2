"""The page for people: choose a photograph or a catalogued animal, see ranked candidates with their receipt."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.domain.catalogue import Viewpoint
from app.domain.errors import ResightError
from app.services.match import GroupBy, MatchRequest
from app.web import shapes
from app.web.door import Door, TheDoor
from app.web.forms import LONGEST_NAME, Id, MatchForm, no_repeats
from app.web.problems import TABLE
from app.web.schemas import IndividualAnswer, IndividualDetailAnswer, MatchAnswer

_LISTED = 40
_SHOWN = 60
# Source ids that the generator of synthetic surveys gives begin so: the page says what the catalogue is made of.
_SYNTHETIC = "synthetic"

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_environment = Environment(
    loader=PackageLoader("app.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class Page:
    """What one view of the page shows; the parts that are None are left out."""

    individuals: list[IndividualAnswer] = field(default_factory=list)
    next_after: str | None = None
    chosen: IndividualDetailAnswer | None = None
    answer: MatchAnswer | None = None
    query_picture: str | None = None
    query_annotation: int | None = None
    viewpoint: Viewpoint | None = None
    group_by: GroupBy = GroupBy.INDIVIDUAL
    own_encounter_left_out: bool = False
    trouble: str | None = None
    synthetic: bool = False

    def html(self, status: int = 200) -> HTMLResponse:
        """The page as a response; everything in it is escaped by the template engine."""
        template = _environment.get_template("page.html")
        text = template.render(page=self, viewpoints=list(Viewpoint), groups=list(GroupBy), shown=_SHOWN)
        return HTMLResponse(text, status)


@router.get("/")
def look(
    door: TheDoor,
    individual: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
    annotation_id: Annotated[Id | None, Query()] = None,
    exclude_own_encounter: Annotated[bool, Query()] = False,
    after: Annotated[str, Query(max_length=LONGEST_NAME)] = "",
) -> HTMLResponse:
    """The catalogue's individuals, one of them, or the match of a catalogued annotation."""
    if annotation_id is None:
        return _answered(door, None, after=after, individual=individual)
    return _answered(
        door,
        MatchRequest(
            annotation_id=annotation_id, without_own_encounter=exclude_own_encounter, group_by=GroupBy.INDIVIDUAL
        ),
        after=after,
    )


@router.post("/", dependencies=[Depends(no_repeats)], form_limits={"max_files": 4, "max_fields": 100})
def ask(form: Annotated[MatchForm, Form(media_type="multipart/form-data")], door: TheDoor) -> HTMLResponse:
    """The match of a photograph that was chosen on the page."""
    try:
        request = form.request()
    except ResightError as error:
        return Page(trouble=str(error)).html(TABLE[type(error)].status)
    return _answered(door, request)


def _answered(
    door: Door, request: MatchRequest | None, *, after: str = "", individual: str | None = None
) -> HTMLResponse:
    """The page with all its parts; a failure is told on it, with the status that a program would get."""
    try:
        return _page(door, request, after, individual).html()
    except ResightError as error:
        return Page(trouble=str(error)).html(TABLE[type(error)].status)


def _page(door: Door, request: MatchRequest | None, after: str, individual: str | None) -> Page:
    browse = door.services.browse
    found = browse.individuals(after=after, limit=_LISTED + 1)
    chosen = shapes.individual_detail(*browse.individual(individual)) if individual else None
    answer = shapes.match_answer(request, door.match(request)) if request else None
    first = browse.individual(found[0].name)[1][:1] if found else []
    pictured = [*first, *(chosen.seen if chosen else ()), *(answer.candidates if answer else ())]
    return Page(
        individuals=[shapes.individual_answer(one) for one in found[:_LISTED]],
        next_after=found[_LISTED - 1].name if len(found) > _LISTED else None,
        chosen=chosen,
        answer=answer,
        query_picture=_picture(door, request) if request else None,
        query_annotation=request.annotation_id if request else None,
        viewpoint=request.viewpoint if request else None,
        group_by=request.group_by if request else GroupBy.INDIVIDUAL,
        own_encounter_left_out=request.without_own_encounter if request else False,
        synthetic=any(one.source_id.startswith(_SYNTHETIC) for one in pictured),
    )


def _picture(door: Door, request: MatchRequest) -> str:
    """The query as an address of a picture: an upload is not stored, so it travels inside the page."""
    if request.photograph is None:
        return f"/annotations/{request.annotation_id}/thumbnail"
    return "data:image/jpeg;base64," + base64.b64encode(door.services.browse.preview(request.photograph)).decode()
