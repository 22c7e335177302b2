"""``resight calibrate`` as a person runs it, on everything that bootstrap wires."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli import app


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def met_often(tmp_path):
    """A survey of sixty made-up animals, in the catalogue."""
    folder = tmp_path / "met_often"
    run("survey", folder, "--individuals", 60, "--photographs", 240, "--longest", 48)
    run("import", folder)
    return folder


@pytest.mark.slow
def test_a_catalogue_is_calibrated(met_often):
    """The tables name error, bins and encounters; a match then shows probabilities, as does its JSON."""
    before = run("match", "--annotation", _first(met_often))
    assert "There are no probabilities: no calibration fits" in before
    printed = run("calibrate")
    assert "calibration error" in printed
    assert "same, by individual" in printed
    assert "figures of the meter are left out" in printed
    found = json.loads(run("match", "--annotation", _first(met_often), "--json"))
    same = [one["probability_same"] for one in found["candidates"]]
    assert all(0 < one < 1 for one in same)
    assert same == sorted(same, reverse=True)
    assert "Probabilities are fitted on catalogue version" in run("match", "--annotation", _first(met_often))
    again = json.loads(run("calibrate", "--profile", "cosine", "--json"))
    assert (again["calibration_id"], again["profile"]) == (2, "cosine")


def test_too_few_animals_are_told(survey):
    """A catalogue of a few animals gives a sentence, no table and no probability."""
    run("import", survey)
    problem = json.loads(run("calibrate", "--json", code=2))
    assert problem["code"] == "invalid_input"
    assert "too few animals" in problem["detail"]


def _first(folder) -> str:
    return (folder / "metadata.csv").read_text("utf-8").splitlines()[1].split(",")[0]
