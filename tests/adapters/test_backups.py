"""Backup, restore and verify on real databases and files."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from app.adapters import sql_vectors
from app.adapters.faiss_index import FaissIndex
from app.adapters.file_backups import RECEIPT, FileBackup
from app.adapters.file_blobs import INCOMING, FileBlobs
from app.adapters.file_sessions import FileSessions, SessionLimits
from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_copies import SqlCopies
from app.domain.catalogue import Image, Viewpoint
from app.domain.errors import BadArchive, Conflict, Corrupt, NotAllowed, Unavailable
from app.domain.ingestion import Embedded
from app.domain.partition import Partition
from app.domain.uploads import SHEET_PATH
from app.services.backup import Backup, Restore
from app.services.verify import Verify
from tests.contracts.catalogue import BODY, said, vector
from tests.databases import new_postgres_database, postgres_catalogue, sqlite_catalogue
from tests.fakes import FakeEmbedder

PARTITION = Partition("body", Viewpoint.TOP, 2019)


class BodyEmbedder(FakeEmbedder):
    """An ensemble of the one space that these catalogues serve."""

    def active_spaces(self):
        return [BODY]


class Place:
    """A data folder with its catalogue, as the service would have wired it."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.url = folder, url
        self.catalogue = SqlCatalogue(url)
        self.blobs = FileBlobs(folder / "originals")
        self.index = FaissIndex(folder / "index")

    def bring(self, start: int, stop: int) -> None:
        """An import of so many photographs, acknowledged when this returns."""
        contents = [b"photograph %d" % number for number in range(start, stop)]
        rows = [
            Embedded(
                said(f"image{number}", number, individual=None, encounter=None),
                Image(hashlib.sha256(content).hexdigest(), "JPEG", 90, 200, len(content)),
                {"body": vector(number)},
            )
            for number, content in zip(range(start, stop), contents, strict=True)
        ]
        import_id = self.catalogue.begin_import("a folder", [row.sighting for row in rows])
        self.blobs.put_all(contents)
        self.catalogue.add(import_id, rows, [])

    def backup(self, out: Path) -> Backup:
        return Backup(self.blobs, SqlCopies(self.url), FileBackup(out, self.folder), "1.0")

    def verify(self) -> Verify:
        reading = FileBlobs(self.folder / "originals", create=False, tidy=False)
        return Verify(self.catalogue, reading, BodyEmbedder(), FaissIndex(self.folder / "index"))


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def place(kind, tmp_path):
    """A data folder with fifty photographs."""
    live = tmp_path / "live"
    live.mkdir()
    with postgres_catalogue() if kind == "postgres" else nullcontext(sqlite_catalogue(live)) as url:
        made = Place(live, url)
        made.catalogue.use_spaces([BODY])
        made.bring(0, 50)
        made.index.refresh(made.catalogue)
        yield made
        made.catalogue.close()


def restored(kind: str, out: Path, folder: Path, url: str | None = None) -> Place:
    """What a backup becomes in another place, with its index built."""
    url = url or f"sqlite:///{folder / 'catalogue.sqlite'}"
    Restore(SqlCopies(url), FileBackup(out, folder), lambda: FileBlobs(folder / "originals"))()
    made = Place(folder, url)
    made.index.refresh(made.catalogue)
    return made


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(place: Place) -> tuple[object, ...]:
    """Everything that a reader of the catalogue sees."""
    ids, vectors = place.catalogue.partition(PARTITION)
    return (
        place.catalogue.version(),
        list(place.catalogue.image_shas()),
        place.catalogue.annotations(ids.tolist()),
        vectors.tobytes(),
        place.catalogue.signatures(),
    )


def test_what_was_backed_up_comes_back(kind, place, tmp_path):
    """Catalogue, originals and uploads are the same in another place, its index is built alone, and it is sound."""
    (place.folder / "uploads").mkdir()
    (place.folder / "uploads" / "waiting.zip").write_bytes(b"an archive")
    (place.folder / "uploads" / "half.zip.partial").write_bytes(b"an arch")
    seen: list[tuple[int, int]] = []
    receipt = place.backup(tmp_path / "out")(lambda done, total: seen.append((done, total)))
    assert (receipt.originals, receipt.copied, receipt.lacking, len(receipt.uploads)) == (50, 50, (), 1)
    assert seen == [(50, 50)]
    with new_postgres_database() if kind == "postgres" else nullcontext(None) as url:
        other = restored(kind, tmp_path / "out", tmp_path / "other", url)
        assert rows(other) == rows(place)
        assert content_of(other.folder / "originals") == content_of(place.folder / "originals")
        assert content_of(other.folder / "uploads") == {"waiting.zip": b"an archive"}
        assert other.verify()().sound
        other.bring(100, 110)  # new keys are drawn behind those that came with the backup
        assert len(list(other.catalogue.image_shas())) == 60
        other.catalogue.close()


def test_an_upload_session_comes_back_and_goes_on(place, tmp_path):
    """What a session has acknowledged can be read after a restore; the next backup forgets a session that is gone."""
    sessions = FileSessions(place.folder / "sessions", SessionLimits())
    upload_id = sessions.create().upload_id
    for path, content in ((SHEET_PATH, b"image_id,path\na,a.jpg\n"), ("a.jpg", b"a photograph")):
        receiver = sessions.receive(upload_id, path)
        receiver.write(content)
        receiver.finish()
    place.backup(tmp_path / "out")()
    (tmp_path / "other").mkdir()
    Restore(
        SqlCopies(f"sqlite:///{tmp_path / 'other' / 'catalogue.sqlite'}"),
        FileBackup(tmp_path / "out", tmp_path / "other"),
        lambda: FileBlobs(tmp_path / "other" / "originals"),
    )()
    back = FileSessions(tmp_path / "other" / "sessions", SessionLimits())
    assert back.session(upload_id) == sessions.session(upload_id)
    assert back.received(upload_id, 0, 10) == sessions.received(upload_id, 0, 10)
    assert back.open(upload_id).read("a.jpg") == b"a photograph"
    receiver = back.receive(upload_id, "b.jpg")
    receiver.write(b"another")
    receiver.finish()
    assert back.session(upload_id).photographs == 2

    sessions.remove(upload_id)
    assert place.backup(tmp_path / "out")().uploads == ()
    assert content_of(tmp_path / "out" / "sessions") == {}


def test_a_backup_moves_from_one_database_to_the_other(kind, place, tmp_path):
    """A copy is the same file whichever database it came from: SQLite to PostgreSQL and back."""
    place.backup(tmp_path / "out")()
    with new_postgres_database() if kind == "sqlite" else nullcontext(None) as url:
        other = restored(kind, tmp_path / "out", tmp_path / "other", url)
        assert rows(other) == rows(place)
        other.catalogue.close()


def test_all_that_was_acknowledged_before_the_start_is_there(place, tmp_path):
    """Imports go on while a backup is written; what it holds is one state of the catalogue with all its originals."""
    stop, brought = threading.Event(), [50]

    def go_on() -> None:
        while not stop.is_set():
            place.bring(brought[0], brought[0] + 10)
            brought[0] += 10

    importing = threading.Thread(target=go_on)
    importing.start()
    try:
        while brought[0] < 80:
            stop.wait(0.01)
        before = brought[0]
        receipt = place.backup(tmp_path / "out")()
    finally:
        stop.set()
        importing.join()
    assert before <= receipt.originals <= brought[0]
    other = restored("sqlite", tmp_path / "out", tmp_path / "other")
    names = set(other.catalogue.image_shas())
    assert {hashlib.sha256(b"photograph %d" % number).hexdigest() for number in range(before)} <= names
    assert receipt.originals == len(names)
    assert receipt.originals % 10 == 0  # imports are there wholly or not at all
    assert other.verify()().sound
    other.catalogue.close()


def test_a_second_backup_copies_what_is_new_and_heals_what_has_rotted(place, tmp_path):
    """Originals that are there are left alone, unless their bytes have changed."""
    out = tmp_path / "out"
    place.backup(out)()
    place.bring(50, 60)
    spoilt, kept = sorted((out / "originals").glob("??/*"))[:2]
    good, before = spoilt.read_bytes(), kept.stat()
    spoilt.write_bytes(b"rotten")
    receipt = place.backup(out)()
    assert (receipt.originals, receipt.copied) == (60, 11)
    assert spoilt.read_bytes() == good
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(list(out.glob("catalogue-*.sqlite"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("place_to_die", ["blob.renamed", "backup.copied", "backup.receipt_written"])
def test_a_killed_backup_is_not_taken_for_one(place, tmp_path, place_to_die, kind):
    """Killed the first time there is no receipt; killed later the backup before is still whole."""
    if kind == "postgres":
        pytest.skip("the folder is written in the same way from every database")
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path; from app import bootstrap_store; from app.config import Settings; "
        "bootstrap_store.backup(Settings(_env_file=None, data=Path(sys.argv[1])), Path(sys.argv[2]))()"
    )
    environment = os.environ | {"RESIGHT_FAILPOINT": place_to_die}
    killed = [sys.executable, "-c", script, place.folder, out]
    assert subprocess.run(killed, env=environment, check=False).returncode == -9
    with pytest.raises(BadArchive, match="no complete backup"):
        restored(kind, out, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert place.backup(out)().originals == 50
    place.bring(50, 60)
    assert subprocess.run(killed, env=environment, check=False).returncode == -9
    other = restored(kind, out, tmp_path / "other")
    assert len(list(other.catalogue.image_shas())) == 50
    assert other.verify()().index == ()
    other.catalogue.close()


def test_a_restore_goes_into_an_empty_place_only(kind, place, tmp_path):
    """Neither a folder that holds anything nor a catalogue that exists is written over."""
    place.backup(tmp_path / "out")()
    before = content_of(place.folder / "originals")
    with pytest.raises(Conflict, match="empty"):
        restored(kind, tmp_path / "out", place.folder, place.url)
    with pytest.raises(Conflict, match="already"):
        restored(kind, tmp_path / "out", tmp_path / "other", place.url)
    assert not (tmp_path / "other" / "originals").exists()
    assert content_of(place.folder / "originals") == before


def test_a_backup_does_not_mix_with_other_files(place, tmp_path):
    """A folder of something else is refused and left as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(NotAllowed, match="something else"):
        place.backup(tmp_path / "out")()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_one_backup_at_a_time(place, tmp_path):
    """The second one into the same folder is told to wait."""
    with FileBackup(tmp_path / "out", place.folder).writing(), pytest.raises(Unavailable, match="another backup"):
        place.backup(tmp_path / "out")()


def test_what_is_damaged_is_named_and_the_rest_is_saved(kind, place, tmp_path):
    """An original that is damaged in the store, or later in the backup, is named; all others come back."""
    names = list(place.catalogue.image_shas())
    (place.folder / "originals" / names[0][:2] / names[0]).write_bytes(b"rotten")
    receipt = place.backup(tmp_path / "out")()
    assert (receipt.copied, len(receipt.lacking)) == (49, 1)
    assert names[0] in receipt.lacking[0]
    (tmp_path / "out" / "originals" / names[1][:2] / names[1]).write_bytes(b"rotten")
    found = Restore(
        SqlCopies(f"sqlite:///{tmp_path / 'other' / 'catalogue.sqlite'}"),
        FileBackup(tmp_path / "out", tmp_path / "other"),
        lambda: FileBlobs(tmp_path / "other" / "originals"),
    )()
    assert (found.copied, len(found.lacking)) == (48, 2)


@pytest.mark.parametrize("name", [RECEIPT, "catalogue-*.sqlite"])
def test_a_damaged_backup_restores_no_catalogue(place, tmp_path, name, kind):
    """One flipped bit in the receipt or in the copy of the catalogue is found before anything is written."""
    place.backup(tmp_path / "out")()
    (path,) = (tmp_path / "out").glob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadArchive if name == RECEIPT else Corrupt):
        restored(kind, tmp_path / "out", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_receipt_that_leads_elsewhere_is_refused(place, tmp_path):
    """Even one whose own hash is right: nothing is read or written outside of backup and data folder."""
    place.backup(tmp_path / "out")()
    body = json.loads((tmp_path / "out" / RECEIPT).read_text())
    del body["sha256"]
    body["uploads"] = [{"path": "uploads/../../evil", "sha256": "0" * 64, "size": 1}]
    text = json.dumps(body, sort_keys=True, indent=1).encode()
    body["sha256"] = hashlib.sha256(text).hexdigest()
    (tmp_path / "out" / RECEIPT).write_bytes(json.dumps(body, sort_keys=True, indent=1).encode())
    with pytest.raises(BadArchive):
        FileBackup(tmp_path / "out", tmp_path / "other").receipt()


def rot(place: Place, changed: int, missing: int, stray: int) -> tuple[set[str], set[str], set[str]]:
    """Flip a byte in some originals, delete some, add some that nobody knows; the names of each kind."""
    names = sorted(place.catalogue.image_shas())
    for name in names[:changed]:
        path = place.folder / "originals" / name[:2] / name
        content = bytearray(path.read_bytes())
        content[0] ^= 1
        path.write_bytes(content)
    for name in names[changed : changed + missing]:
        (place.folder / "originals" / name[:2] / name).unlink()
    strangers = [b"stranger %d" % number for number in range(stray)]
    return set(names[:changed]), set(names[changed : changed + missing]), set(place.blobs.put_all(strangers))


def kinds_of(sentences: tuple[str, ...]) -> tuple[set[str], set[str], set[str]]:
    """Names by what is said of them: changed, missing, unreferenced."""
    return tuple(
        {sentence.split()[0].rpartition("/")[2] for sentence in sentences if f" is {word}" in sentence}
        for word in ("changed", "missing", "unreferenced")
    )


@pytest.mark.parametrize("count", [50, pytest.param(2000, marks=pytest.mark.slow)])
def test_verify_names_every_fault_and_changes_nothing(place, count):
    """R29: each changed, missing and unreferenced file is named, twice, and no byte on disk is another after."""
    if count > 50:
        place.bring(50, count)
        place.index.refresh(place.catalogue)
    expected = rot(place, changed=20, missing=5, stray=5)
    (place.folder / "originals" / INCOMING / "dead").mkdir(parents=True)
    before, said_before = content_of(place.folder), rows(place)
    for _ in range(2):
        found = place.verify()()
        assert kinds_of(found.originals + found.unreferenced) == expected
        assert (len(found.originals), len(found.unreferenced)) == (26, 5)  # with the folder that was left over
        assert (found.index, found.lacking, found.sound) == ((), {"body": 0}, False)
    after = content_of(place.folder)
    assert {name: text for name, text in after.items() if ".sqlite" not in name} == {
        name: text for name, text in before.items() if ".sqlite" not in name
    }
    assert rows(place) == said_before


def test_verify_compares_the_index_id_by_id(place, monkeypatch):
    """An index whose own hashes are right but that lacks one annotation of the catalogue is not sound."""

    def forgetful(*args):
        ids, vectors = whole(*args)
        return ids[:-1], vectors[:-1]

    whole = sql_vectors.partition
    assert place.verify()().sound
    place.bring(50, 51)
    with monkeypatch.context() as patched:
        patched.setattr(sql_vectors, "partition", forgetful)
        place.index.refresh(place.catalogue)
    found = place.verify()()
    assert found.index == ("partition body/top/2019 is foreign: it holds other annotations than the catalogue",)
    assert not found.sound
