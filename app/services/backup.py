"""Backup and restore: a catalogue, its originals, uploads and their sessions, while all of it is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from app.domain.backup import BackupReceipt, KeptFile
from app.domain.errors import Corrupt, UnknownImage
from app.domain.ports import Blobs
from app.domain.ports_backup import BackupFolder, CatalogueCopies

_BATCH, _BATCH_BYTES = 200, 64_000_000
_LATER = KeptFile("", "", 0)

Progress = Callable[[int, int], None]
"""Called with (originals that are through, all originals)."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The use case. Originals never change, so all that a copy of the catalogue names can be copied after it.

    Uploads are copied before and after the catalogue: an import that ends meanwhile takes its upload away, and one
    that begins brings another. What was acknowledged before the start is in the backup.
    """

    blobs: Blobs
    catalogue: CatalogueCopies
    folder: BackupFolder
    version: str

    def __call__(self, progress: Progress | None = None) -> BackupReceipt:
        """Write or bring up to date a backup; its receipt is the last thing written.

        Raises NotAllowed for a folder of something else, Unavailable, StorageFull.
        """
        created = datetime.now(UTC)
        with self.folder.writing() as file:
            self.folder.keep_uploads()
            self.catalogue.write(file)
            self.folder.keep_uploads()
            names = list(self.catalogue.names(file))
            target = self.folder.originals
            missing = [name for name in names if not target.intact(name)]
            lacking = _copy(missing, self.blobs, target, progress or _quiet)
            copied = len(missing) - len(lacking)
            draft = BackupReceipt(self.version, created, _LATER, (), len(names), copied, tuple(lacking))
            return self.folder.seal(draft)


@dataclass(frozen=True, slots=True)
class Restore:
    """The use case: into an empty place only. The catalogue comes last, so that half a restore shows no catalogue."""

    catalogue: CatalogueCopies
    folder: BackupFolder
    store: Callable[[], Blobs]

    def __call__(self, progress: Progress | None = None) -> BackupReceipt:
        """Put a backup back, every hash checked; ``lacking`` of the answer names what is missing or damaged in it.

        Raises BadArchive for an incomplete backup, Conflict where there is something already, Corrupt for a damaged
        catalogue or upload, Unavailable, StorageFull.
        """
        receipt = self.folder.receipt()
        self.folder.require_empty()
        self.catalogue.require_empty()
        file: Path = self.folder.open(receipt.catalogue)
        target, names = self.store(), list(self.catalogue.names(file))
        lacking = _copy(names, self.folder.originals, target, progress or _quiet)
        self.folder.restore_uploads(receipt)
        self.catalogue.read(file)
        return replace(receipt, copied=len(names) - len(lacking), lacking=tuple(lacking))


def _copy(names: Iterable[str], source: Blobs, target: Blobs, progress: Progress) -> list[str]:
    """Copy originals, each checked against its hash; gives a sentence for each that is not as it should be."""
    wanted, lacking, done = list(names), list[str](), 0
    for batch in _batches(wanted, source, lacking):
        target.put_all(batch)
        done += len(batch)
        progress(done + len(lacking), len(wanted))
    return lacking


def _batches(names: Iterable[str], source: Blobs, lacking: list[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for name in names:
        try:
            batch.append(source.get(name))
        except (UnknownImage, Corrupt) as error:
            lacking.append(str(error))
        if len(batch) >= _BATCH or sum(map(len, batch)) >= _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""
