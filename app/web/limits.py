"""Limits that hold before a request is parsed: bytes, their pace, and how many matches there are at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import Overloaded, TooLarge
from app.web import problems


@dataclass(frozen=True, slots=True)
class Limits:
    """``bodies`` gives the most bytes of a body by path, ``other_bodies`` for any other path.

    At most ``in_flight`` requests to ``matching`` paths are admitted, of which ``at_work`` compute at a time. A body
    may take ``grace`` seconds and beyond that must come at ``pace`` bytes a second.
    """

    bodies: Mapping[str, int]
    matching: frozenset[str]
    in_flight: int
    at_work: int
    other_bodies: int = 64_000
    grace: float = 10.0
    pace: float = 16_384.0


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
        most = self._limits.bodies.get(scope["path"], self._limits.other_bodies)
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


class Admission:
    """ASGI middleware: admits a bounded number of matches and sheds the rest at once, before their bodies are read."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._in_flight = 0  # only touched by the event loop, so it needs no lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._limits.matching:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limits.in_flight:
            error = Overloaded(f"{self._in_flight} matches are being answered already; try again in a moment")
            await problems.of_error(error, scope["path"])(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1


def _too_large(most: int, scope: Scope) -> Response:
    response = problems.of_error(TooLarge(f"the request has more than {most} bytes"), scope["path"])
    response.headers["Connection"] = "close"
    return response
