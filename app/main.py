"""The HTTP service: middleware, routes, lifespan; nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from app.config import Settings
from app.services.bundle import Services
from app.web import openapi, pages, problems
from app.web.access import Access
from app.web.door import Door
from app.web.limits import Admission, BodyLimit, Limits, Places
from app.web.routes import calibrations, catalogue, curation, evaluations, imports, jobs, match, operations, uploads
from app.web.upkeep import Upkeep

_STATIC = Path(__file__).parent / "web" / "static"
# Threads beyond those of admitted matches, so that browsing and readiness never wait behind them.
_SPARE_THREADS = 8
# What the fields of a form may take beside its photograph, in bytes.
_FIELDS = 65_536
# The photographs of one question may weigh as much together as so many of the largest.
_TOGETHER = 4
# A pack of scenarios, as a ZIP of csv files, in bytes.
_PACK = 100_000_000
# Photographs that may come in for each place of a match: a slow line costs memory and disk, but no place.
_READING = 8


def create_app(services: Services, settings: Settings) -> FastAPI:
    """The application over wired services; it owns ``services.jobs`` from its start to its stop."""
    limits = _limits(settings)
    door = Door(services, Upkeep(services), Places(limits))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = limits.in_flight + _SPARE_THREADS
        if settings.jobs == "service":
            services.jobs.start(services.works)
        door.upkeep.start()
        yield
        await anyio.to_thread.run_sync(services.jobs.close)
        await anyio.to_thread.run_sync(door.upkeep.close)

    app = FastAPI(
        title="Resight",
        version=version("resight"),
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        docs_url=None,  # the interactive pages load their scripts from another site
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.door = door
    problems.install(app)
    openapi.install(app)
    for part in (match, calibrations, catalogue, curation, evaluations, imports, jobs, uploads, operations, pages):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Admission, limits=limits, places=door.places)
    app.add_middleware(Access)
    return app


def _limits(settings: Settings) -> Limits:
    question = _TOGETHER * settings.max_image_bytes + _FIELDS
    return Limits(
        bodies={
            "/match": question,
            "/": question,
            "/imports": settings.max_archive_bytes,
            "/evaluations": _PACK,
        },
        below={"/uploads/": max(settings.max_image_bytes, settings.max_sheet_bytes)},
        matching=frozenset({"/match", "/"}),
        in_flight=settings.max_waiting,
        at_work=settings.threads or os.cpu_count() or 1,
        reading=settings.max_waiting * _READING,
    )
