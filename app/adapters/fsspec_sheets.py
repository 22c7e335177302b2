"""Sheets from S3: metadata.csv below a prefix, beside its photographs, read through fsspec."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from app.domain.catalogue import Sighting
from app.domain.cells import parse_path, shown
from app.domain.errors import BadArchive, BadImage, Fault, NotAllowed, Unavailable
from app.domain.formats import Layout, SheetFormat
from app.domain.sheet import SHEET, latest_today, sheet_layout, stream_sightings

_CHUNK = 1 << 20
_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 3}}


class S3Sheets:
    """Opens prefixes that a setting allows; the address and the keys come from settings and environment alone."""

    def __init__(self, prefixes: Sequence[str], *, endpoint: str = "", max_bytes: int = 50_000_000) -> None:
        self._allowed = [_plain(prefix) for prefix in prefixes]
        self._endpoint = endpoint
        self._max_bytes = max_bytes

    def open(self, name: str) -> S3Sheet:
        """The sheet below ``//bucket/prefix``; raises NotAllowed, BadArchive, Unavailable."""
        place = _plain(name)
        if not any(place == allowed or place.startswith(f"{allowed}/") for allowed in self._allowed):
            raise NotAllowed(f"{shown(f's3://{place}')} lies outside the prefixes that imports may read")
        with _translated("the prefix"):
            return S3Sheet(self._files(), place, self._max_bytes)

    def _files(self) -> Any:
        try:
            from s3fs import S3FileSystem
        except ImportError as error:
            raise BadArchive("importing from S3 needs the extra resight[s3]: pip install 'resight[s3]'") from error
        return S3FileSystem(
            endpoint_url=self._endpoint or None,
            config_kwargs=_PATIENCE,
            use_listings_cache=False,
            skip_instance_cache=True,
        )


class S3Sheet:
    """The Sheet port on one prefix, as it was listed when it was opened."""

    def __init__(self, files: Any, place: str, max_bytes: int) -> None:
        self._files, self._place, self._max_bytes = files, place, max_bytes
        start = len(place) + 1
        found = files.find(place, detail=True)
        self._sizes = {
            unicodedata.normalize("NFC", key[start:]): (key, int(about["size"] or 0))
            for key, about in found.items()
            if key.startswith(f"{place}/") and about["type"] == "file"
        }
        self._sheet = _sheet(self._sizes)

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        with _translated("the sheet"):
            return sheet_layout(self._chunks(), wanted)

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        with _translated("the sheet"):
            yield from stream_sightings(self._chunks(), absent=self._absent, today=latest_today(), wanted=wanted)

    def read(self, path: str) -> bytes:
        entry = self._entry(path)
        if entry is None:
            raise BadImage(f"{shown(path)} is not below the prefix")
        key, size = entry
        if size > self._max_bytes:
            raise BadImage(f"{shown(path)} has more than {self._max_bytes} bytes")
        try:
            with _translated(shown(path)):
                content = bytes(self._files.cat_file(key, start=0, end=self._max_bytes + 1))
        except BadArchive as error:
            raise BadImage(str(error)) from error
        if len(content) > self._max_bytes:
            raise BadImage(f"{shown(path)} has more than {self._max_bytes} bytes")
        return content

    def _absent(self, path: str) -> str | None:
        return None if self._entry(path) else "is not below the prefix"

    def _entry(self, path: str) -> tuple[str, int] | None:
        return self._sizes.get(unicodedata.normalize("NFC", path))

    def _chunks(self) -> Iterator[bytes]:
        with self._files.open(self._sizes[self._sheet][0], "rb", cache_type="readahead") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


def _plain(name: str) -> str:
    """``bucket/prefix`` without the scheme; raises NotAllowed for what is no plain path."""
    try:
        return parse_path(name.removeprefix("s3:").removeprefix("//").rstrip("/"))
    except ValueError as error:
        raise NotAllowed(f"{shown(name)} is not s3://bucket/prefix") from error


def _sheet(found: dict[str, Any]) -> str:
    """metadata.csv at the top, or else the only .csv there."""
    if SHEET in found:
        return SHEET
    sheets = [name for name in found if "/" not in name and name.lower().endswith(".csv")]
    if len(sheets) != 1:
        what = "more than one" if sheets else "no"
        raise BadArchive(f"the prefix holds {what} sheet ({SHEET}) at its top")
    return sheets[0]


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Errors of the store in our words: what is missing is the user's, what does not answer may come back."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadArchive(f"{what} is not there") from error
    except PermissionError as error:
        raise NotAllowed(f"S3 does not let us read {what}") from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"S3 does not answer: {type(error).__name__}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs")):
            raise
        raise Unavailable(f"S3 does not answer: {type(error).__name__}") from error
