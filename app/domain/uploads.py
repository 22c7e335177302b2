"""An upload session: photographs and a sheet that come in one by one and are imported together."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import datetime

from app.domain.cells import parse_sha256, shown

SHEET_PATH = ""
"""Under this name, which no photograph can have, the sheet itself is kept."""

SHA256_DIGITS = 64
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):\s*(?=,|$)")


@dataclass(frozen=True, slots=True)
class Received:
    """What was received whole and lies on disk: its path in the sheet, SHA-256 and size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class UploadSession:
    """Where a session stands; ``expires`` is put off by everything that comes in."""

    upload_id: str
    created: datetime
    expires: datetime
    photographs: int
    size: int
    sheet: Received | None


def expected_digest(header: str | None, query: str | None) -> str | None:
    """The SHA-256 that a client announces, by ``Content-Digest`` (RFC 9530) or a parameter; None when by neither.

    Raises ValueError for one that cannot be read and for two that differ.
    """
    announced = parse_sha256(query or "")
    if header is None:
        return announced
    found = _DIGEST.search(header)
    try:
        digest = base64.b64decode(found[1], validate=True).hex() if found else ""
    except ValueError:
        digest = ""
    if len(digest) != SHA256_DIGITS:
        raise ValueError(f"the digest {shown(header)} names no SHA-256: sha-256=:base64:")
    if announced not in {None, digest}:
        raise ValueError("the header and the parameter announce two different digests")
    return digest
