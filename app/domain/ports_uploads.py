"""The ports of upload sessions; the others stand in ``ports.py``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from app.domain.uploads import Received, UploadSession


class Receiver(Protocol):
    """One file as it comes in; used by one thread at a time."""

    def write(self, piece: bytes) -> None:
        """Take the next bytes; raises TooLarge, StorageFull."""

    def finish(self) -> Received:
        """Keep the whole file, on disk before this returns; raises BadDigest when it is not what was announced."""

    def abort(self) -> None:
        """Forget what has come in; does nothing after ``finish``."""


class UploadSessions(Protocol):
    """Sessions on disk: they outlast a stop or a kill. Raises StorageFull, Unavailable."""

    def create(self) -> UploadSession:
        """Begin a session under a new id that cannot be guessed."""

    def session(self, upload_id: str) -> UploadSession:
        """Where a session stands; raises UnknownUpload."""

    def received(self, upload_id: str, after: int, limit: int) -> list[Received]:
        """The photographs of a session in the order in which they came, those behind the first ``after``."""

    def receive(self, upload_id: str, path: str, expected: str | None = None, size: int | None = None) -> Receiver:
        """Begin to take in the photograph of this path, or the sheet (SHEET_PATH); the last one of a path counts.

        ``expected`` is the SHA-256 it must have, ``size`` what is announced. Raises UnknownUpload, TooLarge.
        """

    def remove(self, upload_id: str) -> None:
        """Forget a session with all that it holds; raises UnknownUpload."""

    def expired(self) -> Collection[str]:
        """Sessions to which nothing has come for too long."""
