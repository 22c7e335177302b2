"""Evaluations over HTTP: checked in the request, worked off beside it, fetched with safe headers."""

import pytest

from app.domain.scenario import Query, Scenario, ScenarioPack

ARCHIVE = b"PK of scenarios"


@pytest.fixture
def pack(world):
    """Two photographs of different whales against everything, each with its matches."""
    ids = tuple(f"image{row:03}" for row in range(2, 14))
    scenario = Scenario("s", (Query("a", ids[0]), Query("b", ids[3])), ids)
    found = ScenarioPack((scenario,), {"a": frozenset(ids[1:3]), "b": frozenset(ids[4:6])})
    world.sources.packs |= {ARCHIVE: found, "summer": found}
    return found


def post(client, **fields):
    return client.post("/evaluations", files={"archive": ("scenarios.zip", ARCHIVE)}, data=fields)


def test_a_pack_is_accepted_and_worked_off(client, world, pack):
    """202 with the address of the evaluation; in the end scores and three documents."""
    world.jobs.held = True
    answer = post(client, profile="cosine", name="June")
    begun = answer.json()
    assert (answer.status_code, begun["state"], begun["progress"]) == (202, "waiting", 0)
    assert (begun["name"], begun["scores"], begun["documents"]) == ("June", None, {})
    address = answer.headers["location"]
    assert client.get(f"{address}/report.html").status_code == 409
    world.jobs.release()
    done = client.get(address).json()
    assert (done["state"], done["progress"], done["reason"]) == ("done", 1, None)
    assert done["pins"]["profile"] == "cosine"
    assert [one["scenario"] for one in done["scores"]] == ["s", "pooled"]
    assert done["scores"][-1]["score"]["map20"] == pytest.approx(1)
    assert done["scores"][-1]["score"]["intervals"]["map20"]["low"] <= 1
    assert client.get("/evaluations").json()["evaluations"] == [done]
    scores = client.get(done["documents"]["scores.json"])
    assert (scores.status_code, scores.headers["content-type"]) == (200, "application/json")
    assert scores.headers["content-disposition"] == 'attachment; filename="scores.json"'


def test_a_report_is_served_in_a_sandbox(client, pack):
    """It may bring style and pictures, never a script, and no page may frame it."""
    report = client.get(post(client).headers["location"] + "/report.html")
    policy = report.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert report.headers["x-content-type-options"] == "nosniff"
    assert report.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("fields", [{"folder": "summer"}, {"scenarios": "built"}])
def test_packs_come_from_folders_and_from_the_catalogue(client, pack, fields):
    """By name under the import root, or built; kinds that cannot be filled are told."""
    answer = client.post("/evaluations", data=fields).json()
    assert (answer["name"], answer["state"]) == (next(iter(fields.values())), "done")
    assert bool(answer["unfilled"]) == ("scenarios" in fields)


def test_a_stored_pack_is_asked_again_and_compared(client, world, pack):
    """The same pins, the same scores, and no difference."""
    first = post(client).json()
    again = client.post("/evaluations", data={"stored": first["evaluation_id"], "against": first["evaluation_id"]})
    assert (again.json()["scores"], again.json()["pins"]) == (first["scores"], first["pins"])
    assert world.reports.reports[-1].comparison.right[-1].mean == 0


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({}, 422, "invalid_input"),
        ({"folder": "summer", "scenarios": "built"}, 422, "invalid_input"),
        ({"scenarios": "drawn"}, 422, "invalid_input"),
        ({"folder": "summer", "profile": "best"}, 422, "invalid_input"),
        ({"folder": "winter"}, 403, "not_allowed"),
        ({"stored": "nobody"}, 404, "unknown_evaluation"),
        ({"folder": "summer", "against": "nobody"}, 404, "unknown_evaluation"),
        ({"folder": "summer", "stored": "../x"}, 422, "invalid_input"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(client, pack, data, status, code):
    """And nothing is recorded."""
    answer = client.post("/evaluations", data=data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert client.get("/evaluations").json() == {"evaluations": [], "next": None}


def test_a_broken_archive_and_a_foreign_pack_are_refused(client, world, pack):
    """422 with the fault."""
    assert client.post("/evaluations", files={"archive": ("x.zip", b"?")}).json()["code"] == "bad_archive"
    world.sources.packs["summer"] = ScenarioPack((Scenario("s", (Query("a", "ghost"),), ("image002",)),))
    foreign = client.post("/evaluations", data={"folder": "summer"}).json()
    assert (foreign["code"], "'ghost'" in foreign["detail"]) == ("bad_scenario", True)


def test_what_is_not_there_is_not_found(client):
    """Unknown evaluations and unknown documents."""
    assert client.get("/evaluations/nobody").json()["code"] == "unknown_evaluation"
    assert client.get("/evaluations/nobody/scores.json").json()["code"] == "unknown_evaluation"
    assert client.get("/evaluations/nobody/secrets.txt").status_code == 422


def test_an_evaluation_of_the_command_line_is_shown_too(client, world, pack):
    """It has no job; one whose job is forgotten is told by its own folder."""
    from app.services.evaluate_work import Wanted

    evaluate = world.services.evaluate
    run_id = evaluate.begin(pack, Wanted(profile="cosine"))
    waiting = client.get(f"/evaluations/{run_id}").json()
    assert (waiting["state"], waiting["job"]) == ("waiting", None)
    evaluate.accept(run_id, "forgotten")
    evaluate.run(run_id)
    assert client.get(f"/evaluations/{run_id}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("request.json", "{}"),
        ("request.json", '{"name": 5, "unfilled": [], "scenarios": 1}'),
        ("summary.json", '{"pins": {}, "scores": []}'),
        ("job.json", "[]"),
    ],
)
def test_an_odd_run_does_not_hide_the_others(client, world, pack, name, content):
    """The list and the run itself answer 200: an odd one has failed, with the reason."""
    post(client, name="good")
    odd = post(client).json()["evaluation_id"]
    world.runs.put(odd, name, content.encode())
    if name == "summary.json":
        world.runs.put(odd, "scores.json", b"{}")
    found = client.get("/evaluations")
    assert found.status_code == 200
    first, second = found.json()["evaluations"]
    assert (first["state"], second["state"], second["name"]) == ("failed", "done", "good")
    assert "cannot be read" in first["reason"] or "none of an evaluation" in first["reason"]
    assert client.get(f"/evaluations/{odd}").json() == first


def test_evaluations_come_in_pages(client, pack):
    """Newest first; the next page's address leads on, and is null at the end."""
    ids = [post(client).json()["evaluation_id"] for _ in range(3)]
    page = client.get("/evaluations", params={"limit": 2}).json()
    rest = client.get(page["next"]).json()
    assert [one["evaluation_id"] for one in [*page["evaluations"], *rest["evaluations"]]] == ids[::-1]
    assert rest["next"] is None
