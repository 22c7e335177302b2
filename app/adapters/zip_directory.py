"""The directory of a ZIP archive, read and held against itself before any of its content is.

Our own reading, whatever the Python: overlapping entries, contradicting sizes, links, names that lead elsewhere and
bombs are refused for the archive as a whole. An entry's name is only ever a key, never a path on disk.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from app.domain.cells import parse_path, shown
from app.domain.errors import BadArchive

MAX_ENTRIES = 200_000
MAX_ENTRY_BYTES = 100_000_000
MAX_RATIO = 100
# Below this size any ratio is harmless: a small blank picture may well shrink a thousandfold.
RATIO_FROM = 1_000_000
STORED, DEFLATED = 0, 8

_MAX_DIRECTORY = 64_000_000
_MAX_COMMENT = 0xFFFF
_END = Struct("<4sHHHHIIH")
_END64_LOCATOR = Struct("<4sIQI")
_END64 = Struct("<4sQHHIIQQQQ")
_CENTRAL = Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = Struct("<4sHHHHHIIIHH")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
# Encrypted, patched, strongly encrypted, masked headers.
_UNREADABLE_FLAGS = 0x1 | 0x20 | 0x40 | 0x2000
_UTF8 = 0x800
_ZIP64_EXTRA = 1
# No file reaches so far, and beyond it the operating system could not be asked.
_FARTHEST = 1 << 62


class Entry(NamedTuple):
    """One file of an archive: where its packed bytes lie and what they unpack to."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    method: int


class _Directory(NamedTuple):
    start: int
    length: int
    entries: int


class _Central(NamedTuple):
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int


def read_directory(descriptor: int, *, max_total: int) -> dict[str, Entry]:
    """The files of the archive behind an open descriptor, by name (NFC); folders are left out.

    Raises BadArchive for anything that is not whole, plain and within the limits: 200,000 entries, 100 MB an entry,
    a ratio of 100, ``max_total`` bytes unpacked; OSError when the file cannot be read.
    """
    directory = _find(descriptor, os.fstat(descriptor).st_size)
    entries: dict[str, Entry] = {}
    taken: set[str] = set()
    spans: list[tuple[int, int]] = []
    total = 0
    for central in _centrals(os.pread(descriptor, directory.length, directory.start), directory):
        name = _checked_name(central)
        key = name.rstrip("/").casefold()
        if key in taken:
            raise BadArchive(f"two entries are named {shown(name)} (names are compared without case)")
        # One text for both when they are equal: 200,000 names weigh something.
        taken.add(name if key == name else key)
        entry = _entry(descriptor, name, central)
        spans.append((central.header, entry.start + entry.packed))
        total += entry.size
        if total > max_total:
            raise BadArchive(f"the archive unpacks to more than {max_total} bytes")
        if not name.endswith("/"):
            entries[name] = entry
    _refuse_overlaps(spans, directory.start)
    return entries


def _find(descriptor: int, size: int) -> _Directory:
    """The one end record that closes the file exactly, and the directory that it names."""
    length = min(size, _END.size + _MAX_COMMENT)
    tail = os.pread(descriptor, length, size - length)
    marks = (found.start() for found in re.finditer(b"PK\5\6", tail[: max(0, length - _END.size + 4)]))
    ends = [at for at in marks if at + _END.size + _END.unpack_from(tail, at)[7] == length]
    if len(ends) != 1:
        raise BadArchive("this is not a whole ZIP archive: it does not end with one end record")
    end = size - length + ends[0]
    _, disk, first_disk, here, entries, bytes_, start, _ = _END.unpack_from(tail, ends[0])
    if disk or first_disk or here != entries:
        raise BadArchive("the archive is one part of several")
    directory, closes = _Directory(start, bytes_, entries), end
    if entries == _FULL16 or _FULL32 in {bytes_, start}:
        directory, closes = _find64(descriptor, end, directory)
    if directory.start + directory.length != closes:
        raise BadArchive("the directory of the archive does not lie where its end record says")
    if directory.entries > MAX_ENTRIES or directory.length > _MAX_DIRECTORY:
        raise BadArchive(f"the archive has more than {MAX_ENTRIES} entries")
    return directory


def _find64(descriptor: int, end: int, short: _Directory) -> tuple[_Directory, int]:
    """The directory as the zip64 records give it, and where it must end; they have to agree with the short record."""
    at = end - _END64_LOCATOR.size
    locator = _END64_LOCATOR.unpack(_exactly(descriptor, _END64_LOCATOR, at))
    mark, disk, start64, disks = locator
    if mark != b"PK\6\7" or disk or disks > 1 or start64 > at - _END64.size:
        raise BadArchive("the zip64 records of the archive are missing or damaged")
    record = _END64.unpack(_exactly(descriptor, _END64, start64))
    mark, length, _, _, disk, first_disk, here, entries, bytes_, start = record
    if mark != b"PK\6\6" or disk or first_disk or here != entries or start64 + 12 + length != at:
        raise BadArchive("the zip64 records of the archive are damaged")
    for narrow, wide, full in (
        (short.entries, entries, _FULL16),
        (short.length, bytes_, _FULL32),
        (short.start, start, _FULL32),
    ):
        if narrow not in {wide, full}:
            raise BadArchive("the zip64 records contradict the end record of the archive")
    return _Directory(start, bytes_, entries), start64


def _centrals(block: bytes, directory: _Directory) -> Iterator[_Central]:
    at = 0
    for _ in range(directory.entries):
        if at + _CENTRAL.size > len(block):
            raise BadArchive("the directory of the archive is cut short")
        fields = _CENTRAL.unpack_from(block, at)
        mark, _, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_length, extra_length, comment_length, disk, _, attributes, header = fields[10:]
        names = at + _CENTRAL.size
        extras = names + name_length
        at = extras + extra_length + comment_length
        if mark != b"PK\1\2" or at > len(block) or disk not in {0, _FULL16}:
            raise BadArchive("the directory of the archive is damaged")
        wide = _wide(block[extras : extras + extra_length], (size, packed, header))
        yield _Central(block[names:extras], flags, method, crc, wide[1], wide[0], wide[2], attributes >> 16)
    if at != len(block):
        raise BadArchive("the directory of the archive holds more than its entries")


def _wide(extra: bytes, narrow: tuple[int, int, int]) -> tuple[int, int, int]:
    """Size, packed size and header position, the full ones replaced by what the zip64 field of ``extra`` says."""
    if _FULL32 not in narrow:
        return narrow
    at = 0
    while at + 4 <= len(extra):
        kind = int.from_bytes(extra[at : at + 2], "little")
        length = int.from_bytes(extra[at + 2 : at + 4], "little")
        field = extra[at + 4 : at + 4 + length]
        if kind == _ZIP64_EXTRA:
            wanted = [index for index, value in enumerate(narrow) if value == _FULL32]
            if len(field) < 8 * len(wanted):
                break
            values = list(narrow)
            for place, index in enumerate(wanted):
                values[index] = int.from_bytes(field[8 * place : 8 * place + 8], "little")
            return values[0], values[1], values[2]
        at += 4 + length
    raise BadArchive("an entry lacks the zip64 field that its sizes need")


def _checked_name(central: _Central) -> str:
    try:
        # Many tools write UTF-8 without saying so in the flag.
        text = central.name.decode("utf-8")
    except UnicodeDecodeError as error:
        if central.flags & _UTF8:
            raise BadArchive(f"the name of entry {central.name[:80]!r} is not UTF-8 text") from error
        text = central.name.decode("cp437")
    name = unicodedata.normalize("NFC", text)
    try:
        if parse_path(name) != name.removesuffix("/"):
            raise ValueError(f"{shown(name)} is not a plain path")
    except ValueError as error:
        raise BadArchive(f"the archive has an entry that is not safe: {error}") from error
    return name


def _entry(descriptor: int, name: str, central: _Central) -> Entry:
    """The entry with the position of its packed bytes; what it says of itself must be plain, whole and not a bomb."""
    if kind := stat.S_IFMT(central.mode):
        folder = name.endswith("/")
        if kind not in {stat.S_IFREG, stat.S_IFDIR} or (kind == stat.S_IFDIR) != folder:
            raise BadArchive(f"{shown(name)} is a link or a special file")
    if central.flags & _UNREADABLE_FLAGS:
        raise BadArchive(f"{shown(name)} is encrypted")
    if central.method not in {STORED, DEFLATED}:
        raise BadArchive(f"{shown(name)} is packed by method {central.method}; only stored and deflated are read")
    if central.method == STORED and central.packed != central.size:
        raise BadArchive(f"{shown(name)} has two sizes")
    if central.size > MAX_ENTRY_BYTES:
        raise BadArchive(f"{shown(name)} unpacks to more than {MAX_ENTRY_BYTES} bytes")
    if central.size > RATIO_FROM and central.size > MAX_RATIO * central.packed:
        raise BadArchive(f"{shown(name)} unpacks to more than {MAX_RATIO} times its packed size")
    mark, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(
        _exactly(descriptor, _LOCAL, central.header)
    )
    local = os.pread(descriptor, name_length, central.header + _LOCAL.size)
    if mark != b"PK\3\4" or local != central.name or method != central.method or flags & _UNREADABLE_FLAGS:
        raise BadArchive(f"{shown(name)} is described in two ways that contradict each other")
    start = central.header + _LOCAL.size + name_length + extra_length
    return Entry(name, start, central.packed, central.size, central.crc, central.method)


def _refuse_overlaps(spans: list[tuple[int, int]], limit: int) -> None:
    """Entries share no byte with each other or with the directory (a quoted bomb does)."""
    if any(end > start for (_, end), (start, _) in pairwise([*sorted(spans), (limit, limit)])):
        raise BadArchive("entries of the archive overlap")


def _exactly(descriptor: int, shape: Struct, at: int) -> bytes:
    block = os.pread(descriptor, shape.size, at) if 0 <= at <= _FARTHEST else b""
    if len(block) < shape.size:
        raise BadArchive("the archive is cut short")
    return block
