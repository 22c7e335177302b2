"""What every request meets first and last: security headers, one log line, metrics, and no detail of a bug."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import REQUEST_SECONDS, REQUESTS
from app.web import problems

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The page loads nothing from elsewhere and runs no script.
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """ASGI middleware: the outermost one, so that even the answer to a bug has its headers, line and count."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except Exception:
            structlog.get_logger().exception("request broke", route=_route(scope))
            if status:
                raise
            detail = "an unexpected error; it was logged"
            await problems.of_status(500, detail, scope["path"])(scope, receive, dressed)
        finally:
            _record(scope, status, time.perf_counter() - begun)


def _route(scope: Scope) -> str:
    """The template of the address, never the address itself: that can hold the name of an animal."""
    return getattr(scope.get("route"), "path", "unrouted")


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = _route(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)
    structlog.get_logger().info("request", method=method, route=route, status=status, ms=round(seconds * 1e3, 1))
