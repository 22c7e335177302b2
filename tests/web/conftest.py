"""A service on fakes, and a client of it that is told of a bug as any client is: by a 500."""

from collections.abc import Iterator

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.config import Settings
from app.main import create_app
from app.telemetry import set_up_logging
from tests.fakes import World


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """The log of the service, since the library's own default prints every local variable of a bug."""
    set_up_logging(as_json=True)
    yield
    structlog.reset_defaults()


@pytest.fixture
def world() -> World:
    """Four whales, three photographs of each."""
    made = World()
    made.survey()
    return made


@pytest.fixture
def app(world: World) -> FastAPI:
    return create_app(world.services, Settings(_env_file=None, max_image_bytes=300_000, max_archive_bytes=500_000))


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened
