"""The description of the API: what FastAPI writes, with the one shape of failures that it does not know of."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.web.problems import MEDIA_TYPE, TABLE
from app.web.schemas import Problem

DESCRIPTION = """Photo-ID: a photograph in, a ranked and explained list of candidates out. The researcher decides.

Every failure is an `application/problem+json` document (RFC 9457); match on its `code`."""

TAGS = [
    {"name": "match", "description": "Find the annotations that look most like a photograph."},
    {"name": "catalogue", "description": "Individuals, annotations and pictures of them."},
    {"name": "curation", "description": "Edit, remove and restore annotations; their past."},
    {"name": "imports", "description": "Bring photographs with their sheet into the catalogue."},
    {"name": "jobs", "description": "Follow, pause, resume and cancel what runs beside the requests."},
    {"name": "evaluations", "description": "Measure the ranking on scenarios in the contest's format."},
    {"name": "calibrations", "description": "How honest the probabilities are, and how far to look."},
    {"name": "operations", "description": "Liveness, readiness, metrics, version."},
]


def install(app: FastAPI) -> None:
    """Let ``app`` describe itself, failures included."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    problem["properties"]["code"]["description"] = "One of " + ", ".join(sorted(kind.code for kind in TABLE))
    schemas["Problem"] = problem
    failure = {"$ref": "#/components/schemas/Problem"}
    for path in document["paths"].values():
        for operation in path.values():
            # Any route may meet a bug of ours; it answers without detail.
            content = {MEDIA_TYPE: {"schema": failure}}
            operation["responses"].setdefault("500", {"description": "A bug; it was logged", "content": content})
    return document
