"""The page for people: choose a photograph or a catalogued animal, see ranked candidates with their receipt."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput, ResightError
from app.domain.odds import percent
from app.domain.partition import Scope
from app.domain.profiles import CONTEST, COSINE, MATCHING, REVIEW, VERIFIED, Verify
from app.domain.question import MAX_PHOTOGRAPHS, GroupBy, MatchRequest
from app.domain.survey import SYNTHETIC
from app.web import problems, shapes
from app.web.door import Door, TheDoor
from app.web.forms import LONGEST_NAME, Id, MatchForm, ProfileName, Viewpoints, no_repeats
from app.web.schemas import IndividualAnswer, IndividualDetailAnswer, MatchAnswer

_LISTED = 40
_SHOWN = 60
# A picture of an upload is decoded for the page alone.
_PICTURED = 4

_TOLD = {
    REVIEW.name: "each encounter once: the fewest missed matches",
    CONTEST.name: "each photograph by itself, moved towards its neighbours: the contest's measure",
    COSINE.name: "each photograph by itself, by likeness alone",
    VERIFIED.name: "as review, and the marks of the first 25 compared one by one: slower",
}
_OWN = "a profile of your own"

_environment = Environment(
    loader=PackageLoader("app.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_environment.filters["percent"] = percent


@dataclass(frozen=True, slots=True)
class Page:
    """What one view of the page shows; the parts that are None are left out.

    ``profiles`` says in a few words what each profile that can be chosen does; ``profile`` is the chosen one.
    ``individuals`` is None while the catalogue does not answer: that is not an empty one.
    """

    individuals: list[IndividualAnswer] | None = None
    next_after: str | None = None
    chosen: IndividualDetailAnswer | None = None
    answer: MatchAnswer | None = None
    query_pictures: tuple[str, ...] = ()
    query_annotation: int | None = None
    profiles: Mapping[str, str] = field(default_factory=dict)
    profile: str = REVIEW.name
    viewpoint: Viewpoint | None = None
    group_by: GroupBy = GroupBy.INDIVIDUAL
    own_encounter_left_out: bool = False
    searched: tuple[Viewpoint, ...] | None = None
    trouble: str | None = None
    synthetic: bool = False

    def html(self, status: int = 200) -> HTMLResponse:
        """The page as a response; everything in it is escaped by the template engine."""
        template = _environment.get_template("page.html")
        text = template.render(page=self, viewpoints=list(Viewpoint), groups=list(GroupBy), shown=_SHOWN)
        return HTMLResponse(text, status)


class PageRoute(APIRoute):
    """A route for people: what is wrong with a request is told on the page, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                trouble: ResightError = InvalidInput(problems.sentence(error))
            except ResightError as error:
                trouble = error
            return await run_in_threadpool(_troubled, request.app.state.door, trouble)

        return told


router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, route_class=PageRoute)


@router.get("/")
def look(
    door: TheDoor,
    individual: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
    annotation_id: Annotated[Id | None, Query()] = None,
    exclude_own_encounter: Annotated[bool, Query()] = False,
    viewpoints: Annotated[Viewpoints | None, Query()] = None,
    profile: Annotated[ProfileName, Query()] = REVIEW.name,
    after: Annotated[str, Query(max_length=LONGEST_NAME)] = "",
) -> HTMLResponse:
    """The catalogue's individuals, one of them, or the match of a catalogued annotation."""
    if annotation_id is None:
        return _page(door, None, after, individual).html()
    request = MatchRequest(
        annotation_ids=(annotation_id,),
        scope=Scope(viewpoints=frozenset(viewpoints or Viewpoint)),
        without_own_encounter=exclude_own_encounter,
        group_by=GroupBy.INDIVIDUAL,
        profile=MATCHING[profile],
    )
    return _page(door, lambda: request, after).html()


@router.post("/", dependencies=[Depends(no_repeats)], form_limits={"max_files": MAX_PHOTOGRAPHS + 1, "max_fields": 100})
def ask(form: Annotated[MatchForm, Form(media_type="multipart/form-data")], door: TheDoor) -> HTMLResponse:
    """The match of the photographs that were chosen on the page."""
    return _page(door, form.request).html()


def _troubled(door: Door, trouble: ResightError) -> HTMLResponse:
    """The page with a sentence, with the status that a program would get, and with the list where there can be one."""
    page = Page(profiles=_profiles(door))
    with suppress(ResightError):
        page = _list(door)
    return replace(page, trouble=str(trouble)).html(problems.TABLE[type(trouble)].status)


def _list(door: Door, after: str = "") -> Page:
    browse = door.services.browse
    found = browse.individuals(after=after, limit=_LISTED + 1)
    first = browse.individual(found[0].name)[1][:1] if found else []
    return Page(
        individuals=[shapes.individual_answer(one) for one in found[:_LISTED]],
        profiles=_profiles(door),
        next_after=found[_LISTED - 1].name if len(found) > _LISTED else None,
        synthetic=any(one.source_id.startswith(SYNTHETIC) for one in first),
    )


def _page(door: Door, asked: Callable[[], MatchRequest] | None, after: str = "", individual: str | None = None) -> Page:
    page = _list(door, after)
    if individual:
        page = replace(page, chosen=shapes.individual_detail(*door.services.browse.individual(individual)))
    if asked:
        request, result = door.match(asked)
        page = replace(
            page,
            answer=shapes.match_answer(request, result),
            query_pictures=_pictures(door, request),
            query_annotation=request.annotation_ids[0] if request.annotation_ids else None,
            viewpoint=request.viewpoint_of(0),
            group_by=request.group_by,
            profile=request.profile.name,
            own_encounter_left_out=request.without_own_encounter,
            searched=tuple(sorted(request.scope.viewpoints)),
        )
    shown = [*(page.chosen.seen if page.chosen else ()), *(page.answer.candidates if page.answer else ())]
    return replace(page, synthetic=page.synthetic or any(one.source_id.startswith(SYNTHETIC) for one in shown))


def _profiles(door: Door) -> dict[str, str]:
    """The profiles that can be used here, and what each of them does."""
    installed = door.services.match.vet.installed
    return {name: _TOLD.get(name, _OWN) for name, one in MATCHING.items() if installed or one.stage(Verify) is None}


def _pictures(door: Door, request: MatchRequest) -> tuple[str, ...]:
    """The first queries as addresses of pictures: an upload is not stored, so it travels inside the page."""
    previews = (door.services.browse.preview(content) for content in request.photographs[:_PICTURED])
    sent = ["data:image/jpeg;base64," + base64.b64encode(preview).decode() for preview in previews]
    return (*sent, *(f"/annotations/{number}/thumbnail" for number in request.annotation_ids))
