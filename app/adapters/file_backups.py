"""A backup in a folder: originals under their SHA-256, a copy of the catalogue, uploads, and a receipt over all of it.

The receipt, ``backup.json``, is written last and names the copy of the catalogue by its hash: a run that was killed
leaves no receipt, or that of the run before with all that it names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.adapters.file_blobs import MARKER, FileBlobs
from app.disk import disk_errors, sync_folder
from app.domain.backup import BackupReceipt, KeptFile
from app.domain.errors import BadArchive, Conflict, Corrupt, NotAllowed, Unavailable
from app.failpoints import reach

RECEIPT = "backup.json"
_FORMAT = 1
_ORIGINALS, _NEW = "originals", "catalogue.partial"
# Archives that wait for their import, and upload sessions.
_UPLOADS = ("uploads", "sessions")
_HALF = ".partial"


class FileBackup:
    """The BackupFolder port; ``live`` is the data folder that is backed up or restored into."""

    def __init__(self, folder: Path, live: Path) -> None:
        self._folder = folder
        self._live = live
        self._kept: set[Path] = set()

    @property
    def originals(self) -> FileBlobs:
        return FileBlobs(self._folder / _ORIGINALS, create=False)

    @contextmanager
    def writing(self) -> Iterator[Path]:
        with _translated():
            self._folder.mkdir(parents=True, exist_ok=True)
            ours = (self._folder / _ORIGINALS / MARKER).is_file()
            if not ours and any(self._folder.iterdir()):
                raise NotAllowed("the folder holds something else: give an empty one, or one with a backup")
            FileBlobs(self._folder / _ORIGINALS)
            opened = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._kept.clear()
                yield self._folder / _NEW
            except BlockingIOError as error:
                raise Unavailable("another backup is being written into this folder") from error
            finally:
                os.close(opened)

    def keep_uploads(self) -> None:
        with _translated():
            for source in _uploaded(self._live):
                target = self._folder / source.relative_to(self._live)
                # An import that ends takes its upload away: then its photographs are in the catalogue.
                with suppress(FileNotFoundError):
                    _kept(source, target)
                    self._kept.add(target)

    def seal(self, receipt: BackupReceipt) -> BackupReceipt:
        with _translated():
            new = self._folder / _NEW
            catalogue = self._described(new)
            name = f"catalogue-{catalogue.sha256[:16]}.sqlite"
            reach("backup.copied")
            new.replace(self._folder / name)
            uploads = tuple(map(self._described, sorted(self._kept)))
            sealed = replace(receipt, catalogue=replace(catalogue, path=name), uploads=uploads)
            partial = self._folder / f"{RECEIPT}{_HALF}"
            partial.write_bytes(_encode(sealed))
            for path in (partial, self._folder):
                sync_folder(path)
            reach("backup.receipt_written")
            partial.replace(self._folder / RECEIPT)
            sync_folder(self._folder)
            for old in self._folder.glob("catalogue-*.sqlite"):
                if old.name != name:
                    old.unlink()
            for old in set(_uploaded(self._folder)) - self._kept:
                old.unlink()
            return sealed

    def receipt(self) -> BackupReceipt:
        try:
            return _decode((self._folder / RECEIPT).read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadArchive("there is no complete backup here: its receipt is missing or damaged") from error

    def open(self, kept: KeptFile) -> Path:
        path = self._folder / kept.path
        try:
            if self._described(path) == kept:
                return path
        except FileNotFoundError as error:
            raise Corrupt(f"the backup is damaged: {kept.path} is missing") from error
        except OSError as error:
            raise Corrupt(f"the backup is damaged: {kept.path} cannot be read: {error.strerror}") from error
        raise Corrupt(f"the backup is damaged: {kept.path} does not match its hash")

    def require_empty(self) -> None:
        with _translated():
            if self._live.exists() and any(path.name != "lost+found" for path in self._live.iterdir()):
                raise Conflict("the data folder is not empty; a backup is restored into an empty one")

    def restore_uploads(self, receipt: BackupReceipt) -> None:
        with _translated():
            for kept in receipt.uploads:
                _kept(self.open(kept), self._live / kept.path)

    def _described(self, path: Path) -> KeptFile:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return KeptFile(path.relative_to(self._folder).as_posix(), sha256, os.fstat(file.fileno()).st_size)


def _uploaded(folder: Path) -> list[Path]:
    """All whole files of uploads; the log of a session comes before what it names, which is on disk by then."""
    files = (path for name in _UPLOADS for path in (folder / name).rglob("*"))
    whole = (path for path in files if path.is_file() and path.suffix != _HALF)
    return sorted(whole, key=lambda path: (path.suffix != ".log", path))


def _kept(source: Path, target: Path) -> None:
    """Copy a file durably, unless it is there as it is."""
    now = source.stat()
    with suppress(FileNotFoundError):
        then = target.stat()
        if (then.st_size, then.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}{_HALF}")
    shutil.copy2(source, partial)
    sync_folder(partial)
    partial.replace(target)
    sync_folder(target.parent)


def _encode(receipt: BackupReceipt) -> bytes:
    body = asdict(receipt) | {"created": receipt.created.isoformat(), "format": _FORMAT}
    digest = hashlib.sha256(_text(body)).hexdigest()
    return _text(body | {"sha256": digest})


def _decode(content: bytes) -> BackupReceipt:
    """Read a receipt; raises ValueError, KeyError or TypeError for anything that ``_encode`` did not write."""
    raw: dict[str, Any] = json.loads(content)
    receipt = BackupReceipt(
        version=str(raw["version"]),
        created=datetime.fromisoformat(raw["created"]),
        catalogue=_file(raw["catalogue"]),
        uploads=tuple(map(_file, raw["uploads"])),
        originals=int(raw["originals"]),
        copied=int(raw["copied"]),
        lacking=tuple(map(str, raw["lacking"])),
    )
    if _encode(receipt) != content:
        raise ValueError("a receipt that does not match its own hash, or of another format")
    return receipt


def _file(raw: dict[str, Any]) -> KeptFile:
    kept = KeptFile(str(raw["path"]), str(raw["sha256"]), int(raw["size"]))
    # The path is opened below the backup and written below the data folder: it must lead out of neither.
    if Path(kept.path).is_absolute() or ".." in Path(kept.path).parts:
        raise ValueError("a path that leaves the backup")
    return kept


def _text(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, indent=1).encode()


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk of the backup is full: it is not complete",
        lambda why: Unavailable(f"the backup folder does not answer: {why}"),
    )
