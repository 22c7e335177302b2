"""Upload sessions as folders: content under its SHA-256, and a log whose lines are the receipts.

Nothing that a client sends becomes a path on disk. What a kill leaves behind is a file without a receipt, or half a
line at the end of the log, which counts for nothing: the client sends that photograph again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
import unicodedata
import uuid
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from weakref import WeakValueDictionary

from app.adapters.file_receiver import PARTIAL, FileReceiver, translated
from app.disk import Coming, Reserve, sync_folder
from app.domain.catalogue import Sighting
from app.domain.cells import shown
from app.domain.errors import BadArchive, BadImage, Fault, TooLarge, UnknownUpload
from app.domain.formats import Layout, SheetFormat
from app.domain.sheet import latest_today, sheet_layout, stream_sightings, why
from app.domain.uploads import SHEET_PATH, Received, UploadSession
from app.failpoints import reach

_ID = re.compile(r"[0-9a-f]{32}")
_LOG, _FILES = "received.log", "files"
_REMEMBERED = 8
_CHUNK = 1 << 18
_HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Most bytes of a photograph, of a sheet and of all that a session takes on disk; how long an idle one is kept.

    ``files`` are the most that a session holds, ``sessions`` the most there are at a time.
    """

    photograph: int = 50_000_000
    sheet: int = 500_000_000
    whole: int = 500_000_000_000
    files: int = 1_000_000
    sessions: int = 1_000
    idle: timedelta = timedelta(days=7)


class _Log:
    """What a session has received, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Received] = {}
        self.size = 0
        self.taken = 0  # bytes on disk: contents that were sent again with others stay there until the session ends
        self._arriving = 0  # bytes that are announced, or came in, and have no receipt yet
        self._contents: set[str] = set()
        self._lock = threading.Lock()
        with (folder / _LOG).open("rb") as lines:
            self.created = datetime.fromisoformat(json.loads(next(lines)))
            for line in lines:
                if (received := _parsed(line)) is not None:
                    self._count(received)

    @property
    def touched(self) -> float:
        """When something last came in, as a time stamp."""
        return (self.folder / _LOG).stat().st_mtime

    def claim(self, size: int, whole: int) -> None:
        """Count bytes that are coming in, or no more if below 0; raises TooLarge when ``whole`` cannot hold them."""
        with self._lock:
            room = whole - self.taken - self._arriving
            if size > max(room, 0):
                raise TooLarge(f"the session has room for {max(room, 0)} bytes more, beside what is coming in now")
            self._arriving += size

    def append(self, received: Received) -> None:
        """Record what was received, on disk before this returns."""
        line = json.dumps([received.path, received.sha256, received.size]).encode()
        with self._lock, translated():
            with (self.folder / _LOG).open("ab") as log:
                # A newline first: it closes a line that a kill has cut short.
                log.write(b"\n" + line + b"\n")
                log.flush()
                os.fsync(log.fileno())
            reach("session.logged")
            self._count(received)

    def _count(self, received: Received) -> None:
        before = self.entries.get(received.path)
        self.size += received.size - (before.size if before else 0)
        if received.sha256 not in self._contents:
            self._contents.add(received.sha256)
            self.taken += received.size
        self.entries[received.path] = received


class FileSessions:
    """The UploadSessions port; ``reserve`` is what stays free on the disk (None: as ``app.disk`` says)."""

    def __init__(self, folder: Path, limits: SessionLimits | None = None, *, reserve: int | None = 0) -> None:
        self._folder = folder
        self._limits = limits or SessionLimits()
        self.coming = Coming(Reserve(folder, reserve))
        self._logs: WeakValueDictionary[str, _Log] = WeakValueDictionary()
        self._recent: deque[_Log] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()
        with translated():
            folder.mkdir(parents=True, exist_ok=True)

    def create(self) -> UploadSession:
        upload_id = uuid.uuid4().hex
        making = self._folder / f"{upload_id}{PARTIAL}"
        with translated():
            self.coming.require()
            if sum(1 for path in self._folder.iterdir() if _ID.fullmatch(path.name)) >= self._limits.sessions:
                raise TooLarge(f"there are {self._limits.sessions} upload sessions already: commit or remove some")
            (making / _FILES).mkdir(parents=True)
            with (making / _LOG).open("w", encoding="utf-8") as log:
                log.write(json.dumps(datetime.now(UTC).isoformat()) + "\n")
                log.flush()
                os.fsync(log.fileno())
            sync_folder(making)
            making.rename(self._folder / upload_id)
            sync_folder(self._folder)
        return self.session(upload_id)

    def session(self, upload_id: str) -> UploadSession:
        log = self._log(upload_id)
        with self._there(upload_id):
            touched = datetime.fromtimestamp(log.touched, UTC)
        sheet = log.entries.get(SHEET_PATH)
        count = len(log.entries) - (sheet is not None)
        return UploadSession(upload_id, log.created, touched + self._limits.idle, count, log.size, sheet)

    def received(self, upload_id: str, after: int, limit: int) -> list[Received]:
        photographs = (one for path, one in list(self._log(upload_id).entries.items()) if path != SHEET_PATH)
        return list(islice(photographs, after, after + limit))

    def receive(self, upload_id: str, path: str, expected: str | None = None, size: int | None = None) -> FileReceiver:
        log = self._log(upload_id)
        most = self._limits.sheet if path == SHEET_PATH else self._limits.photograph
        room = self._limits.whole - log.taken
        if len(log.entries) >= self._limits.files and unicodedata.normalize("NFC", path) not in log.entries:
            raise TooLarge(f"an upload session holds at most {self._limits.files} files; commit it and begin another")
        if max(size or 0, 1) > min(most, room):
            raise TooLarge(f"a file has at most {most} bytes, and the session has room for {max(room, 0)} more")
        return FileReceiver(
            log.folder / _FILES,
            unicodedata.normalize("NFC", path),
            expected=expected,
            announced=size or 0,
            most=most,
            coming=self.coming,
            claim=partial(log.claim, whole=self._limits.whole),
            keep=log.append,
        )

    def remove(self, upload_id: str) -> None:
        self._log(upload_id)
        with self._lock, translated():
            # Out of sight in one step, then file by file.
            gone = self._folder / f"{upload_id}{PARTIAL}"
            (self._folder / upload_id).rename(gone)
            self._logs.pop(upload_id, None)
            shutil.rmtree(gone, ignore_errors=True)

    def expired(self) -> Collection[str]:
        with translated():
            now, idle = time.time(), self._limits.idle.total_seconds()
            for path in self._folder.glob(f"*{PARTIAL}"):
                if now - path.stat().st_mtime > _HOUR:
                    shutil.rmtree(path, ignore_errors=True)
            logs = [path / _LOG for path in self._folder.iterdir() if _ID.fullmatch(path.name)]
            return [log.parent.name for log in logs if log.exists() and now - log.stat().st_mtime > idle]

    def open(self, upload_id: str) -> SessionSheet:
        """The sheet of a session with its photographs, as they are on disk now; raises BadArchive."""
        try:
            with self._there(upload_id):
                return SessionSheet(_Log(self._folder / upload_id))
        except UnknownUpload as error:
            raise BadArchive("the upload session is gone") from error

    def _log(self, upload_id: str) -> _Log:
        with self._lock, self._there(upload_id):
            log = self._logs.get(upload_id)
            if log is None:
                log = self._logs[upload_id] = _Log(self._folder / upload_id)
            self._recent.append(log)
            return log

    @contextmanager
    def _there(self, upload_id: str) -> Iterator[None]:
        if not _ID.fullmatch(upload_id):
            raise UnknownUpload(f"no upload session has the id {shown(upload_id)}")
        try:
            with translated():
                try:
                    yield
                except FileNotFoundError as error:
                    raise UnknownUpload(f"no upload session has the id {shown(upload_id)}") from error
        except StopIteration as error:
            raise UnknownUpload(f"no upload session has the id {shown(upload_id)}") from error


class SessionSheet:
    """The Sheet port on what a session has received."""

    def __init__(self, log: _Log) -> None:
        self._entries, self._files = log.entries, log.folder / _FILES
        if SHEET_PATH not in self._entries:
            raise BadArchive("the upload session has no sheet yet")

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        with self._readable():
            return sheet_layout(self._chunks(), wanted)

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        with self._readable():
            yield from stream_sightings(self._chunks(), absent=self._absent, today=latest_today(), wanted=wanted)

    def read(self, path: str) -> bytes:
        found = self._entry(path)
        if found is None:
            raise BadImage(f"{shown(path)} was not uploaded")
        try:
            return (self._files / found.sha256).read_bytes()
        except OSError as error:
            raise BadImage(f"{shown(path)} cannot be read: {why(error)}") from error

    def _absent(self, path: str) -> str | None:
        return None if self._entry(path) else "was not uploaded"

    def _entry(self, path: str) -> Received | None:
        return self._entries.get(unicodedata.normalize("NFC", path))

    def _chunks(self) -> Iterator[bytes]:
        with (self._files / self._entries[SHEET_PATH].sha256).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadArchive(f"the sheet cannot be read: {why(error)}") from error


def _parsed(line: bytes) -> Received | None:
    """The receipt of a line; None for the empty ones and for one that a kill has cut short."""
    try:
        path, sha256, size = json.loads(line)
    except ValueError:
        return None
    return Received(path, sha256, size)
