"""Upload sessions on disk: durable receipts, whatever cuts them short."""

import hashlib
import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters import file_receiver
from app.adapters.file_sessions import FileSessions, SessionLimits
from app.adapters.file_uploads import FileUploads
from app.disk import Reserve
from app.domain.catalogue import Sighting
from app.domain.errors import BadArchive, BadDigest, BadImage, StorageFull, TooLarge, Unavailable, UnknownUpload
from app.domain.uploads import SHEET_PATH, Received

SHEET = "image_id,path,viewpoint,date\n1,é.jpg,top,2019\n2,gone.jpg,top,2019\n".encode()


@pytest.fixture
def sessions(tmp_path) -> FileSessions:
    return FileSessions(tmp_path / "sessions")


def send(sessions: FileSessions, upload_id: str, path: str, content: bytes, expected: str | None = None) -> Received:
    receiver = sessions.receive(upload_id, path, expected, len(content))
    try:
        receiver.write(content[:3])
        receiver.write(content[3:])
        return receiver.finish()
    finally:
        receiver.abort()


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "sessions").rglob("*") if path.is_file())


def test_what_was_received_is_there_after_a_restart(sessions, tmp_path):
    """Another process sees each photograph with its hash and size, in order; the last one of a path counts."""
    upload_id = sessions.create().upload_id
    for path, content in (("a.jpg", b"first"), ("b/c.jpg", b"second"), ("a.jpg", b"mended"), (SHEET_PATH, SHEET)):
        send(sessions, upload_id, path, content)
    for seen in (sessions, FileSessions(tmp_path / "sessions")):
        session = seen.session(upload_id)
        assert (session.photographs, session.size) == (2, 12 + len(SHEET))
        assert session.sheet == Received(SHEET_PATH, hashlib.sha256(SHEET).hexdigest(), len(SHEET))
        found = seen.received(upload_id, 0, 10)
        assert [(one.path, one.size) for one in found] == [("a.jpg", 6), ("b/c.jpg", 6)]
        assert found[0].sha256 == hashlib.sha256(b"mended").hexdigest()
        assert seen.received(upload_id, 1, 1) == found[1:]
        assert session.expires > session.created


def test_a_session_is_read_as_a_sheet(sessions):
    """Rows whose photograph did not come are faults; a name is found in either Unicode form."""
    upload_id = sessions.create().upload_id
    with pytest.raises(BadArchive, match="no sheet"):
        sessions.open(upload_id)
    send(sessions, upload_id, SHEET_PATH, SHEET)
    send(sessions, upload_id, "e\u0301.jpg", b"bytes")
    sheet = sessions.open(upload_id)
    assert sheet.layout().format == "contest"
    said, fault = sheet.sightings()
    assert isinstance(said, Sighting)
    assert sheet.read(said.path) == b"bytes"
    assert (fault.row, fault.reason) == (3, "'gone.jpg' was not uploaded")
    with pytest.raises(BadImage, match="not uploaded"):
        sheet.read("gone.jpg")


def test_a_session_that_vanishes_is_told(sessions, tmp_path):
    """Its photographs and its sheet are missing, not broken."""
    upload_id = sessions.create().upload_id
    send(sessions, upload_id, SHEET_PATH, SHEET)
    send(sessions, upload_id, "é.jpg", b"bytes")
    sheet = sessions.open(upload_id)
    sessions.remove(upload_id)
    with pytest.raises(BadImage):
        sheet.read("é.jpg")
    with pytest.raises(BadArchive):
        sheet.layout()
    with pytest.raises(BadArchive):
        sessions.open(upload_id)
    assert files(tmp_path) == []


def test_other_bytes_than_announced_are_not_kept(sessions, tmp_path):
    """A line that mangles bytes is found; nothing is left behind."""
    upload_id = sessions.create().upload_id
    good = hashlib.sha256(b"bytes").hexdigest()
    with pytest.raises(BadDigest, match=good):
        send(sessions, upload_id, "a.jpg", b"other", good)
    assert files(tmp_path) == ["received.log"]
    assert send(sessions, upload_id, "a.jpg", b"bytes", good).sha256 == good
    assert sorted(files(tmp_path)) == sorted(["received.log", good])


def test_a_disk_that_lies_is_found_before_the_receipt(sessions, monkeypatch):
    """What comes back from the disk is compared with what was sent."""
    monkeypatch.setattr(file_receiver, "_hash_of", lambda path: "0" * 64)
    upload_id = sessions.create().upload_id
    with pytest.raises(Unavailable, match="give back"):
        send(sessions, upload_id, "a.jpg", b"bytes")
    assert sessions.session(upload_id).photographs == 0


@pytest.mark.parametrize("lost", range(1, 60, 7))
def test_a_line_cut_short_by_a_kill_counts_for_nothing(sessions, tmp_path, lost):
    """The photograph of that line is sent again, the ones before and after it are safe."""
    upload_id = sessions.create().upload_id
    send(sessions, upload_id, "a.jpg", b"first")
    send(sessions, upload_id, "b.jpg", b"second")
    log = tmp_path / "sessions" / upload_id / "received.log"
    log.write_bytes(log.read_bytes()[: -1 - lost])
    again = FileSessions(tmp_path / "sessions")
    send(again, upload_id, "c.jpg", b"third")
    found = [one.path for one in FileSessions(tmp_path / "sessions").received(upload_id, 0, 9)]
    assert found[0] == "a.jpg"
    assert found[-1] == "c.jpg"


def test_limits_of_file_and_session(tmp_path):
    """Announced or counted: a file that is too large, or one too many, is not kept."""
    limits = SessionLimits(photograph=5, sheet=100, whole=9)
    sessions = FileSessions(tmp_path / "sessions", limits)
    upload_id = sessions.create().upload_id
    with pytest.raises(TooLarge, match="at most 5 bytes"):
        sessions.receive(upload_id, "a.jpg", None, 6)
    unannounced = sessions.receive(upload_id, "a.jpg")
    with pytest.raises(TooLarge):
        unannounced.write(b"123456")
    unannounced.abort()
    send(sessions, upload_id, "a.jpg", b"12345")
    with pytest.raises(TooLarge, match="room for 4"):
        send(sessions, upload_id, "b.jpg", b"12345")
    send(sessions, upload_id, "b.jpg", b"1234")
    with pytest.raises(TooLarge):
        sessions.receive(upload_id, "c.jpg")
    assert sessions.session(upload_id).size == 9
    assert not [name for name in files(tmp_path) if name.endswith(".partial")]


def test_the_reserve_of_the_disk_is_left(tmp_path, monkeypatch):
    """Neither a session nor a file begins on a full disk, and a long file stops on one."""
    sessions = FileSessions(tmp_path / "sessions")
    upload_id = sessions.create().upload_id
    begun = sessions.receive(upload_id, "a.jpg")
    full = FileSessions(tmp_path / "sessions", reserve=1 << 62)
    with pytest.raises(StorageFull):
        full.create()
    with pytest.raises(StorageFull):
        full.receive(upload_id, "b.jpg")
    monkeypatch.setattr(file_receiver, "_BETWEEN_LOOKS", 2)
    monkeypatch.setattr(begun, "_coming", full.coming)
    with pytest.raises(StorageFull):
        begun.write(b"bytes")
    begun.abort()


def test_what_comes_in_at_once_counts_together(tmp_path):
    """Announced or counted, parallel files share the room of their session; what is given up gives it back."""
    sessions = FileSessions(tmp_path / "sessions", SessionLimits(whole=9))
    upload_id = sessions.create().upload_id
    first = sessions.receive(upload_id, "a.jpg", None, 5)
    with pytest.raises(TooLarge, match="room for 4 bytes more"):
        sessions.receive(upload_id, "b.jpg", None, 5)
    second = sessions.receive(upload_id, "b.jpg")
    second.write(b"1234")
    with pytest.raises(TooLarge, match="room for 0"):
        second.write(b"5")
    for _ in range(2):
        second.abort()
    first.write(b"12345")
    first.finish()
    first.abort()
    send(sessions, upload_id, "c.jpg", b"1234")
    assert sessions.session(upload_id).size == 9


def test_room_on_the_disk_is_promised_once(tmp_path, monkeypatch):
    """Photographs and archives that come in at once count together until they are written, and no longer."""
    sessions = FileSessions(tmp_path / "sessions")
    uploads = FileUploads(tmp_path / "uploads", sessions)
    upload_id, asked = sessions.create().upload_id, []
    monkeypatch.setattr(Reserve, "require", lambda _, size: asked.append(size))
    first = sessions.receive(upload_id, "a.jpg", None, 6)
    second = sessions.receive(upload_id, "b.jpg", None, 10)
    uploads.store(io.BytesIO(b"archive"))
    assert asked == [6, 16, 23]
    first.write(b"1234")
    second.abort()
    uploads.store(io.BytesIO(b"archive"))
    assert asked[3:] == [9]
    first.write(b"5678")  # more than it announced
    first.finish()
    sessions.create()
    assert asked[4:] == [0]


def test_many_photographs_at_once(sessions, tmp_path):
    """Parallel clients lose nothing, and each receipt is a line of its own."""
    upload_id = sessions.create().upload_id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: send(sessions, upload_id, f"{n}.jpg", b"%d" % (n % 7)), range(60)))
    again = FileSessions(tmp_path / "sessions")
    assert {one.path for one in again.received(upload_id, 0, 99)} == {f"{n}.jpg" for n in range(60)}
    assert again.session(upload_id).size == sessions.session(upload_id).size == 60


@pytest.mark.parametrize("upload_id", ["", "..", "0" * 32, "A" * 32, "a/b", "x" * 31 + "\n"])
def test_an_unknown_id_reaches_nothing(sessions, upload_id):
    """Ids are ours alone: no other text becomes a path."""
    for verb in (sessions.session, sessions.remove, lambda one: sessions.receive(one, "a")):
        with pytest.raises(UnknownUpload):
            verb(upload_id)


def test_idle_sessions_expire(tmp_path):
    """By the time of what came in last; what a kill left half made goes as well."""
    sessions = FileSessions(tmp_path / "sessions", SessionLimits(idle=timedelta(days=1)))
    idle, busy = sessions.create().upload_id, sessions.create().upload_id
    ancient = time.time() - 90_000
    half = tmp_path / "sessions" / f"{'a' * 32}.partial"
    half.mkdir()
    for path in (tmp_path / "sessions" / idle / "received.log", tmp_path / "sessions" / busy / "received.log", half):
        os.utime(path, (ancient, ancient))
    send(sessions, busy, "a.jpg", b"bytes")
    assert sessions.expired() == [idle]
    assert not half.exists()


def test_uploads_forget_the_session_of_an_import_that_is_done(sessions, tmp_path):
    """By the name that the import remembers; twice does no harm."""
    uploads = FileUploads(tmp_path / "uploads", sessions)
    upload_id = sessions.create().upload_id
    uploads.discard("session:" + "0" * 32)
    for _ in range(2):
        uploads.discard(f"session:{upload_id}")
    with pytest.raises(UnknownUpload):
        sessions.session(upload_id)


def test_a_folder_that_is_away_is_told(sessions, tmp_path):
    """Unavailable, with a reason: nothing was lost."""
    (tmp_path / "sessions").rmdir()
    (tmp_path / "sessions").write_bytes(b"")
    with pytest.raises(Unavailable):
        sessions.create()


def test_what_was_sent_again_with_other_bytes_counts_while_it_lies_on_disk(tmp_path):
    """A limit is one of the disk, after a restart too; the same bytes again take nothing."""
    folder, limits = tmp_path / "sessions", SessionLimits(whole=16)
    upload_id = FileSessions(folder, limits).create().upload_id
    for content in (b"first", b"other", b"first"):
        send(FileSessions(folder, limits), upload_id, "a.jpg", content)
    for sessions in (FileSessions(folder, limits), FileSessions(folder, limits)):
        with pytest.raises(TooLarge, match="room for 6 more"):
            send(sessions, upload_id, "a.jpg", b"longer!")


def test_sessions_and_what_they_hold_are_bounded(tmp_path):
    """A file more is refused, one of the same path is not; neither is a session begun once there are too many."""
    sessions = FileSessions(tmp_path / "sessions", SessionLimits(files=1, sessions=1))
    upload_id = sessions.create().upload_id
    for content in (b"first", b"other"):
        send(sessions, upload_id, "é.jpg", content)
    with pytest.raises(TooLarge, match="at most 1 files"):
        send(sessions, upload_id, "b.jpg", b"first")
    with pytest.raises(TooLarge, match="1 upload sessions already"):
        sessions.create()
    sessions.remove(upload_id)
    sessions.create()
