"""Catalogue: individuals, annotations and pictures of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response

from app.domain import errors
from app.web import shapes
from app.web.door import TheServices
from app.web.forms import LARGEST_ID, LONGEST_NAME
from app.web.problems import declare
from app.web.schemas import IndividualDetailAnswer, IndividualsAnswer
from app.web.schemas_curation import AnnotationDetailAnswer
from app.web.shapes_curation import detail_answer

router = APIRouter(tags=["catalogue"])

AnnotationId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class Jpeg(Response):
    """A picture without metadata."""

    media_type = "image/jpeg"


# Originals never change, so a browser may keep what was made of them.
_KEPT = {"Cache-Control": "private, max-age=86400"}


@router.get("/individuals", summary="Individuals by name", responses=declare(errors.CatalogueUnavailable))
def individuals(
    services: TheServices,
    after: Annotated[str, Query(max_length=LONGEST_NAME, description="The last name of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many.")] = 100,
) -> IndividualsAnswer:
    """A page; `next` is the address of the page that follows, null on the last one."""
    # One more than asked for tells whether there is another page.
    found = services.browse.individuals(after=after, limit=limit + 1)
    more = urlencode({"after": found[limit - 1].name, "limit": limit}) if len(found) > limit else None
    return IndividualsAnswer(
        individuals=[shapes.individual_answer(individual) for individual in found[:limit]],
        next=f"/individuals?{more}" if more else None,
    )


@router.get(
    "/individuals/{name}",
    summary="One individual with its annotations",
    responses=declare(errors.UnknownIndividual, errors.CatalogueUnavailable),
)
def individual(name: Annotated[str, Path(max_length=LONGEST_NAME)], services: TheServices) -> IndividualDetailAnswer:
    """Its annotations come by date, the undated ones last."""
    return shapes.individual_detail(*services.browse.individual(name))


@router.get(
    "/annotations/{annotation_id}",
    summary="One annotation",
    responses=declare(errors.UnknownAnnotation, errors.CatalogueUnavailable),
)
def annotation(annotation_id: AnnotationId, services: TheServices, response: Response) -> AnnotationDetailAnswer:
    """Who, when, from which side, and where to see it; `ETag` is its revision."""
    found = services.browse.annotation(annotation_id)
    response.headers["ETag"] = f'"{found.revision}"'
    return detail_answer(found, services.duplicates.near(annotation_id))


@router.get(
    "/annotations/{annotation_id}/thumbnail",
    summary="A small picture of one annotation",
    response_class=Jpeg,
    responses=declare(errors.UnknownAnnotation, errors.CatalogueUnavailable, errors.Corrupt),
)
def thumbnail(annotation_id: AnnotationId, services: TheServices) -> Jpeg:
    """A JPEG of the annotation's box, at most 320 pixels on its longest side, without metadata."""
    return Jpeg(services.browse.thumbnail(annotation_id), headers=_KEPT)


@router.get(
    "/images/{sha256}",
    summary="A large picture of one image",
    response_class=Jpeg,
    responses=declare(errors.UnknownImage, errors.CatalogueUnavailable, errors.Corrupt),
)
def image(sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], services: TheServices) -> Jpeg:
    """A JPEG of the whole image, at most 2,048 pixels on its longest side, without metadata."""
    return Jpeg(services.browse.rendition(sha256), headers=_KEPT)
