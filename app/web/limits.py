"""Limits: bytes of a request, their pace, how many photographs come in and how many matches there are at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import Overloaded, TooLarge
from app.web import problems


@dataclass(frozen=True, slots=True)
class Limits:
    """``bodies`` gives the most bytes of a body by path, ``below`` by the beginning of a path, else ``other_bodies``.

    At most ``in_flight`` matches are answered or wait, of which ``at_work`` compute at a time; at most ``reading``
    bodies of ``matching`` paths come in meanwhile. A body may take ``grace`` seconds and beyond that must come at
    ``pace`` bytes a second.
    """

    bodies: Mapping[str, int]
    matching: frozenset[str]
    in_flight: int
    at_work: int
    reading: int
    other_bodies: int = 64_000
    below: Mapping[str, int] = field(default_factory=dict)
    grace: float = 10.0
    pace: float = 16_384.0

    def most(self, path: str) -> int:
        """The most bytes of a body that is sent to this path."""
        if path in self.bodies:
            return self.bodies[path]
        return max((most for start, most in self.below.items() if path.startswith(start)), default=self.other_bodies)


class _Refused(Exception):
    """Ends the reading of a body that broke a limit."""


class BodyLimit:
    """ASGI middleware: refuses a body that is too long, declared or counted, or comes in too slowly."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._limits.most(scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            await _too_large(most, scope)(scope, receive, send)
            return
        body = _CountedBody(scope, receive, most, self._limits)
        with suppress(_Refused):
            await self._app(scope, body.receive, body.guard(send))
        if body.refusal is not None and not body.answered:
            await body.refusal(scope, receive, send)


class _CountedBody:
    """One body as it comes in; ``refusal`` is the answer once a limit was broken."""

    def __init__(self, scope: Scope, receive: Receive, most: int, limits: Limits) -> None:
        self.refusal: Response | None = None
        self.answered = False
        self._scope, self._receive, self._most, self._limits = scope, receive, most, limits
        self._begun = time.monotonic()
        self._count = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        left = self._limits.grace + self._count / self._limits.pace - (time.monotonic() - self._begun)
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.0))
        except TimeoutError:
            detail = "the body of the request came in too slowly"
            self.refusal = problems.of_status(408, detail, self._scope["path"], {"Connection": "close"})
            raise _Refused from None
        self._count += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._count > self._most:
            self.refusal = _too_large(self._most, self._scope)
            raise _Refused
        return message

    def guard(self, send: Send) -> Send:
        """Hold back what the application says of a body that was refused."""

        async def guarded(message: Message) -> None:
            if self.refusal is None or self.answered:
                self.answered = True
                await send(message)

        return guarded


class Places:
    """The places for matches; used by the threads of the requests."""

    def __init__(self, limits: Limits) -> None:
        self._free = limits.in_flight
        self._count = threading.Lock()
        self._work = threading.Semaphore(limits.at_work)

    @property
    def full(self) -> bool:
        """Whether a match that came now would be refused."""
        return self._free <= 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn to compute; raises Overloaded at once when too many wait already."""
        with self._count:
            if self.full:
                raise _overloaded()
            self._free -= 1
        try:
            with self._work:
                yield
        finally:
            with self._count:
                self._free += 1


class Admission:
    """ASGI middleware: sheds photographs before their bodies are read, when no place is free or too many come in.

    A body takes no place while it comes in: clients on a slow line cannot keep the others from being answered.
    """

    def __init__(self, app: ASGIApp, limits: Limits, places: Places) -> None:
        self._app = app
        self._limits = limits
        self._places = places
        self._reading = 0  # only touched by the event loop, so it needs no lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._limits.matching:
            await self._app(scope, receive, send)
            return
        if self._places.full or self._reading >= self._limits.reading:
            await problems.of_error(_overloaded(), scope["path"])(scope, receive, send)
            return
        with self._counted() as reading:

            async def watched() -> Message:
                message = await receive()
                if not message.get("more_body", False):
                    reading.close()
                return message

            await self._app(scope, watched, send)

    def _counted(self) -> ExitStack:
        """One body more comes in, until this is closed."""
        stack = ExitStack()
        self._reading += 1
        stack.callback(self._complete)
        return stack

    def _complete(self) -> None:
        self._reading -= 1


def _overloaded() -> Overloaded:
    return Overloaded("too many matches are being answered already; try again in a moment")


def _too_large(most: int, scope: Scope) -> Response:
    response = problems.of_error(TooLarge(f"the request has more than {most} bytes"), scope["path"])
    response.headers["Connection"] = "close"
    return response
