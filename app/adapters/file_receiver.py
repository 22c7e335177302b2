"""One file of an upload session as it comes in: written aside, hashed, made durable, and only then given its name."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

from app.disk import Coming, disk_errors, sync_folder
from app.domain.errors import BadDigest, TooLarge, Unavailable
from app.domain.uploads import Received
from app.failpoints import reach

PARTIAL = ".partial"
_BETWEEN_LOOKS = 16_000_000  # bytes between two looks at how full the disk is


class FileReceiver:
    """The Receiver port; ``keep`` records what has been received, on disk before it returns.

    ``announced`` bytes are claimed of the disk (``coming``) and, by ``claim``, of the session; so is what comes beyond
    them. ``claim`` raises TooLarge, and takes a claim back when it is told of less than nothing.
    """

    def __init__(
        self,
        folder: Path,
        path: str,
        *,
        expected: str | None,
        announced: int,
        most: int,
        coming: Coming,
        claim: Callable[[int], None],
        keep: Callable[[Received], None],
    ) -> None:
        self._folder, self._path, self._expected, self._most = folder, path, expected, most
        self._coming, self._claim, self._keep = coming, claim, keep
        self._hash, self._size, self._looked, self._claimed = hashlib.sha256(), 0, 0, 0
        self._partial = folder / f"{uuid.uuid4().hex}{PARTIAL}"
        with translated(), ExitStack() as claims:
            claims.callback(self._give_back)
            self._claim_up_to(announced)
            self._written = claims.enter_context(coming.promised(announced))
            self._file = self._partial.open("xb")
            self._claims = claims.pop_all()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise TooLarge(f"the file has more than {self._most} bytes")
        self._claim_up_to(self._size)
        self._hash.update(piece)
        with translated():
            if self._size - self._looked > _BETWEEN_LOOKS:
                self._coming.require()
                self._looked = self._size
            self._file.write(piece)
            self._written(len(piece))

    def finish(self) -> Received:
        digest = self._hash.hexdigest()
        if self._expected not in {None, digest}:
            raise BadDigest(f"the bytes that came have the SHA-256 {digest}, announced was {self._expected}")
        with translated():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if _hash_of(self._partial) != digest:
                raise Unavailable("the disk of uploads does not give back what was written")
            reach("session.written")
            self._partial.rename(self._folder / digest)
            reach("session.renamed")
            sync_folder(self._folder)
        received = Received(self._path, digest, self._size)
        self._keep(received)
        self._claims.close()
        return received

    def abort(self) -> None:
        self._claims.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _claim_up_to(self, size: int) -> None:
        if size > self._claimed:
            self._claim(size - self._claimed)
            self._claimed = size

    def _give_back(self) -> None:
        self._claim(-self._claimed)


def translated() -> AbstractContextManager[None]:
    """Errors of the disk in our words."""
    return disk_errors(
        "the disk is full: the file was not kept",
        lambda why: Unavailable(f"the folder of uploads does not answer: {why}"),
    )


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
