"""Operations: whether the service lives, whether it can answer, what it has done, what it is."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.domain.errors import ModelUnavailable, Unavailable
from app.telemetry import exposition
from app.web import problems, shapes
from app.web.door import TheDoor, TheServices
from app.web.schemas import Alive, EnsembleAnswer, Ready, VersionAnswer

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Whether the server lives")
async def alive() -> Alive:
    """Answers from the event loop, so that it does so even when every thread is at work."""
    return Alive(status="alive")


@router.get(
    "/readyz", summary="Whether a match can be answered", response_model=Ready, responses=problems.declare(Unavailable)
)
def ready(door: TheDoor, request: Request) -> Ready | Response:
    """Asks catalogue, ensemble, index and storage; the 503 says in `parts` what each of them lacks."""
    readiness = door.services.health()
    door.upkeep.nudge()
    if readiness.ready:
        return Ready(**asdict(readiness))
    return problems.not_ready(asdict(readiness), request.url.path)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics() -> Response:
    """The text format of Prometheus."""
    content, media_type = exposition()
    return Response(content, media_type=media_type)


@router.get("/version", summary="What is running")
def running(services: TheServices) -> VersionAnswer:
    """The release, and the ensemble that computes vectors now."""
    return VersionAnswer(version=version("resight"), ensemble=_ensemble(services))


def _ensemble(services: TheServices) -> EnsembleAnswer | None:
    try:
        return shapes.ensemble_answer(services.match.embedder.ensemble)
    except ModelUnavailable:
        return None
