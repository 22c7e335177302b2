"""Vectors by the content of their photographs, in small files that are each written whole and vouch for themselves."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from app.disk import disk_errors, sync_folder
from app.domain.ensemble import Float32
from app.domain.errors import Unavailable

_ENDING = ".npz"


class FileVectors:
    """The VectorCache port: a folder for each space's fingerprint, a file for each ``put``, named by its hash.

    A file that does not match its name is passed over: its vectors are computed again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, dict[str, Float32]] = {}
        self._lock = threading.Lock()

    def get(self, fingerprint: str, keys: Sequence[str]) -> dict[str, Float32]:
        with self._lock:
            held = self._read(fingerprint)
            return {key: held[key] for key in keys if key in held}

    def put(self, fingerprint: str, vectors: Mapping[str, Float32]) -> None:
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, keys=np.array(list(vectors)), vectors=np.array(list(vectors.values())))
        content = stream.getvalue()
        folder = self._folder / fingerprint
        path = folder / f"{hashlib.sha256(content).hexdigest()}{_ENDING}"
        part = path.with_suffix(".partial")
        with self._lock, _translated():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
                sync_folder(folder)
            finally:
                part.unlink(missing_ok=True)
            self._read(fingerprint).update(vectors)

    def _read(self, fingerprint: str) -> dict[str, Float32]:
        if fingerprint not in self._held:
            held: dict[str, Float32] = {}
            with _translated():
                for path in sorted((self._folder / fingerprint).glob(f"*{_ENDING}")):
                    content = path.read_bytes()
                    if hashlib.sha256(content).hexdigest() == path.stem:
                        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                            held |= zip(arrays["keys"].tolist(), arrays["vectors"], strict=True)
            self._held[fingerprint] = held
        return self._held[fingerprint]


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk is full: the vectors were not kept",
        lambda why: Unavailable(f"the folder of vectors does not answer: {why}"),
    )
