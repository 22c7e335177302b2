"""Blobs in a folder: ``ab/<sha256>``, each file written once and never renamed, changed or deleted.

A chunk is durable in this order: temporary files, fsync, hash read back, rename, fsync of the folders. An error of
fsync is final for its chunk: the kernel may have dropped the pages, so trying again would prove nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from app.disk import disk_errors
from app.domain.errors import Corrupt, Unavailable, UnknownImage

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

    The root holds a marker file: where it is missing (an unmounted disk), nothing is written and nothing is called
    missing. ``create`` allows an empty root to be made a store. Raises Unavailable for a root that is not a store.
    """

    def __init__(self, root: Path, *, create: bool = True, sync: Callable[[int], None] = os.fsync) -> None:
        self._root = root
        self._sync = sync
        with _translated():
            if create:
                self._found()
            self._check_marker()
            _sweep(root / INCOMING)

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        names = [hashlib.sha256(content).hexdigest() for content in contents]
        self._check_marker()
        with (
            _translated(),
            _workplace(self._root / INCOMING) as workplace,
            ThreadPoolExecutor(_SYNC_THREADS) as threads,
        ):
            unique = dict(zip(names, contents, strict=True))
            new = {name: content for name, content in unique.items() if not self._intact(name)}
            for name, content in new.items():
                (workplace / name).write_bytes(content)
            places = [workplace / name if name in new else self._place(name) for name in unique]
            list(threads.map(self._sync_path, places))
            for name in new:
                if _sha256(workplace / name) != name:
                    raise Unavailable("a photograph could not be stored: it reads back changed")
            for name in new:
                self._place(name).parent.mkdir(exist_ok=True)
                (workplace / name).replace(self._place(name))
            list(threads.map(self._sync_path, {self._place(name).parent for name in unique} | {self._root}))
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

    def faults(self, sha256s: Iterable[str]) -> Iterator[str]:
        self._check_marker()
        expected = set()
        for sha256 in sha256s:
            expected.add(sha256)
            try:
                if _sha256(self._place(sha256)) != sha256:
                    yield f"{sha256} is changed: it does not match its hash"
            except FileNotFoundError:
                yield f"{sha256} is missing"
            except OSError as error:
                yield f"{sha256} cannot be read: {error.strerror}"
        with _translated():
            yield from self._strays(expected)

    def _strays(self, expected: set[str]) -> Iterator[str]:
        for folder in sorted(self._root.iterdir()):
            if folder.name in {MARKER, INCOMING, _LOST_AND_FOUND}:
                continue
            files = sorted(folder.iterdir()) if folder.is_dir() and _FOLDER.fullmatch(folder.name) else [folder]
            for file in files:
                if file.name not in expected or file != self._place(file.name):
                    yield f"{file.relative_to(self._root)} is stray: nothing refers to it"

    def _place(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _intact(self, name: str) -> bool:
        """Whether the blob is there already, as it should be; a damaged one is written again."""
        try:
            return _sha256(self._place(name)) == name
        except FileNotFoundError:
            return False

    def _sync_path(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _found(self) -> None:
        """Make an empty or new root a store, once."""
        self._root.mkdir(parents=True, exist_ok=True)
        if {path.name for path in self._root.iterdir()} <= {_LOST_AND_FOUND}:
            (self._root / MARKER).write_bytes(_MARKER_TEXT)
            for path in (self._root / MARKER, self._root, self._root.parent):
                self._sync_path(path)

    def _check_marker(self) -> None:
        if not (self._root / MARKER).is_file():
            raise Unavailable("the photograph store lacks its marker file: is its disk mounted?")


@contextmanager
def _workplace(incoming: Path) -> Iterator[Path]:
    """A folder of our own for temporary files, locked while it is used so that no other process sweeps it away."""
    incoming.mkdir(exist_ok=True)
    folder = Path(mkdtemp(dir=incoming))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _sweep(incoming: Path) -> None:
    """Remove what processes that are gone left behind; the folders of living ones are locked."""
    for folder in incoming.iterdir() if incoming.is_dir() else ():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk of the photograph store is full",
        lambda why: Unavailable(f"the photograph store does not answer: {why}"),
    )
