"""GET /calibrations/current and what a match says of its calibration."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.domain.calibration_record import Source, purpose_of
from app.domain.profiles import REVIEW
from app.domain.trials import ViewPair
from app.main import create_app
from app.services.calibrate import calibrated
from tests.fakes import World, photo
from tests.fakes_calibrations import made_trials


@pytest.fixture
def world():
    made = World()
    made.survey()
    return made


@pytest.fixture
def client(world):
    with TestClient(create_app(world.services, Settings(_env_file=None))) as opened:
        yield opened


def calibrate(world):
    purpose = purpose_of(world.embedder.ensemble.manifest_sha256, REVIEW)
    trials = {ViewPair.ANY: made_trials(skill=3.0), ViewPair.SAME: made_trials(skill=3.0)}
    return world.calibrations.add(calibrated(trials, purpose, Source.CATALOGUE, "catalogue version 1", 1))


def ask(client, **fields):
    answer = client.post("/match", files={"image": ("w.png", photo(2, 9), "image/png")}, data=fields)
    assert answer.status_code == 200
    return answer.json()


def test_without_a_calibration_nothing_is_likely(world, client):
    """Null, not 0: and the current calibration is not found."""
    answer = ask(client)
    assert {one["probability_same"] for one in answer["candidates"]} == {None}
    assert (answer["probability_new"], answer["receipt"]["calibration"]) == (None, None)
    assert "`resight calibrate` makes one" in answer["receipt"]["no_probabilities"]
    missing = client.get("/calibrations/current")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_calibration")
    assert client.get("/calibrations/current", params={"profile": "none"}).status_code == 422


def test_a_calibration_speaks_in_every_answer(world, client):
    """Probabilities beside the scores; in the receipt whose animals, how large the error is and how far to look."""
    made = calibrate(world)
    answer = ask(client, viewpoint="top", group_by="individual")
    same = [one["probability_same"] for one in answer["candidates"]]
    assert same == sorted(same, reverse=True)
    assert all(0 < one < 1 for one in (*same, answer["probability_new"]))
    note = answer["receipt"]["calibration"]
    assert answer["receipt"]["no_probabilities"] is None
    assert (note["calibration_id"], note["source"], note["catalogue_version"]) == (made.calibration_id, "catalogue", 1)
    assert 0 <= note["error_same"] <= 1
    assert 0 <= note["error_new"] <= 1
    assert [sentence.split(" to miss")[0].split()[0] for sentence in note["meter"]] == ["Look", "Look"]


def test_the_current_calibration_shows_its_proof(world, client):
    """Reliability bins of every curve, and every figure of the meter, for a report to draw."""
    made = calibrate(world)
    shown = client.get("/calibrations/current").json()
    assert {(one["kind"], one["of"]) for one in shown["reliability"]} == {
        (kind, of) for kind in ("any", "same_view") for of in ("annotation", "individual", "new")
    }
    assert all(one["bins"] for one in shown["reliability"])
    assert len(shown["meter"]) == len(made.meter)
    world.calibrations.held[:] = []
    world.released.held[:] = [replace(made, calibration_id=0, source=Source.RELEASE, meter=())]
    shipped = client.get("/calibrations/current").json()
    assert (shipped["calibration_id"], shipped["source"], shipped["meter"]) == (None, "release", [])


def test_the_page_shows_probabilities(world, client):
    """The chance of each candidate, of a new animal, and how many candidates to look at."""
    upload = {"image": ("w.png", photo(2, 9), "image/png")}
    form = {"viewpoint": "top", "group_by": "individual"}
    before = client.post("/", files=upload, data=form).text
    assert "Same animal" not in before
    assert "no calibration fits" in before
    calibrate(world)
    page = client.post("/", files=upload, data=form).text
    assert "Same animal" in page
    assert "none of those searched" in page
    assert "to miss fewer than 2%" in page
    assert "fitted on catalogue version 1" in page


def test_a_calibration_is_asked_for_as_a_job(world, client):
    """202 with the address of its job, which fails with the command's sentence where animals are too few."""
    answer = client.post("/calibrations", data={"profile": "contest"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/jobs/{answer.json()['job_id']}"
    assert (answer.json()["kind"], answer.json()["arguments"]) == ("calibrate", {"profile": "contest", "after": 0})
    job = client.get(answer.headers["Location"]).json()
    assert job["state"] == "failed"
    assert "too few animals" in job["reason"]
    calibrate(world)
    assert client.post("/calibrations").json()["arguments"] == {"profile": "review", "after": 1}


def test_what_cannot_be_calibrated_is_refused(client):
    """A profile that is not known, or that reads photographs; a field too many, and one given twice."""
    for form in ({"profile": "none"}, {"profile": "verified"}, {"profile": ["review", "contest"]}, {"other": "1"}):
        refused = client.post("/calibrations", data=form)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input"), form


def test_calibrations_are_listed_and_looked_up(world, client):
    """Newest first in pages, with the error of each; any of them whole, in force or not."""
    for _ in range(3):
        calibrate(world)
    page = client.get("/calibrations", params={"limit": 2}).json()
    assert [one["calibration_id"] for one in page["calibrations"]] == [3, 2]
    assert 0 <= page["calibrations"][0]["error_same"] <= 1
    last = client.get(page["next"]).json()
    assert ([one["calibration_id"] for one in last["calibrations"]], last["next"]) == ([1], None)
    assert client.get("/calibrations/1").json()["calibration_id"] == 1
    missing = client.get("/calibrations/4")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_calibration")
