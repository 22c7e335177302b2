"""Limits hold before a request is parsed: bytes, pace and number."""

import asyncio

import pytest

from app.web.access import Access
from app.web.limits import Admission, BodyLimit, Limits
from tests.fakes import photo


def limits(**changed) -> Limits:
    given = {"bodies": {"/match": 100}, "matching": frozenset({"/match"}), "in_flight": 2, "at_work": 1}
    return Limits(**(given | {"other_bodies": 10} | changed))


async def call(app, *chunks: bytes, path: str = "/match", headers=(), gap: float = 0.0) -> list[dict]:
    """What an application sends for one request whose body comes in chunks."""
    sent, left = [], list(chunks) or [b""]

    async def receive():
        await asyncio.sleep(gap)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)} if left else await forever()

    async def send(message):
        sent.append(message)

    await app({"type": "http", "path": path, "method": "POST", "headers": list(headers)}, receive, send)
    return sent


async def forever():
    await asyncio.Event().wait()


async def reader(_scope, receive, send):
    """An application that reads the whole body and says how long it was, swallowing what goes wrong."""
    count, more, status = 0, True, 200
    try:
        while more:
            message = await receive()
            count, more = count + len(message["body"]), message["more_body"]
    except Exception:  # noqa: BLE001 - FastAPI swallows everything as well
        status = 400
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": str(count).encode()})


def status_of(sent: list[dict]) -> int:
    starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1
    return starts[0]


@pytest.mark.parametrize(
    ("path", "chunks", "status"),
    [
        ("/match", [b"x" * 100], 200),
        ("/match", [b"x" * 60, b"x" * 40], 200),
        ("/match", [b"x" * 60, b"x" * 41], 413),
        ("/match", [b"x" * 101], 413),
        ("/other", [b"x" * 10], 200),
        ("/other", [b"x" * 11], 413),
    ],
)
def test_a_body_is_counted_as_it_comes_in(path, chunks, status):
    """Declared or not, a byte too many is refused, whatever the application makes of it."""
    assert status_of(asyncio.run(call(BodyLimit(reader, limits()), *chunks, path=path))) == status


def test_a_declared_length_is_refused_before_a_byte_is_read():
    """The application is not even called."""

    async def untouched(*_):
        raise AssertionError

    sent = asyncio.run(call(BodyLimit(untouched, limits()), b"", headers=[(b"content-length", b"101")]))
    assert status_of(sent) == 413
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_length_that_is_no_number_is_counted():
    """What cannot be believed is not used."""
    sent = asyncio.run(call(BodyLimit(reader, limits()), b"x" * 101, headers=[(b"content-length", b"-5")]))
    assert status_of(sent) == 413


def test_a_body_that_trickles_is_ended():
    """Beyond the grace a client must keep its pace."""
    slow = BodyLimit(reader, limits(grace=0.05, pace=1e9))
    assert status_of(asyncio.run(call(slow, b"x", b"x", b"x", b"x", gap=0.04))) == 408


def test_a_slow_application_is_not_a_slow_body():
    """Once the body is complete, waiting for the client to leave has no deadline."""

    async def patient(scope, receive, send):
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        waiting.cancel()
        await send({"type": "http.response.start", "status": 204, "headers": []})

    assert status_of(asyncio.run(call(BodyLimit(patient, limits(grace=0.05)), b"x"))) == 204


def test_too_many_matches_are_shed_at_once():
    """The third of three is refused while two are answered; afterwards there is room again, even after a failure."""

    async def scenario():
        going = asyncio.Event()

        async def busy(_scope, _receive, send):
            await going.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError

        app = Admission(busy, limits())
        first = [asyncio.create_task(call(app)) for _ in range(2)]
        await asyncio.sleep(0.01)
        shed = await call(app)
        other = asyncio.create_task(call(app, path="/healthz"))
        going.set()
        done = await asyncio.gather(*first, other, return_exceptions=True)
        after = await asyncio.gather(call(app), return_exceptions=True)
        return shed, done, after

    shed, done, after = asyncio.run(scenario())
    assert status_of(shed) == 503
    assert dict(shed[0]["headers"])[b"retry-after"] == b"1"
    assert b"overloaded" in shed[1]["body"]
    assert all(isinstance(error, RuntimeError) for error in [*done, *after])


def test_what_is_not_http_passes():
    """The lifespan of the service is no request."""

    async def seen(scope, _receive, _send):
        scope["seen"] = True

    for middleware in (BodyLimit, Admission):
        scope = {"type": "lifespan"}
        asyncio.run(middleware(seen, limits())(scope, None, None))
        assert scope["seen"]


def test_an_answer_that_breaks_off_is_not_mended():
    """Once its head is sent a failure cannot be told any more: the connection is ended by the error itself."""

    async def breaking(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(call(Access(breaking)))


def test_each_route_has_its_own_limit(client):
    """A photograph may be as large as the settings say, an archive larger, anything else is small."""
    large = b"x" * 400_000
    assert client.post("/match", files={"image": ("a.jpg", large)}).json()["code"] == "too_large"
    assert client.post("/", files={"image": ("a.jpg", large)}).json()["code"] == "too_large"
    assert client.post("/imports", files={"archive": ("a.zip", large)}).json()["code"] == "bad_archive"
    assert client.post("/imports", files={"archive": ("a.zip", large + large)}).json()["code"] == "too_large"
    assert client.post("/individuals", content=b"x" * 70_000).json()["code"] == "too_large"


def chunked(content: bytes):
    yield from (content[start : start + 10_000] for start in range(0, len(content), 10_000))


def test_a_body_without_a_length_is_limited_too(client):
    """A chunked upload ends at the limit with 413, not with what the parser thinks of half a form."""
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/match", content=chunked(head + b"x" * 400_000), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


MULTIPART = "multipart/form-data"
IMAGE = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + photo(1) + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MULTIPART, b"no boundary"),
        (f"{MULTIPART}; boundary=", IMAGE),
        (f"{MULTIPART}; boundary={'b' * 257}", IMAGE),
        (f"{MULTIPART}; boundary=b", b"preamble" * 10_000 + IMAGE[:-9]),
        (f"{MULTIPART}; boundary=b", IMAGE[:50]),
        (f"{MULTIPART}; boundary=b", b"--b\r\n" + b"X-Header: 1\r\n" * 5_000 + IMAGE),
        (f"{MULTIPART}; boundary=b", b'--b\r\nContent-Disposition: form-data; name="q"; filename="q"\r\n\r\n\r\n' * 9),
        (f"{MULTIPART}; boundary=b", b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n1\r\n' * 1_001),
        (f"{MULTIPART}; boundary=b", b'--b\r\nContent-Disposition: form-data; name="limit"\r\n\r\n' + b"1" * 250_000),
        ("application/json", b'{"annotation_id": 1}'),
        ("application/x-www-form-urlencoded", b"annotation_id=%ff%00&" * 1_000),
        ("text/\xff", b"x"),
    ],
)
def test_a_broken_form_is_the_client_s_fault(client, kind, body):
    """400, 413 or 422, never a failure of the service."""
    answer = client.post("/match", content=body, headers={"content-type": kind.encode("latin-1")})
    assert answer.status_code in {400, 413, 422}
    assert answer.json()["code"] in {"bad_request", "too_large", "invalid_input"}
