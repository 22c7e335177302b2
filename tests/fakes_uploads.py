"""Upload sessions in memory; a committed one is opened as a sheet like any other."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.domain.catalogue import Sighting
from app.domain.errors import BadArchive, BadDigest, BadImage, Fault, TooLarge, UnknownUpload
from app.domain.formats import Layout, SheetFormat
from app.domain.sheet import sheet_layout, stream_sightings
from app.domain.uploads import SHEET_PATH, Received, UploadSession

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class FakeSessions:
    """The UploadSessions port; ``abandoned`` are the sessions that a test lets expire."""

    opened: dict[str, Any] = field(default_factory=dict)
    held: dict[str, dict[str, bytes]] = field(default_factory=dict)
    abandoned: list[str] = field(default_factory=list)
    most: int = 1_000_000
    count: int = 0

    def create(self) -> UploadSession:
        self.count += 1
        upload_id = f"{self.count:032x}"
        self.held[upload_id] = {}
        self.opened[f"session:{upload_id}"] = FakeSessionSheet(self.held[upload_id])
        return self.session(upload_id)

    def session(self, upload_id: str) -> UploadSession:
        files = self._files(upload_id)
        sheet = _received(SHEET_PATH, files[SHEET_PATH]) if SHEET_PATH in files else None
        size = sum(map(len, files.values()))
        return UploadSession(upload_id, BEGUN, BEGUN + timedelta(days=7), len(files) - bool(sheet), size, sheet)

    def received(self, upload_id: str, after: int, limit: int) -> list[Received]:
        found = [_received(path, content) for path, content in self._files(upload_id).items() if path != SHEET_PATH]
        return found[after : after + limit]

    def receive(self, upload_id: str, path: str, expected: str | None = None, size: int | None = None) -> Any:
        if (size or 0) > self.most:
            raise TooLarge("too large")
        return FakeReceiver(self._files(upload_id), path, expected)

    def remove(self, upload_id: str) -> None:
        self._files(upload_id)
        del self.held[upload_id]

    def expired(self) -> Collection[str]:
        return [upload_id for upload_id in self.abandoned if upload_id in self.held]

    def _files(self, upload_id: str) -> dict[str, bytes]:
        if upload_id not in self.held:
            raise UnknownUpload(upload_id)
        return self.held[upload_id]


@dataclass
class FakeReceiver:
    """The Receiver port."""

    files: dict[str, bytes]
    path: str
    expected: str | None
    content: bytes = b""

    def write(self, piece: bytes) -> None:
        self.content += piece

    def finish(self) -> Received:
        received = _received(self.path, self.content)
        if self.expected not in {None, received.sha256}:
            raise BadDigest("other bytes")
        self.files[self.path] = self.content
        return received

    def abort(self) -> None:
        self.content = b""


@dataclass
class FakeSessionSheet:
    """The Sheet port on what came in."""

    files: dict[str, bytes]

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        if SHEET_PATH not in self.files:
            raise BadArchive("no sheet yet")
        return sheet_layout([self.files[SHEET_PATH]], wanted)

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        rows = [self.files[SHEET_PATH]]
        return stream_sightings(rows, absent=self._absent, today=date(2026, 11, 22), wanted=wanted)

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise BadImage(f"{path} is missing")
        return self.files[path]

    def _absent(self, path: str) -> str | None:
        return None if path in self.files else "was not uploaded"


def _received(path: str, content: bytes) -> Received:
    return Received(path, hashlib.sha256(content).hexdigest(), len(content))
