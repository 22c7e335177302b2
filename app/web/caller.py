"""Caller: whether the client of a request still waits for its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import anyio.from_thread
from fastapi import Depends, Request

from app.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Caller:
    """Asked from the thread of a route, when the body of the request has come in."""

    request: Request

    def stays(self, _done: int, _total: int) -> None:
        """Raise InvalidInput, which nobody will read, once the client has gone away; fits as a Progress."""
        if anyio.from_thread.run(self.request.is_disconnected):
            raise InvalidInput("the client went away before its answer was there")


async def _caller(request: Request) -> Caller:
    return Caller(request)


TheCaller = Annotated[Caller, Depends(_caller)]
