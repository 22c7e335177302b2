"""One shape of failure, on every route and for every error."""

import re

import pytest
from fastapi.routing import APIRoute

from app.domain import errors
from app.domain.errors import ResightError
from app.web.problems import HTTP, TABLE

FIELDS = {"type", "title", "status", "detail", "code", "instance"}


def descendants(kind: type[ResightError]) -> set[type[ResightError]]:
    return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))


def assert_problem(answer, status: int, code: str) -> None:
    """The one shape, with nothing of a stack trace or a path in it."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() - {"faults", "total", "errors", "parts"} == FIELDS
    assert (answer.status_code, problem["status"]) == (status, status)
    assert (problem["code"], problem["type"]) == (code, f"urn:resight:problem:{code}")
    assert problem["instance"] == answer.request.url.path
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"Traceback|\.py|site-packages", answer.text)


def test_every_error_has_its_row():
    """The table holds the whole tree, and every code is used once."""
    assert TABLE.keys() == descendants(ResightError)
    codes = [kind.code for kind in TABLE] + [code for code, _ in HTTP.values()]
    assert len(set(codes)) == len(codes)


def test_a_child_is_no_milder_than_its_family():
    """Whoever only knows the family's status class is not misled by a child."""
    for kind, row in TABLE.items():
        for child in kind.__subclasses__():
            if kind not in {ResightError, errors.LimitReached}:
                assert TABLE[child].status // 100 == row.status // 100


ANNOTATION = {"data": {"annotation_id": "1"}}
CALLS = {
    ("POST", "/match"): ("/match", ANNOTATION),
    ("GET", "/individuals"): ("/individuals", {}),
    ("GET", "/individuals/{name}"): ("/individuals/whale1", {}),
    ("GET", "/annotations/{annotation_id}"): ("/annotations/1", {}),
    ("PATCH", "/annotations/{annotation_id}"): ("/annotations/1", {"json": {"revision": 0, "viewpoint": "left"}}),
    ("DELETE", "/annotations/{annotation_id}"): ("/annotations/1?revision=0", {}),
    ("POST", "/annotations/{annotation_id}/restore"): ("/annotations/1/restore", {"json": {"revision": 0}}),
    ("GET", "/annotations/{annotation_id}/history"): ("/annotations/1/history", {}),
    ("GET", "/annotations/{annotation_id}/thumbnail"): ("/annotations/1/thumbnail", {}),
    ("GET", "/images/{sha256}"): ("/images/" + "0" * 64, {}),
    ("POST", "/imports"): ("/imports", {"data": {"folder": "survey"}}),
    ("GET", "/imports/{import_id}"): ("/imports/1", {}),
    ("POST", "/uploads"): ("/uploads", {}),
    ("GET", "/uploads/{upload_id}"): ("/uploads/s1", {}),
    ("DELETE", "/uploads/{upload_id}"): ("/uploads/s1", {}),
    ("PUT", "/uploads/{upload_id}/sheet"): ("/uploads/s1/sheet", {"content": b"x"}),
    ("PUT", "/uploads/{upload_id}/photographs/{path}"): ("/uploads/s1/photographs/a.jpg", {"content": b"x"}),
    ("POST", "/uploads/{upload_id}/commit"): ("/uploads/s1/commit", {}),
    ("GET", "/jobs"): ("/jobs", {}),
    ("GET", "/jobs/{job_id}"): ("/jobs/j1", {}),
    ("GET", "/jobs/{job_id}/events"): ("/jobs/j1/events", {}),
    ("POST", "/jobs/{job_id}/pause"): ("/jobs/j1/pause", {}),
    ("POST", "/jobs/{job_id}/resume"): ("/jobs/j1/resume", {}),
    ("POST", "/jobs/{job_id}/cancel"): ("/jobs/j1/cancel", {}),
    ("GET", "/evaluations"): ("/evaluations", {}),
    ("POST", "/evaluations"): ("/evaluations", {"files": {"archive": ("pack.zip", b"x")}}),
    ("GET", "/evaluations/{evaluation_id}"): ("/evaluations/e1", {}),
    ("GET", "/evaluations/{evaluation_id}/{document}"): ("/evaluations/e1/report.html", {}),
    ("POST", "/calibrations"): ("/calibrations", {}),
    ("GET", "/calibrations"): ("/calibrations", {}),
    ("GET", "/calibrations/{calibration_id}"): ("/calibrations/1", {}),
    ("GET", "/calibrations/current"): ("/calibrations/current", {}),
    ("GET", "/readyz"): ("/readyz", {}),
    ("GET", "/version"): ("/version", {}),
}
# These ask no port, so nothing that a port raises can reach them.
ALONE = {("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/openapi.json")}
# A page tells a failure to a person, with the same status.
PAGES = {("GET", "/"), ("POST", "/")}


@pytest.fixture
def broken(world, monkeypatch):
    """Let every call of a port that a route asks first raise one error."""

    def break_with(error: Exception) -> None:
        def fail(*_args, **_kwargs):
            raise error

        for port in (world.catalogue, world.calibrations, world.jobs, world.runs, world.sources, world.sessions):
            for name in [name for name in dir(port) if not name.startswith("_") and callable(getattr(port, name))]:
                monkeypatch.setattr(port, name, fail)
        monkeypatch.setattr(type(world.sheets), "open", fail)
        monkeypatch.setattr(type(world.embedder), "ensemble", property(fail))
        # The service itself must still be able to end.
        monkeypatch.setattr(world.jobs, "close", lambda: None)

    return break_with


def test_every_route_is_called_here(app):
    """A route that is added must be added to these tests."""
    paths = {(method.upper(), path) for path, found in app.openapi()["paths"].items() for method in found}
    assert paths == CALLS.keys() | ALONE - {("GET", "/openapi.json")}


@pytest.mark.parametrize("call", CALLS)
def test_every_route_tells_a_failure_in_the_one_shape(client, broken, call):
    """An error that a port raises becomes the problem of its row."""
    broken(errors.CatalogueUnavailable("the database does not answer"))
    address, given = CALLS[call]
    answer = client.request(call[0], address, **given)
    assert_problem(answer, 503, "unavailable" if address == "/readyz" else "catalogue_unavailable")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("call", CALLS)
def test_a_bug_is_told_without_detail(client, broken, call):
    """Whatever is no ResightError is a 500 that says nothing of the inside."""
    broken(RuntimeError("/secret/path of a stack"))
    address, given = CALLS[call]
    answer = client.request(call[0], address, **given)
    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text


@pytest.mark.parametrize("kind", TABLE)
def test_every_error_is_answered_by_its_row(client, world, monkeypatch, kind):
    """Status and Retry-After are those of the table."""
    error = errors.BadRows([errors.Fault(2, "path", "missing")]) if kind is errors.BadRows else kind("told")

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(world.catalogue, "annotation", fail)
    answer = client.get("/annotations/1")
    assert_problem(answer, TABLE[kind].status, kind.code)
    assert answer.headers.get("retry-after") == (
        None if TABLE[kind].retry_after is None else str(TABLE[kind].retry_after)
    )


def test_an_unrouted_address_is_told_in_the_one_shape(client):
    """404, also below an address that exists."""
    for address in ("/nope", "/match/more", "/individuals/a/b", "/docs", "/redoc", "/static/nope.css"):
        assert_problem(client.get(address), 404, "no_route")


def test_a_wrong_method_is_told_with_the_right_ones(client):
    """405 with Allow."""
    answer = client.put("/match")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_an_unusable_field_is_named_without_its_value(client):
    """The value may be anything, so it is not repeated."""
    answer = client.post("/match", data={"annotation_id": "<script>", "viewpoint": "\x1b[31m"})
    assert_problem(answer, 422, "invalid_input")
    assert {fault["field"] for fault in answer.json()["errors"]} == {"annotation_id.0", "viewpoint.0"}
    assert "script" not in answer.text


def test_a_thousand_unknown_fields_make_a_short_answer(client):
    """What is told of a hostile form is bounded in number and length."""
    answer = client.post("/match", data={f"{number}{'x' * 300}": "1" for number in range(900)})
    assert_problem(answer, 422, "invalid_input")
    assert len(answer.content) < 20_000


def test_every_answer_has_its_headers(client):
    """Pictures, pages, failures and metrics alike may not be framed, sniffed or made to load from elsewhere."""
    for address in ("/", "/annotations/1/thumbnail", "/metrics", "/nope", "/static/page.css"):
        headers = client.get(address).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_documented_routes_are_api_routes(app):
    """Only the page and its stylesheet stand outside the description of the API."""
    hidden = {route.path for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema}
    assert hidden <= {path for _, path in PAGES}
