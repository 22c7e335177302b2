"""Sheets from a ZIP archive: entries are unpacked in memory on demand, nothing is ever written to disk."""

from __future__ import annotations

import os
import shutil
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.adapters.zip_directory import DEFLATED, MAX_RATIO, RATIO_FROM, Entry, read_directory
from app.disk import open_real
from app.domain.catalogue import Sighting
from app.domain.cells import shown
from app.domain.errors import BadArchive, BadImage, Fault
from app.domain.formats import Layout, SheetFormat
from app.domain.sheet import SHEET, latest_today, sheet_layout, stream_sightings, why

_CHUNK = 1 << 18
# An archive may fill this share of the free disk at most; the catalogue needs room, too.
_SHARE = 0.8


class ZipSheet:
    """The Sheet port on a ZIP archive with metadata.csv at its top, or in its one top folder.

    ``max_bytes`` limits one photograph, ``max_total`` everything unpacked (80 % of the free disk when not given).
    Raises BadArchive for an archive that is not whole, plain and within the limits, or holds no sheet.
    """

    def __init__(self, path: Path, *, max_bytes: int = 50_000_000, max_total: int | None = None) -> None:
        self._max_bytes = max_bytes
        try:
            # The user's own choice may be a link; from here on only its target counts.
            self._path = path = path.resolve(strict=True)
            room = shutil.disk_usage(path).free * _SHARE if max_total is None else max_total
            with _opened(path) as descriptor:
                # Whether the file is still the one that was checked is looked at before every later read.
                self._state = _state(descriptor)
                self._entries = read_directory(descriptor, max_total=int(room))
        except (OSError, RuntimeError) as error:
            raise BadArchive(f"{shown(path.name)} cannot be opened: {why(error)}") from error
        self._folder, name = _place(self._entries)
        self._sheet = self._entries[self._folder + name]

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        with self._readable():
            return sheet_layout(self._unpacked(self._sheet), wanted)

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        with self._readable():
            rows = self._unpacked(self._sheet)
            yield from stream_sightings(rows, absent=self._absent, today=latest_today(), wanted=wanted)

    def read(self, path: str) -> bytes:
        entry = self._entry(path)
        if entry is None:
            raise BadImage(f"{shown(path)} is not in the archive")
        if entry.size > self._max_bytes:
            raise BadImage(f"{shown(path)} has more than {self._max_bytes} bytes")
        try:
            return b"".join(self._unpacked(entry))
        except (OSError, ValueError) as error:
            raise BadImage(f"{shown(path)} cannot be unpacked: {why(error)}") from error

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise BadArchive(f"{shown(self._sheet.name)} cannot be unpacked: {why(error)}") from error

    def _absent(self, path: str) -> str | None:
        return None if self._entry(path) else "is not in the archive"

    def _entry(self, path: str) -> Entry | None:
        # Archives made on a Mac spell accents in another Unicode form than the sheet may.
        return self._entries.get(self._folder + unicodedata.normalize("NFC", path))

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of an entry in pieces, counted and checked as they come; ValueError when it is not what it says."""
        size, crc = 0, 0
        with _opened(self._path) as descriptor:
            if _state(descriptor) != self._state:
                raise ValueError("the archive was changed after it was opened")
            for piece in _pieces(descriptor, entry):
                size += len(piece)
                if size > entry.size or size > max(RATIO_FROM, MAX_RATIO * entry.packed):
                    raise ValueError("it unpacks to more than the archive says")
                crc = zlib.crc32(piece, crc)
                yield piece
        if size != entry.size or crc != entry.crc:
            raise ValueError("it is damaged: size or checksum do not match")


def _place(entries: dict[str, Entry]) -> tuple[str, str]:
    """The folder, "" or "name/", and the name of the sheet: metadata.csv, or else the only .csv of its folder.

    Raises BadArchive when there is none or more than one.
    """
    if SHEET in entries:
        return "", SHEET
    high = [name for name in entries if name.count("/") <= 1]
    found = [name for name in high if name.endswith(f"/{SHEET}")] or [
        name for name in high if name.lower().endswith(".csv") and not name.rpartition("/")[2].startswith(".")
    ]
    if len(found) == 1:
        folder, slash, name = found[0].rpartition("/")
        return folder + slash, name
    what = "more than one" if found else "no"
    books = any(name.lower().endswith((".xlsx", ".xls")) for name in high)
    hint = "; a spreadsheet (.xlsx, .xls) must be saved as CSV UTF-8 first" if books and not found else ""
    raise BadArchive(f"the archive holds {what} sheet ({SHEET}) at its top or in a top folder{hint}")


def _pieces(descriptor: int, entry: Entry) -> Iterator[bytes]:
    if entry.method == DEFLATED:
        yield from _inflated(_packed(descriptor, entry))
    else:
        yield from _packed(descriptor, entry)


def _packed(descriptor: int, entry: Entry) -> Iterator[bytes]:
    at, end = entry.start, entry.start + entry.packed
    while at < end and (block := os.pread(descriptor, min(_CHUNK, end - at), at)):
        at += len(block)
        yield block


def _inflated(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate in pieces of bounded size; ValueError for a broken stream or bytes behind its end."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for block in blocks:
            rest = block
            while rest and not inflate.eof:
                yield inflate.decompress(rest, _CHUNK)
                rest = inflate.unconsumed_tail
            if rest or inflate.unused_data:
                raise ValueError("there are bytes behind its end")
        while not inflate.eof and (piece := inflate.decompress(b"", _CHUNK)):
            yield piece
    except zlib.error as error:
        raise ValueError(f"it is damaged: {error}") from error
    if not inflate.eof:
        raise ValueError("it is cut short")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = open_real(str(path))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _state(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
