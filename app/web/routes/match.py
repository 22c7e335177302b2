"""Match: photographs or catalogued annotations of one animal to ranked candidates with their receipt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response

from app.domain import errors
from app.domain.question import MAX_PHOTOGRAPHS
from app.web import shapes
from app.web.door import TheDoor
from app.web.forms import MatchForm, no_repeats
from app.web.problems import declare
from app.web.schemas import MatchAnswer

router = APIRouter(tags=["match"])


@router.post(
    "/match",
    response_model=MatchAnswer,
    summary="Find the annotations that look most like a photograph",
    dependencies=[Depends(no_repeats)],
    form_limits={"max_files": MAX_PHOTOGRAPHS + 1, "max_fields": 1000},
    responses=declare(
        errors.BadImage,
        errors.BadFormat,
        errors.BadScope,
        errors.UnknownAnnotation,
        errors.UnknownIndividual,
        errors.TooLarge,
        errors.Overloaded,
        errors.ModelUnavailable,
        errors.IndexUnavailable,
        errors.CatalogueUnavailable,
        errors.Corrupt,
        errors.StorageFull,
    ),
)
def match(form: Annotated[MatchForm, Form(media_type="multipart/form-data")], door: TheDoor) -> Response:
    """Give `image` or `annotation_id`; several, up to 20 in all, are photographs of one animal.

    List fields may be repeated or separated by commas. Candidates are suggestions, best first; the researcher decides.
    The receipt says what was searched, with which versions. A failure is never an empty list.
    """
    # An answer of our own making is checked already: FastAPI would check it anew, and wait for another thread to do so.
    answer = shapes.match_answer(*door.match(form.request))
    return Response(answer.model_dump_json(), media_type="application/json")
