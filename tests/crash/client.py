"""A client of the service that tells two things apart: an answer, and not knowing."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ALLOWED = frozenset({503, 507})


class Gone(Exception):
    """No answer came: whatever was asked may have happened or not."""


class Broken(AssertionError):
    """The service did what it promises never to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``body`` is None where it is no JSON, ``etag`` empty where there is none."""

    status: int
    body: Any
    etag: str = ""

    @property
    def busy(self) -> bool:
        """Whether the service said: not now."""
        return self.status in _ALLOWED


@dataclass(frozen=True, slots=True)
class Client:
    """One port on this machine; safe to be used by many threads, each request has its own connection."""

    port: int
    seconds: float = 60.0

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(
        self, path: str, fields: Mapping[str, str], files: Mapping[str, bytes] | None = None, **headers: str
    ) -> Answer:
        """A form, as a browser sends it."""
        boundary = uuid.uuid4().hex
        body = _form(boundary, fields, files or {})
        return self.ask("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}", **headers})

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Raises Gone without an answer, Broken for a server error that has no place in any promise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.seconds)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 500 and answer.status not in _ALLOWED:
            raise Broken(f"{method} {path} answered {answer.status}: {text[:300]!r}")
        is_json = "json" in (answer.getheader("Content-Type") or "")
        return Answer(answer.status, json.loads(text) if is_json else None, answer.getheader("ETag") or "")


def _form(boundary: str, fields: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, content in files.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])
