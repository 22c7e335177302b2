"""Limits hold before a request is parsed: bytes, pace and number."""

import asyncio
from contextlib import ExitStack

import pytest

from app.domain.errors import Overloaded
from app.web.access import Access
from app.web.door import Door
from app.web.limits import Admission, BodyLimit, Limits, Places
from tests.fakes import photo


def limits(**changed) -> Limits:
    given = {"bodies": {"/match": 100}, "matching": frozenset({"/match"}), "in_flight": 2, "at_work": 1, "reading": 3}
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
    places = Places(limits(at_work=2))
    with ExitStack() as stack:
        stack.enter_context(places.taken())
        stack.enter_context(places.taken())
        with pytest.raises(Overloaded):
            stack.enter_context(places.taken())
    with pytest.raises(ZeroDivisionError), places.taken():
        raise ZeroDivisionError
    with places.taken():
        assert not places.full


def test_a_photograph_is_shed_unread_when_no_place_is_free():
    """503 with Retry-After; the application is not called. What is no photograph passes."""

    async def untouched(scope, _receive, send):
        assert scope["path"] != "/match"
        await send({"type": "http.response.start", "status": 204, "headers": []})

    places = Places(limits(in_flight=1))
    app = Admission(untouched, limits(), places)
    with places.taken():
        shed = asyncio.run(call(app))
        other = asyncio.run(call(app, path="/healthz"))
    assert (status_of(shed), status_of(other)) == (503, 204)
    assert dict(shed[0]["headers"])[b"retry-after"] == b"1"
    assert b"overloaded" in shed[1]["body"]


def test_slow_clients_keep_nobody_from_matching():
    """More bodies come in than there are places, yet all are free; beyond their own bound bodies are shed, too."""

    async def scenario():
        places = Places(limits())
        app = Admission(reader, limits(), places)
        slow = [asyncio.create_task(call(app, b"x", b"x", gap=0.05)) for _ in range(3)]
        await asyncio.sleep(0.02)
        free, shed = not places.full, await call(app)
        done = await asyncio.gather(*slow)
        return free, shed, done, await call(app)

    free, shed, done, after = asyncio.run(scenario())
    assert free
    assert status_of(shed) == 503
    assert [status_of(sent) for sent in [*done, after]] == [200] * 4


def test_a_body_that_is_complete_counts_no_longer():
    """While a match computes, the next photograph may come in; one that broke off counts no longer either."""

    async def scenario():
        computing = asyncio.Event()

        async def matching(scope, receive, send):
            if not scope["headers"]:
                raise RuntimeError
            await receive()
            await computing.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        app = Admission(matching, limits(reading=1), Places(limits()))
        with pytest.raises(RuntimeError):
            await call(app, b"x")
        first = asyncio.create_task(call(app, b"x", headers=[(b"number", b"1")]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(call(app, b"x", headers=[(b"number", b"2")]))
        await asyncio.sleep(0.01)
        assert not first.done()
        computing.set()
        return [status_of(sent) for sent in await asyncio.gather(first, second)]

    assert asyncio.run(scenario()) == [200, 200]


def test_browsing_takes_no_place(client, world):
    """With every place taken the catalogue is still shown; the match of an annotation is refused, and told so."""
    client.app.state.door = Door(world.services, client.app.state.door.upkeep, Places(limits(in_flight=0)))
    assert client.get("/").status_code == 200
    assert client.get("/?individual=whale1").status_code == 200
    page = client.get("/?annotation_id=1")
    assert (page.status_code, "too many matches" in page.text) == (503, True)
    answer = client.post("/match", data={"annotation_id": "1"})
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


def test_what_is_not_http_passes():
    """The lifespan of the service is no request."""

    async def seen(scope, _receive, _send):
        scope["seen"] = True

    for middleware in (BodyLimit(seen, limits()), Admission(seen, limits(), Places(limits()))):
        scope = {"type": "lifespan"}
        asyncio.run(middleware(scope, None, None))
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
    several = [("image", ("a.jpg", large))] * 4
    assert client.post("/match", files=several).json()["code"] == "too_large"
    assert "too_large" not in client.post("/match", files=several[:1]).text
    assert "more than" in client.post("/", files=several).text
    assert client.post("/imports", files={"archive": ("a.zip", large)}).json()["code"] == "bad_archive"
    assert client.post("/imports", files={"archive": ("a.zip", large + large)}).json()["code"] == "too_large"
    assert client.post("/individuals", content=b"x" * 70_000).json()["code"] == "too_large"


def chunked(content: bytes):
    yield from (content[start : start + 10_000] for start in range(0, len(content), 10_000))


def test_a_body_without_a_length_is_limited_too(client):
    """A chunked upload ends at the limit with 413, not with what the parser thinks of half a form."""
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/match", content=chunked(head + b"x" * 1_400_000), headers=headers)
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
        (f"{MULTIPART}; boundary=b", b'--b\r\nContent-Disposition: form-data; name="q"; filename="q"\r\n\r\n\r\n' * 30),
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
