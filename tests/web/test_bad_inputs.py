"""Files that nobody here wrote: every one is answered with 2xx, or with 4xx and a reason."""

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.config import Settings
from app.main import create_app
from tests.fakes import World


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """A service with the limits that it has by default."""
    world = World()
    world.survey(whales=2)
    with TestClient(create_app(world.services, Settings(_env_file=None)), raise_server_exceptions=False) as opened:
        yield opened


# Every tenth file in the quick suite, all of them in the slow one.
@pytest.fixture(params=[10, pytest.param(1, marks=pytest.mark.slow)], ids=["tenth", "whole"])
def step(request) -> int:
    return request.param


def corpus(shared_data: Path, *folders: str) -> list[Path]:
    files = [path for folder in folders for path in sorted((shared_data / "bad-inputs" / folder).rglob("*"))]
    files = [path for path in files if path.is_file()]
    if not files:
        pytest.skip("no bad-inputs among the shared data")
    return files


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keeps what C libraries write past Python on file descriptor 2 out of the report."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def check(answer) -> None:
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


def test_every_photograph_of_the_corpus_is_answered(client, shared_data, step):
    """Broken, hostile and odd images: none of them is a failure of the service, and most say why they are refused."""
    statuses, slowest = Counter(), (0.0, "")
    with quiet_libraries():
        for path in corpus(shared_data, "img", "exif")[::step]:
            begun = time.perf_counter()
            answer = client.post("/match", files={"image": (path.name, path.read_bytes())}, data={"viewpoint": "top"})
            slowest = max(slowest, (time.perf_counter() - begun, path.name))
            check(answer)
            statuses[answer.status_code] += 1
    print(f"\n{sum(statuses.values())} images: {dict(statuses)}; slowest {slowest[0]:.2f} s, {slowest[1]}")
    assert statuses[200]
    assert statuses[415]
    assert statuses[422]


def boundary_of(body: bytes) -> str:
    found = re.search(rb"^-{2}([!-~]{1,70})\r?$", body, re.MULTILINE)
    return found.group(1).decode() if found else "boundary"


@pytest.mark.parametrize("address", ["/match", "/imports", "/"])
def test_every_body_of_the_corpus_is_answered(client, shared_data, step, address):
    """Multipart, MIME and raw HTTP cases as bodies of a form, under the boundary that they name or another."""
    for path in corpus(shared_data, "http")[::step]:
        body = path.read_bytes()
        for kind in (f"multipart/form-data; boundary={boundary_of(body)}", "application/x-www-form-urlencoded"):
            answer = client.post(address, content=body, headers={"content-type": kind})
            assert answer.status_code < 500, path.name


def test_every_string_of_the_corpus_is_answered(client, shared_data, step):
    """Naughty strings as names, in the path, the query and the form."""
    lines = [line for path in corpus(shared_data, "str") for line in path.read_text("utf-8", "replace").splitlines()]
    for line in list(dict.fromkeys(lines))[:1000:step]:
        assert client.get("/individuals", params={"after": line}).status_code in {200, 422}
        assert client.get("/", params={"individual": line}).status_code in {200, 404, 422}
        answer = client.post("/match", data={"annotation_id": "1", "exclude_individuals": line})
        assert answer.status_code in {200, 404, 422}
