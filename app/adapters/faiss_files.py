"""The index on disk: immutable files named by their SHA-256, and one manifest per generation that names them.

Every write goes to a temporary file, is synced, renamed, and its folder synced; a manifest is written after all files
that it names. A file is used only after its hash was checked over the very bytes that are used, and while they are in
memory it is looked at again only when the file system says that it was touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.adapters.faiss_manifest import Manifest, StoredFile, decode, encode
from app.disk import disk_errors, sync_folder
from app.domain.errors import IndexUnavailable
from app.failpoints import reach

KEPT_GENERATIONS = 2
_Touched = tuple[int, int, int, int, int]
_GENERATION = re.compile(r"generation-(\d{6,12})\.json")
_TEMPORARY = ".tmp"
# Times of files move in steps: one that was touched so short a while ago may be touched again at the same time.
_STEP = 100_000_000  # nanoseconds


class IndexFolder:
    """The files below ``root``, which is made when first written. Raises IndexUnavailable and StorageFull."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sound: dict[str, _Touched] = {}  # as each file was when its content was last known to match its hash

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder alone, against threads of this process and against other processes."""
        with _translated():
            self._root.mkdir(parents=True, exist_ok=True)
            with self._locked(fcntl.LOCK_EX):
                yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the folder against writers; nothing is created."""
        with _translated(), self._locked(fcntl.LOCK_SH):
            yield

    def exists(self) -> bool:
        """Whether the folder was ever written."""
        return self._root.is_dir()

    def generations(self) -> list[tuple[int, Manifest | None]]:
        """Every generation's number with its manifest, newest first; None for a manifest that cannot be trusted."""
        numbers = [int(match[1]) for path in self._root.iterdir() if (match := _GENERATION.fullmatch(path.name))]
        return [(number, self._manifest(number)) for number in sorted(numbers, reverse=True)]

    def store(self, arrays: Iterable[npt.NDArray[Any]]) -> StoredFile:
        """Write arrays one behind the other, durably but for the folder's own entry, which ``publish`` syncs."""
        digest = hashlib.sha256()

        def blocks() -> Iterator[memoryview]:
            for array in arrays:
                block = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
                digest.update(block)
                yield block

        temporary = self._root / f"rows{_TEMPORARY}"
        size = _write(temporary, blocks())
        sha256 = digest.hexdigest()
        reach("index.rows_written")
        temporary.replace(self._rows(sha256))
        reach("index.rows_renamed")
        self._sound[sha256] = _touched(self._rows(sha256))
        return StoredFile(sha256, size)

    def load(self, file: StoredFile) -> bytes | None:
        """The content of a file, None when it is not what its name and size say."""
        try:
            before = _touched(self._rows(file.sha256))
            content = self._rows(file.sha256).read_bytes()
        except OSError:
            return None
        if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
            return None
        self._sound[file.sha256] = before
        return content

    def untouched(self, file: StoredFile) -> bool:
        """Whether a file is as it was when its hash was last found right, by what the file system says: quick."""
        try:
            return self._sound.get(file.sha256) == _touched(self._rows(file.sha256))
        except OSError:
            return False

    def fault(self, file: StoredFile) -> str | None:
        """What is wrong with a file, None when its content is intact; reads it without holding it in memory."""
        try:
            with self._rows(file.sha256).open("rb") as opened:
                if (size := os.fstat(opened.fileno()).st_size) != file.size:
                    return f"has {size} bytes instead of {file.size}"
                if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                    return "is damaged: its content does not match its hash"
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None

    def publish(self, manifest: Manifest) -> None:
        """Make a generation durable: after this returns, a new process finds it."""
        sync_folder(self._root)
        temporary = self._root / f"generation{_TEMPORARY}"
        _write(temporary, [memoryview(encode(manifest))])
        reach("index.generation_written")
        temporary.replace(self._root / _name(manifest.generation))
        reach("index.generation_renamed")
        sync_folder(self._root)

    def prune(self) -> None:
        """Delete all but the newest generations and the files that they name; strangers' files stay."""
        kept = [manifest for _, manifest in self.generations() if manifest][:KEPT_GENERATIONS]
        named = {_name(manifest.generation) for manifest in kept}
        named |= {self._rows(sha256).name for manifest in kept for sha256 in manifest.files}
        for path in list(self._root.iterdir()):
            ours = path.suffix in {".rows", _TEMPORARY} or _GENERATION.fullmatch(path.name)
            if ours and path.name not in named:
                path.unlink()
                self._sound.pop(path.stem, None)

    def _manifest(self, number: int) -> Manifest | None:
        try:
            manifest = decode((self._root / _name(number)).read_bytes())
        except (OSError, ValueError):
            return None
        return manifest if manifest.generation == number else None

    def _rows(self, sha256: str) -> Path:
        return self._root / f"{sha256}.rows"

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        # Locking the folder itself leaves no lock file behind; every call opens it anew, so threads wait as well.
        opened = os.open(self._root, os.O_RDONLY)
        try:
            fcntl.flock(opened, how)
            yield
        finally:
            os.close(opened)


def _name(generation: int) -> str:
    return f"generation-{generation:06d}.json"


def _touched(path: Path) -> _Touched:
    """What changes when somebody writes to a file; different each time while that is only just over."""
    seen = path.stat()
    settled = time.time_ns() - seen.st_ctime_ns > _STEP
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, 0 if settled else time.monotonic_ns()


def _write(path: Path, blocks: Iterable[memoryview]) -> int:
    try:
        with path.open("wb") as opened:
            size = sum(opened.write(block) for block in blocks)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError:
        path.unlink(missing_ok=True)  # a full disk gets its space back
        raise
    return size


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk that holds the index is full; the last generation keeps answering",
        lambda why: IndexUnavailable(f"the index folder cannot be used: {why}"),
    )
