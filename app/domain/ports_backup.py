"""The ports of backup and restore, each fitted by shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from app.domain.backup import BackupReceipt, KeptFile
from app.domain.ports import Blobs


class CatalogueCopies(Protocol):
    """Whole catalogues as single files, whichever database they come from or go to."""

    def write(self, file: Path) -> None:
        """Copy one state of the catalogue to ``file`` while it is in use. Raises CatalogueUnavailable, StorageFull."""

    def names(self, file: Path) -> Iterator[str]:
        """The SHA-256 of every image that a copy names; nothing is written. Raises Corrupt."""

    def require_empty(self) -> None:
        """Raise Conflict when there is a catalogue already."""

    def read(self, file: Path) -> None:
        """Make a copy the catalogue: wholly or not at all. Raises CatalogueUnavailable, StorageFull, Corrupt."""


class BackupFolder(Protocol):
    """A folder that holds one backup, which later backups bring up to date."""

    @property
    def originals(self) -> Blobs:
        """The photographs in it."""

    def writing(self) -> AbstractContextManager[Path]:
        """Hold the folder alone; gives the place for a new copy of the catalogue.

        Raises NotAllowed for a folder of something else, Unavailable while another backup is being written.
        """

    def keep_uploads(self) -> None:
        """Copy the uploads that are not in it yet, as they are now."""

    def seal(self, receipt: BackupReceipt) -> BackupReceipt:
        """Make all durable and the receipt the last of it; gives it with its files. Then forget what it does not name.

        ``receipt.catalogue`` and ``receipt.uploads`` are found here.
        """

    def receipt(self) -> BackupReceipt:
        """What the folder holds; raises BadArchive when there is no complete backup in it."""

    def open(self, kept: KeptFile) -> Path:
        """A file of the backup whose hash was checked; raises Corrupt."""

    def require_empty(self) -> None:
        """Raise Conflict when the data folder to restore into holds anything."""

    def restore_uploads(self, receipt: BackupReceipt) -> None:
        """Put the uploads back; raises Corrupt or StorageFull."""
