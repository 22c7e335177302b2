"""What a backup says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a backup: its path inside it, its SHA-256 and its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class BackupReceipt:
    """Written last: without it a backup is not complete.

    ``originals`` is how many photographs the catalogue names, ``copied`` how many of them this run had to copy, and
    ``lacking`` one sentence for each that was missing or damaged where it came from. ``uploads`` are archives whose
    import had not ended, and the files of upload sessions.
    """

    version: str
    created: datetime
    catalogue: KeptFile
    uploads: tuple[KeptFile, ...]
    originals: int
    copied: int
    lacking: tuple[str, ...]
