"""Blobs in a folder: ``ab/<sha256>``, each file written once and never renamed, changed or deleted.

A chunk is durable in this order: temporary files, fsync, hash read back, rename, fsync of the folders. An error of
fsync is final for its chunk: the kernel may have dropped the pages, so trying again would prove nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from app.adapters.file_workplace import Syncs, left_over, sweep, workplace
from app.disk import Reserve, disk_errors
from app.domain.errors import Corrupt, Unavailable, UnknownImage
from app.domain.findings import Finding
from app.failpoints import reach

MARKER = "resight-blobs"
INCOMING = "incoming"
_MARKER_TEXT = b"Resight keeps original photographs here, named by their SHA-256.\n"
_LOST_AND_FOUND = "lost+found"  # every ext4 disk has one at its top
_NAME = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[0-9a-f]{2}")
# Several fsyncs at once share one commit of the file system's journal: four were six times as fast as one.
_SYNC_THREADS = 4


class FileBlobs:
    """The Blobs port on a local file system.

    The root holds a marker file: while it is missing (an unmounted disk), nothing is written and nothing is called
    missing, and all goes on when it is back. ``create`` makes an empty root a store and refuses a foreign one with
    Unavailable; without it a root may be away. ``tidy`` removes what processes that were killed left half-written.
    ``reserve`` in bytes is as of Reserve; ``sync``, ``rename`` and ``clock`` are what a test may watch or break.
    """

    def __init__(
        self,
        root: Path,
        *,
        create: bool = True,
        tidy: bool = True,
        reserve: int | None = 0,
        sync: Callable[[int], None] = os.fsync,
        rename: Callable[[Path, Path], None] = os.replace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._reserve = Reserve(root, reserve)
        self._sync, self._rename = Syncs(sync, clock), rename
        self._doubted: set[str] = set()  # names of chunks that failed: what the cache shows of them proves nothing
        with _translated():
            if create:
                self._found()
                self._check_marker()
            if tidy and self._marked():
                sweep(root / INCOMING)

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        names = [hashlib.sha256(content).hexdigest() for content in contents]
        self.check()
        unique = dict(zip(names, contents, strict=True))
        with _translated():
            new = {name: content for name, content in unique.items() if name in self._doubted or not self.intact(name)}
            self._reserve.require(sum(map(len, new.values())))
            with workplace(self._root / INCOMING) as place, ThreadPoolExecutor(_SYNC_THREADS) as threads:
                try:
                    self._store(place, new, unique.keys() - new.keys(), threads)
                except OSError:
                    self._doubted |= unique.keys()
                    raise
        self._doubted -= unique.keys()
        return names

    def get(self, sha256: str) -> bytes:
        if not _NAME.fullmatch(sha256):
            raise UnknownImage(f"{sha256[:64]!r} is not the SHA-256 of a stored photograph")
        with _translated():
            try:
                content = self._place(sha256).read_bytes()
            except FileNotFoundError as error:
                self._check_marker()
                raise UnknownImage(f"no photograph {sha256} is stored") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Corrupt(f"the stored photograph {sha256} does not match its hash")
        return content

    def intact(self, sha256: str) -> bool:
        try:
            return _sha256(self._place(sha256)) == sha256
        except FileNotFoundError:
            return False

    def check(self) -> None:
        self._check_marker()
        with _translated():
            if not os.access(self._root, os.W_OK):
                raise Unavailable("the photograph store cannot be written to: its disk is read-only")
            self._sync.check(self._root / INCOMING)

    def room(self) -> None:
        with _translated():
            self._reserve.require(0)

    def faults(self, sha256s: Iterable[str]) -> Iterator[Finding]:
        self._check_marker()
        expected = set()  # of 32 bytes each: the names of a million photographs fit into 100 MB
        for sha256 in sha256s:
            expected.add(bytes.fromhex(sha256))
            try:
                if _sha256(self._place(sha256)) != sha256:
                    yield Finding(f"{sha256} is changed: it does not match its hash")
            except FileNotFoundError:
                self._check_marker()
                yield Finding(f"{sha256} is missing")
            except OSError as error:
                yield Finding(f"{sha256} cannot be read: {error.strerror}")
        with _translated():
            yield from self._strays(expected)
            for path in left_over(self._root / INCOMING):
                yield Finding(f"{path.relative_to(self._root)} is left over from a process that was killed")

    def _store(self, place: Path, new: Mapping[str, bytes], held: Iterable[str], threads: ThreadPoolExecutor) -> None:
        """Make a chunk durable: what is ``new`` is written, what is ``held`` already may still be in the cache only."""
        for name, content in new.items():
            (place / name).write_bytes(content)
        reach("blob.written")
        list(threads.map(self._sync, [*(place / name for name in new), *map(self._place, held)]))
        reach("blob.synced")
        for name in new:
            if _sha256(place / name) != name:
                raise Unavailable("a photograph could not be stored: it reads back changed")
        for name in new:
            self._place(name).parent.mkdir(exist_ok=True)
            self._rename(place / name, self._place(name))
        reach("blob.renamed")
        list(threads.map(self._sync, {self._place(name).parent for name in (*new, *held)} | {self._root}))
        reach("blob.folder_synced")

    def _strays(self, expected: set[bytes]) -> Iterator[Finding]:
        for folder in sorted(self._root.iterdir()):
            if folder.name in {MARKER, INCOMING, _LOST_AND_FOUND}:
                continue
            files = sorted(folder.iterdir()) if folder.is_dir() and _FOLDER.fullmatch(folder.name) else [folder]
            for file in files:
                named = _NAME.fullmatch(file.name) and file == self._place(file.name)
                if not named or bytes.fromhex(file.name) not in expected:
                    yield self._stray(file, original=bool(named))

    def _stray(self, file: Path, *, original: bool) -> Finding:
        """A file that nothing refers to: perhaps an original whose row a kill or a cancel cut off."""
        name = file.relative_to(self._root)
        try:
            intact = original and _sha256(file) == file.name
        except OSError as error:
            return Finding(f"{name} is stray: nothing refers to it, and it cannot be read: {error.strerror}")
        if intact:
            return Finding(f"{name} is unreferenced: an intact original of no annotation", harmless=True)
        return Finding(f"{name} is stray: nothing refers to it{', and its name is not its hash' if original else ''}")

    def _place(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _found(self) -> None:
        """Make an empty or new root a store, once."""
        self._root.mkdir(parents=True, exist_ok=True)
        if {path.name for path in self._root.iterdir()} <= {_LOST_AND_FOUND}:
            (self._root / MARKER).write_bytes(_MARKER_TEXT)
            for path in (self._root / MARKER, self._root, self._root.parent):
                self._sync(path)

    def _marked(self) -> bool:
        return (self._root / MARKER).is_file()

    def _check_marker(self) -> None:
        if not self._marked():
            raise Unavailable("the photograph store lacks its marker file: is its disk mounted?")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk of the photograph store is full",
        lambda why: Unavailable(f"the photograph store does not answer: {why}"),
    )
