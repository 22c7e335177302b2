"""Sheets from a ZIP archive."""

import io
import os
import random
import struct
import unicodedata
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters import zip_directory
from app.adapters.zip_sheets import ZipSheet
from app.domain.errors import BadArchive, BadImage, BadRows, Fault

SHEET = b"image_id,path,viewpoint,date\n1,images/a.jpg,top,2019\n2,b.jpg,left,\n"
PHOTOGRAPHS = {"images/a.jpg": b"whale " * 1000, "b.jpg": b"x"}


def packed(entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "survey.zip"
    path.write_bytes(content)
    return path


def with_entry(info: zipfile.ZipInfo, content: bytes = b"x") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.csv", SHEET)
        archive.writestr(info, content)
    return stream.getvalue()


def named(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.external_attr = mode << 16
    return info


def refused(tmp_path: Path, content: bytes, reason: str, **limits: int) -> None:
    with pytest.raises(BadArchive, match=reason):
        ZipSheet(written(tmp_path, content), **limits)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "survey 2019/"])
def test_an_archive_gives_its_rows_and_photographs(tmp_path, method, top):
    """The sheet lies at the top or in the one top folder, and its paths start there."""
    entries = {top + "metadata.csv": SHEET} | {top + path: content for path, content in PHOTOGRAPHS.items()}
    sheet = ZipSheet(written(tmp_path, packed(entries, method=method)))
    assert [sighting.path for sighting in sheet.sightings()] == list(PHOTOGRAPHS)
    assert {path: sheet.read(path) for path in PHOTOGRAPHS} == PHOTOGRAPHS
    assert [path.name for path in tmp_path.iterdir()] == ["survey.zip"]


@pytest.mark.parametrize("name", ["whales.csv", "survey/Import 2019.CSV"])
def test_the_only_csv_is_the_sheet(tmp_path, name):
    """A sheet of another product keeps its name; what a Mac hides beside it does not count."""
    top = name.rpartition("/")[0] + "/" if "/" in name else ""
    entries = {name: SHEET, f"{top}._whales.csv": b"?"} | {top + path: one for path, one in PHOTOGRAPHS.items()}
    sheet = ZipSheet(written(tmp_path, packed(entries)))
    assert [sighting.path for sighting in sheet.sightings()] == list(PHOTOGRAPHS)


def test_a_streamed_zip64_archive_is_read(tmp_path):
    """Sizes behind the data and in zip64 fields, as a streaming writer leaves them, are understood."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = bytearray()

        def writable(self):
            return True

        def write(self, block):
            self.content += block
            return len(block)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"metadata.csv": SHEET, **PHOTOGRAPHS}.items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    sheet = ZipSheet(written(tmp_path, bytes(pipe.content)))
    assert len(list(sheet.sightings())) == 2
    assert sheet.read("images/a.jpg") == PHOTOGRAPHS["images/a.jpg"]


def zip64(entries: int = 3, position_error: int = 0, size_error: int = 0) -> bytes:
    """An archive whose end record defers to zip64 records, which may lie."""
    content = packed({"metadata.csv": SHEET, **PHOTOGRAPHS})
    end = len(content) - 22
    size, start = struct.unpack_from("<II", content, end + 12)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size + size_error, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end + position_error, 1)
    short = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, size, 0xFFFFFFFF, 0)
    return content[:end] + record + locator + short


def test_zip64_records_are_read(tmp_path):
    """An archive that counts in zip64 alone is read like any other."""
    assert len(list(ZipSheet(written(tmp_path, zip64())).sightings())) == 2


@pytest.mark.parametrize("lie", [{"entries": 4}, {"position_error": 1}, {"position_error": 1 << 60}, {"size_error": 1}])
def test_zip64_records_that_lie_are_refused(tmp_path, lie):
    """Counts, positions and sizes are held against the file and the short record."""
    refused(tmp_path, zip64(**lie), "zip64|directory")


def wide_entry(extra: bytes) -> bytes:
    """An archive whose last entry keeps its size in ``extra``."""
    content = packed({"metadata.csv": SHEET, "b.jpg": b"whale"}, method=zipfile.ZIP_STORED)
    central = content.rfind(b"PK\1\2")
    end = len(content) - 22
    entry = bytearray(content[central:end])
    struct.pack_into("<I", entry, 24, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    closing = bytearray(content[end:])
    struct.pack_into("<I", closing, 12, struct.unpack_from("<I", closing, 12)[0] + len(extra))
    return content[:central] + bytes(entry) + extra + bytes(closing)


def field(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def test_a_size_in_the_extra_fields_is_found(tmp_path):
    """Among other extra fields the zip64 one says what did not fit."""
    extra = field(0x5455, b"time") + field(1, struct.pack("<Q", 5))
    assert ZipSheet(written(tmp_path, wide_entry(extra))).read("b.jpg") == b"whale"


@pytest.mark.parametrize("extra", [b"", field(0x5455, b"time"), field(1, b"shor"), struct.pack("<HH", 9, 9999)])
def test_a_size_that_is_nowhere_is_refused(tmp_path, extra):
    """An entry whose size did not fit and stands nowhere else is damaged."""
    refused(tmp_path, wide_entry(extra), "zip64 field")


@pytest.mark.parametrize(("count", "reason"), [(4, "cut short"), (2, "more than its entries")])
def test_the_number_of_entries_is_held_against_the_directory(tmp_path, count, reason):
    """An end record that counts otherwise than the directory does is not believed."""
    content = bytearray(packed({"metadata.csv": SHEET, **PHOTOGRAPHS}))
    struct.pack_into("<HH", content, len(content) - 14, count, count)
    refused(tmp_path, bytes(content), reason)


@pytest.mark.parametrize(("offset", "reason"), [(0, "is damaged"), (34, "is damaged"), (42, "cut short|contradict")])
def test_a_damaged_directory_is_refused(tmp_path, offset, reason):
    """Marks, disks and positions of the directory are checked."""
    content = bytearray(packed({"metadata.csv": SHEET, **PHOTOGRAPHS}))
    central = content.rfind(b"PK\1\2")
    content[central + offset] ^= 0x40
    content[central + offset + 1] ^= 0x40
    refused(tmp_path, bytes(content), reason)


def test_a_stream_that_breaks_off_is_damaged(tmp_path):
    """A deflated entry whose stream has no end is refused."""
    stream = zlib.compressobj(wbits=-15)
    endless = stream.compress(b"whale") + stream.flush(zlib.Z_FULL_FLUSH)
    content = bytearray(packed({"metadata.csv": SHEET, "a.jpg": endless}, method=zipfile.ZIP_STORED))
    content[content.rfind(b"PK\1\2") + 10] = zipfile.ZIP_DEFLATED
    content[content.rfind(b"PK\3\4") + 8] = zipfile.ZIP_DEFLATED
    opened = ZipSheet(written(tmp_path, bytes(content)))
    with pytest.raises(BadImage, match="cut short"):
        opened.read("a.jpg")


@pytest.mark.parametrize("size", [1, 262_144, 262_145, 3_000_001])
@pytest.mark.parametrize("level", [0, 9])
def test_any_size_is_unpacked_whole(tmp_path, size, level):
    """Pieces end where they end: blank or noisy, a photograph comes back byte for byte."""
    stream = io.BytesIO()
    content = random.Random(size).randbytes(size // 2) + bytes(size - size // 2)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        archive.writestr("metadata.csv", SHEET)
        archive.writestr("a.jpg", content)
    assert ZipSheet(written(tmp_path, stream.getvalue())).read("a.jpg") == content


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "a/../../evil.jpg",
        "/etc/passwd",
        "C:/evil.jpg",
        "a\\evil.jpg",
        "./a.jpg",
        "a//b.jpg",
        "a\nb.jpg",
        "",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    """One such name refuses the whole archive: whoever made it meant no good, or made it wrong."""
    refused(tmp_path, with_entry(named(name)), "not safe")


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o040755])
def test_links_and_special_files_are_refused(tmp_path, mode):
    """A symbolic link, a pipe, a device, or a folder that pretends to be a file."""
    refused(tmp_path, with_entry(named("a.jpg", mode)), "link or a special file")


@pytest.mark.parametrize(
    ("offset", "flags", "reason"), [(8, 0x1, "encrypted"), (8, 0x41, "encrypted"), (10, 12, "method 12")]
)
def test_encrypted_and_exotic_entries_are_refused(tmp_path, offset, flags, reason):
    """What cannot be read is named at once, not in the middle of an import."""
    content = bytearray(packed({"metadata.csv": SHEET, **PHOTOGRAPHS}))
    content[content.find(b"PK\1\2") + offset] = flags
    refused(tmp_path, bytes(content), reason)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a.jpg", "a.jpg"), ("a.jpg", "A.JPG"), ("é.jpg", unicodedata.normalize("NFD", "é.jpg")), ("a", "a/")]
)
def test_names_that_clash_are_refused(tmp_path, names):
    """Two entries of one name, also by case or Unicode form, leave open which is meant."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    refused(tmp_path, stream.getvalue(), "two entries are named")


def test_a_name_is_found_in_either_unicode_form(tmp_path):
    """A Mac writes é as two characters, a sheet may write it as one."""
    sheet = "image_id,path,viewpoint,date\n1,\u00e9.jpg,top,\n".encode()
    opened = ZipSheet(written(tmp_path, packed({"metadata.csv": sheet, "e\u0301.jpg": b"x"})))
    assert opened.read(next(opened.sightings()).path) == b"x"


def test_a_name_from_an_old_writer_is_read(tmp_path):
    """A name that is not UTF-8 and does not claim to be is code page 437."""
    content = packed({"metadata.csv": SHEET, "abc.jpg": b"x"}).replace(b"abc.jpg", b"\x82bc.jpg")
    assert ZipSheet(written(tmp_path, content)).read("ébc.jpg") == b"x"


def test_a_name_that_claims_to_be_utf8_and_is_not_is_refused(tmp_path):
    """The flag says how to read a name; a name that contradicts it is damaged."""
    content = packed({"metadata.csv": SHEET, "éé.jpg": b"x"}).replace("éé".encode(), b"\xff\xff\xff\xff")
    refused(tmp_path, content, "not UTF-8")


def test_a_declared_bomb_is_refused_unread(tmp_path):
    """A ratio above 100 is refused when the archive is opened."""
    refused(tmp_path, packed({"metadata.csv": SHEET, "a.jpg": bytes(2_000_000)}), "more than 100 times")


def test_a_small_blank_photograph_is_no_bomb(tmp_path):
    """Below a megabyte a high ratio harms nobody."""
    opened = ZipSheet(written(tmp_path, packed({"metadata.csv": SHEET, "a.jpg": bytes(900_000)})))
    assert opened.read("a.jpg") == bytes(900_000)


def test_a_declared_giant_is_refused_unread(tmp_path):
    """An entry above 100 MB is refused when the archive is opened."""
    content = bytearray(packed({"metadata.csv": SHEET}))
    struct.pack_into("<I", content, content.find(b"PK\1\2") + 24, 100_000_001)
    refused(tmp_path, bytes(content), "more than 100000000 bytes")


def test_the_whole_archive_has_a_limit(tmp_path):
    """Many entries that are each allowed must not fill the disk together."""
    content = packed({"metadata.csv": SHEET, "a.jpg": bytes(600), "b.jpg": bytes(600)})
    refused(tmp_path, content, "unpacks to more than 1000 bytes", max_total=1000)


def lying(size: int, claimed: int) -> bytes:
    """An archive with an entry of zeros that declares another size than it has."""
    content = bytearray(packed({"metadata.csv": SHEET, "a.jpg": bytes(size)}))
    central = content.rfind(b"PK\1\2")
    struct.pack_into("<I", content, central + 24, claimed)
    return bytes(content)


@pytest.mark.parametrize("claimed", [10, 4_999])
def test_an_undeclared_bomb_is_stopped_while_it_unpacks(tmp_path, claimed):
    """What an entry says of itself is counted, not believed."""
    opened = ZipSheet(written(tmp_path, lying(5_000, claimed)))
    with pytest.raises(BadImage, match="more than the archive says"):
        opened.read("a.jpg")


def test_a_bomb_stops_after_a_bounded_piece(tmp_path, monkeypatch):
    """However far a stream would unpack, only a piece beyond its claim is ever made."""
    opened = ZipSheet(written(tmp_path, lying(50_000_000, 1_000)))
    made = []
    inflate = zlib.decompressobj

    class Counting:
        def __init__(self, *arguments):
            self.inner = inflate(*arguments)

        def decompress(self, block, most):
            piece = self.inner.decompress(block, most)
            made.append(len(piece))
            return piece

        def __getattr__(self, name):
            return getattr(self.inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    with pytest.raises(BadImage):
        opened.read("a.jpg")
    assert 0 < sum(made) < 1_000_000


def test_an_entry_that_is_shorter_than_it_says_is_damaged(tmp_path):
    """Size and checksum are held against what was unpacked."""
    opened = ZipSheet(written(tmp_path, lying(5_000, 5_001)))
    with pytest.raises(BadImage, match="size or checksum"):
        opened.read("a.jpg")


def test_a_flipped_bit_is_found(tmp_path):
    """A stored photograph with one wrong bit is refused, the others are not."""
    content = bytearray(packed({"metadata.csv": SHEET, **PHOTOGRAPHS}, method=zipfile.ZIP_STORED))
    content[content.find(b"whale") + 7] ^= 1
    opened = ZipSheet(written(tmp_path, bytes(content)))
    assert opened.read("b.jpg") == b"x"
    with pytest.raises(BadImage, match="checksum"):
        opened.read("images/a.jpg")


def test_a_broken_sheet_refuses_the_archive(tmp_path):
    """A damaged metadata.csv is not read half."""
    content = bytearray(packed({"metadata.csv": SHEET}, method=zipfile.ZIP_STORED))
    content[content.find(b"top")] ^= 0x20
    with pytest.raises(BadArchive):
        list(ZipSheet(written(tmp_path, bytes(content))).sightings())
    content[content.find(b"image_id")] ^= 0x80
    with pytest.raises(BadRows):
        ZipSheet(written(tmp_path, bytes(content))).layout()


def test_two_entries_of_the_same_bytes_are_refused(tmp_path):
    """Two names for one local entry (CVE-2024-0450) would unpack it twice."""
    content = bytearray(packed({"metadata.csv": SHEET, "a.jpg": b"abc", "b.jpg": b"abc"}, method=zipfile.ZIP_STORED))
    last = content.rfind(b"PK\1\2")
    before = content.rfind(b"PK\1\2", 0, last)
    content[last + 42 : last + 46] = content[before + 42 : before + 46]
    refused(tmp_path, bytes(content), "contradict each other")


def test_an_entry_inside_another_is_refused(tmp_path):
    """A whole archive quoted inside a stored entry does not become entries of the outer one."""
    inner = packed({"b.jpg": b"inner"}, method=zipfile.ZIP_STORED)
    content = bytearray(packed({"metadata.csv": SHEET, "a.bin": inner, "b.jpg": b"outer"}, method=zipfile.ZIP_STORED))
    central = content.rfind(b"PK\1\2")
    struct.pack_into("<I", content, central + 42, content.find(b"PK\3\4", content.find(b"a.bin")))
    refused(tmp_path, bytes(content), "overlap")


def test_bytes_behind_a_stream_are_refused(tmp_path):
    """A deflated entry ends where its stream ends; nothing hides behind it."""
    content = bytearray(packed({"metadata.csv": SHEET, "a.jpg": b"whale"}))
    central = content.rfind(b"PK\1\2")
    at = content.find(b"a.jpg") + 5
    length = struct.unpack_from("<I", content, central + 20)[0]
    stream = zlib.compressobj(wbits=-15)
    short = stream.compress(b"w") + stream.flush()
    content[at : at + length] = short + bytes(length - len(short))
    with pytest.raises(BadImage, match="behind its end"):
        ZipSheet(written(tmp_path, bytes(content))).read("a.jpg")


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    """The number of entries is limited before the first of them is read."""
    monkeypatch.setattr(zip_directory, "MAX_ENTRIES", 3)
    assert ZipSheet(written(tmp_path, packed({"metadata.csv": SHEET, **PHOTOGRAPHS})))
    refused(tmp_path, packed({"metadata.csv": SHEET, **PHOTOGRAPHS, "c": b""}), "more than 3 entries")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a whole ZIP"),
        (b"PK\5\6", "not a whole ZIP"),
        (b"PK\5\6" + bytes(18), "no sheet"),
        (packed({"metadata.csv": SHEET}) + b"trailing", "not a whole ZIP"),
        (packed({"metadata.csv": SHEET})[:-1], "not a whole ZIP"),
        (b"prefix" + packed({"metadata.csv": SHEET}), "does not lie"),
        (packed({"a.jpg": b"x"}), "no sheet"),
        (packed({"a/b/metadata.csv": SHEET}), "no sheet"),
        (packed({"a.csv": SHEET, "b.csv": SHEET}), "more than one sheet"),
        (packed({"whales.xlsx": b"x", "a.jpg": b"x"}), "saved as CSV UTF-8 first"),
        (packed({"a/metadata.csv": SHEET, "b/metadata.csv": SHEET}), "more than one sheet"),
    ],
)
def test_what_is_not_one_whole_archive_with_a_sheet_is_refused(tmp_path, content, reason):
    """Cut, extended or without a sheet of its own: the reason is named."""
    refused(tmp_path, content, reason)


def test_an_ambiguous_end_is_refused(tmp_path):
    """A comment that holds another end record could be read in two ways."""
    content = bytearray(packed({"metadata.csv": SHEET}))
    inner = b"PK\5\6" + bytes(18)
    content[-2:] = struct.pack("<H", len(inner))
    refused(tmp_path, bytes(content) + inner, "one end record")


@pytest.mark.parametrize("name", ["absent.zip", "folder", "pipe"])
def test_what_is_not_a_file_is_refused(tmp_path, name):
    """A missing file, a folder and a pipe are no archives; nothing waits."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadArchive) as error:
        ZipSheet(tmp_path / name)
    assert str(tmp_path) not in str(error.value)


def test_rows_without_their_photograph_are_faults(tmp_path):
    """A sheet is held against the names of the archive before anything is unpacked."""
    opened = ZipSheet(written(tmp_path, packed({"metadata.csv": SHEET, "b.jpg": b"x"})))
    assert [(said.row, said.column) for said in opened.sightings() if isinstance(said, Fault)] == [(2, "path")]
    with pytest.raises(BadImage, match="not in the archive"):
        opened.read("images/a.jpg")


def test_a_photograph_has_a_limit_of_size(tmp_path):
    """An entry above the limit is refused unread."""
    opened = ZipSheet(written(tmp_path, packed({"metadata.csv": SHEET, **PHOTOGRAPHS})), max_bytes=100)
    assert opened.read("b.jpg") == b"x"
    with pytest.raises(BadImage, match="more than 100 bytes"):
        opened.read("images/a.jpg")


def test_an_archive_that_changes_is_not_read_on(tmp_path):
    """Positions that were checked are worth nothing in another file."""
    path = written(tmp_path, packed({"metadata.csv": SHEET, **PHOTOGRAPHS}))
    opened = ZipSheet(path)
    path.write_bytes(packed({"metadata.csv": SHEET + b"3,b.jpg,top,\n", **PHOTOGRAPHS}))
    with pytest.raises(BadImage, match="changed"):
        opened.read("b.jpg")
    with pytest.raises(BadArchive, match="changed"):
        list(opened.sightings())


def test_every_damaged_archive_is_refused_or_read(tmp_path):
    """Flipped and lost bytes end in rows or in a refusal, never in another error."""
    whole = zip64()
    chance = random.Random(7)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path = written(tmp_path, bytes(content[: chance.choice([len(content), chance.randrange(len(content))])]))
        with suppress(BadArchive, BadRows, BadImage):
            opened = ZipSheet(path)
            for sighting in list(opened.sightings()):
                if isinstance(sighting, Fault):
                    continue
                assert opened.read(sighting.path) == PHOTOGRAPHS[sighting.path]


def test_every_foreign_archive_is_refused_or_read(shared_data, tmp_path):
    """Broken and hostile archives that nobody here wrote end in rows or in a refusal; nothing is written."""
    files = [file for file in (shared_data / "bad-inputs" / "zip").rglob("*") if file.is_file()]
    assert files
    for file in files:
        path = written(tmp_path, file.read_bytes())
        with suppress(BadArchive, BadRows):
            list(ZipSheet(path).sightings())
    assert [path.name for path in tmp_path.iterdir()] == ["survey.zip"]
