"""The wired product on a tiny ensemble: real database, index, originals and ONNX, on a small synthetic survey."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.bootstrap import make_survey
from app.domain.survey import SurveyPlan
from tests.tiny_ensemble import build_tiny_ensemble

PHOTOGRAPHS = 64


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Five made-up animals in ten encounters over two years."""
    folder = tmp_path_factory.mktemp("drawn") / "survey"
    for _ in make_survey(SurveyPlan(individuals=5, photographs=PHOTOGRAPHS, years=2, longest=64), folder):
        pass
    return folder


@pytest.fixture
def survey(drawn, tmp_path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(drawn, tmp_path / "survey")


@pytest.fixture(autouse=True)
def _tiny(tmp_path, monkeypatch) -> Iterator[None]:
    """Every command of a test runs on the tiny ensemble, in a folder without a .env file."""
    monkeypatch.setenv("RESIGHT_ENSEMBLE", str(build_tiny_ensemble(tmp_path / "tiny")))
    monkeypatch.setenv("RESIGHT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RESIGHT_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    yield
    structlog.reset_defaults()
