"""Liveness, readiness, metrics and version."""

import structlog


def test_the_server_lives_whatever_its_parts_do(client, world):
    """Liveness asks nobody."""
    world.embedder.broken = "damaged"
    world.index._current = None
    assert client.get("/healthz").json() == {"status": "alive"}


def test_ready_when_every_part_is(client):
    """200 and ok for each part."""
    assert client.get("/readyz").json() == {"catalogue": "ok", "ensemble": "ok", "index": "ok", "storage": "ok"}


def test_not_ready_says_which_part_lacks_what(client, world):
    """503, a problem with the state of each part."""
    world.embedder.broken = "member 'coarse' is damaged"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["parts"]["ensemble"] == "member 'coarse' is damaged"
    assert answer.json()["parts"]["catalogue"] == "ok"
    assert "ensemble: member 'coarse' is damaged" in answer.json()["detail"]


def test_requests_are_counted_by_route(client):
    """By the template of the address, so that names of animals are no labels."""
    client.get("/individuals/whale2")
    client.request("BREW", "/coffee")
    text = client.get("/metrics").text
    assert 'route="/individuals/{name}",status="200"' in text
    assert 'method="other",route="unrouted"' in text
    assert "whale2" not in text
    assert "resight_match_stage_seconds" in text


def test_a_request_is_one_line_without_its_address(client):
    """The log tells method, route, status and time, not what was asked for."""
    with structlog.testing.capture_logs() as lines:
        client.get("/individuals/whale2?secret=1")
    assert len(lines) == 1
    assert lines[0].keys() == {"event", "log_level", "method", "route", "status", "ms"}
    assert (lines[0]["route"], lines[0]["status"]) == ("/individuals/{name}", 200)


def test_the_version_names_the_ensemble(client, world):
    """Null while there is none."""
    answer = client.get("/version").json()
    assert answer["ensemble"]["name"] == "grids"
    world.embedder.broken = "damaged"
    assert client.get("/version").json() == {"version": answer["version"], "ensemble": None}
