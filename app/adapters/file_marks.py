"""Local features by the content of their photographs: small files, each whole or not at all, oldest dropped first."""

from __future__ import annotations

import hashlib
import io
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from app.domain.marks import Marks

_DIGEST = 32


class FileMarks:
    """The MarksCache port: a folder for each fingerprint; at most about ``most`` bytes in all.

    A file begins with the SHA-256 of the rest of it: one that is torn or damaged is passed over. A disk that fails or
    is full costs time and nothing else, since whatever is not here is computed again.
    """

    def __init__(self, folder: Path, *, most: int = 2_000_000_000) -> None:
        self._folder, self._most = folder, most
        self._lock = threading.Lock()
        self._size: int | None = None

    def get(self, fingerprint: str, key: str) -> Marks | None:
        with suppress(OSError):
            content = self._path(fingerprint, key).read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as arrays:
                    return Marks(arrays["positions"], arrays["descriptors"])
        return None

    def put(self, fingerprint: str, key: str, marks: Marks) -> None:
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, positions=marks.positions, descriptors=marks.descriptors)
        content = stream.getvalue()
        path = self._path(fingerprint, key)
        part = path.with_suffix(f".{threading.get_ident()}.partial")
        with self._lock, suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(hashlib.sha256(content).digest() + content)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            self._make_room(len(content) + _DIGEST)

    def _path(self, fingerprint: str, key: str) -> Path:
        return self._folder / fingerprint / key[:2] / f"{key}.npz"

    def _make_room(self, added: int) -> None:
        """Count what is there; beyond the limit drop the oldest until three quarters are left."""
        if self._size is not None and self._size + added <= self._most:
            self._size += added
            return
        facts = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.rglob("*.npz"))
        self._size = sum(size for _, size, _ in facts)
        if self._size <= self._most:
            return
        for _, size, path in facts:
            if self._size <= self._most * 3 // 4:
                break
            path.unlink(missing_ok=True)
            self._size -= size
