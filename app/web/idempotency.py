"""Idempotency keys: what tells a request that is sent again from another one."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import Header

from app.domain.ingestion import RequestKey
from app.web.forms import ImportForm

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A name of your own for this request: sent again under it, the same request begins nothing new.",
    ),
]

_PIECE = 1 << 20


def import_request(key: str, form: ImportForm) -> RequestKey:
    """The key with the SHA-256 of what was sent: the fields and the bytes of the archive."""
    told = {name: value for name, value in form if name != "archive"}
    seen = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    if form.archive:
        while piece := form.archive.file.read(_PIECE):
            seen.update(piece)
        form.archive.file.seek(0)
    return RequestKey(key, seen.hexdigest())
