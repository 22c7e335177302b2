"""Blobs in a folder."""

import errno
import hashlib
import multiprocessing
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.adapters.file_blobs import INCOMING, MARKER, FileBlobs
from app.adapters.file_workplace import REST, Syncs
from app.domain.errors import Corrupt, StorageFull, Unavailable, UnknownImage
from tests.fakes_files import FakeBlobs

PHOTOGRAPHS = [b"one", b"two", b"three"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def place(root: Path, content: bytes) -> Path:
    return root / sha256(content)[:2] / sha256(content)


def told(blobs: FileBlobs, names: list[str]) -> list[str]:
    """The sentences of all that is found."""
    return [str(found) for found in blobs.faults(names)]


def leftovers(root: Path) -> list[Path]:
    return list((root / INCOMING).iterdir())


@pytest.fixture(params=["files", "fake"])
def blobs(request, tmp_path):
    return FileBlobs(tmp_path / "originals") if request.param == "files" else FakeBlobs()


def test_what_is_stored_is_given_back(blobs):
    """Photographs come back by their SHA-256, byte for byte."""
    names = blobs.put_all(PHOTOGRAPHS)
    assert names == [sha256(content) for content in PHOTOGRAPHS]
    assert [blobs.get(name) for name in names] == PHOTOGRAPHS


def test_storing_again_changes_nothing(blobs):
    """The same photograph twice in one chunk, or in two, is one blob."""
    first = blobs.put_all([b"one", b"one", b"two"])
    assert blobs.put_all([b"two", b"one"]) == [first[2], first[0]]
    assert not told(blobs, first)


@pytest.mark.parametrize("name", [sha256(b"never"), "", "../marker", "ab", sha256(b"one").upper()])
def test_a_name_that_was_never_stored_is_unknown(blobs, name):
    """Only the SHA-256 of something stored names a photograph."""
    blobs.put_all([b"one"])
    with pytest.raises(UnknownImage):
        blobs.get(name)


def test_nothing_is_a_chunk_too(blobs):
    """A chunk without photographs stores none."""
    assert blobs.put_all([]) == []


@pytest.fixture
def root(tmp_path):
    return tmp_path / "originals"


def test_a_changed_blob_is_never_served(root):
    """One wrong byte on disk is an error, not a photograph."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    place(root, b"one").write_bytes(b"One")
    with pytest.raises(Corrupt):
        blobs.get(name)


def test_storing_a_damaged_blob_again_heals_it(root):
    """Whoever brings the original again gets it stored again."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    place(root, b"one").write_bytes(b"One")
    blobs.put_all([b"one"])
    assert blobs.get(name) == b"one"


def test_an_intact_blob_is_not_written_again(root):
    """A stored original keeps its file; it is only made sure to be on disk."""
    synced = []
    blobs = FileBlobs(root, sync=lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    blobs.put_all([b"one"])
    before = place(root, b"one").stat()
    synced.clear()
    blobs.put_all([b"one"])
    after = place(root, b"one").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert before.st_ino in synced


def test_every_file_is_synced_before_it_is_renamed_and_its_folder_after(root):
    """A name appears only for bytes that are on disk, and is on disk itself before the chunk is acknowledged."""
    seen = []

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        named = sum(1 for content in PHOTOGRAPHS if place(root, content).exists())
        seen.append((path, named))
        os.fsync(descriptor)

    blobs = FileBlobs(root, sync=sync)
    seen.clear()
    blobs.put_all(PHOTOGRAPHS)
    files = [(path.name, named) for path, named in seen[:3]]
    assert sorted(files) == sorted((sha256(content), 0) for content in PHOTOGRAPHS)
    folders = {place(root, content).parent for content in PHOTOGRAPHS} | {root}
    assert {path for path, _ in seen[3:]} == folders
    assert {named for _, named in seen[3:]} == {3}


@pytest.mark.parametrize("failing", range(7))
def test_an_error_of_fsync_is_final_and_stores_no_name(root, failing):
    """Whichever fsync fails: the chunk is refused, nothing is tried twice, and the next chunk is written anew."""
    calls, now = 0, 0.0

    def sync(_descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing + 1:
            raise OSError(errno.EIO, "Input/output error")

    blobs = FileBlobs(root, clock=lambda: now)
    blobs._sync = Syncs(sync, blobs._sync._clock)
    with pytest.raises(Unavailable, match="Input/output error"):
        blobs.put_all(PHOTOGRAPHS)
    if failing < len(PHOTOGRAPHS):
        assert not any(place(root, content).exists() for content in PHOTOGRAPHS)
    assert leftovers(root) == []
    inodes = {path.stat().st_ino for path in root.glob("??/*")}
    now = REST
    assert [blobs.get(name) for name in blobs.put_all(PHOTOGRAPHS)] == PHOTOGRAPHS
    # What the cache showed of the failed chunk was not taken for stored: every file is another one now.
    assert not inodes & {path.stat().st_ino for path in root.glob("??/*")}


def test_after_an_error_of_fsync_the_store_rests_until_a_trial_gets_through(root):
    """A disk that fails is not ready: nothing is stored for a while, and then only when a trial file is kept."""
    now, broken = 0.0, True

    def sync(_descriptor: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")

    blobs = FileBlobs(root, clock=lambda: now)
    blobs._sync = Syncs(sync, blobs._sync._clock)
    with pytest.raises(Unavailable):
        blobs.put_all(PHOTOGRAPHS)
    for moment in (1.0, REST - 1, REST, 2 * REST):
        now = moment
        with pytest.raises(Unavailable):
            blobs.check()
        with pytest.raises(Unavailable):
            blobs.put_all(PHOTOGRAPHS)
    broken, now = False, 2 * REST + 1
    with pytest.raises(Unavailable, match="failed to keep"):
        blobs.check()
    now = 3 * REST
    blobs.check()
    assert len(blobs.put_all(PHOTOGRAPHS)) == 3
    assert leftovers(root) == []


def test_no_chunk_is_acknowledged_by_a_disk_that_fails(root):
    """A hundred chunks on a disk whose every fsync fails: a hundred refusals, not one name."""
    times = iter(range(0, 1_000_000, 60))

    def sync(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    blobs = FileBlobs(root, clock=lambda: float(next(times)))
    blobs._sync = Syncs(sync, blobs._sync._clock)
    for number in range(100):
        with pytest.raises(Unavailable):
            blobs.put_all([b"%d" % number])
    assert not list(root.glob("??/*"))


def test_bytes_that_read_back_changed_are_refused(root):
    """A disk that keeps something else is found before the name exists."""

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            path.write_bytes(b"other")

    blobs = FileBlobs(root)
    blobs._sync = Syncs(sync, blobs._sync._clock)
    with pytest.raises(Unavailable, match="reads back changed"):
        blobs.put_all([b"one"])
    assert not place(root, b"one").exists()


def test_a_full_disk_is_named(root):
    """No space, or no quota, is StorageFull; what was stored before can still be read."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])

    def sync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    blobs._sync = Syncs(sync, blobs._sync._clock)
    with pytest.raises(StorageFull):
        blobs.put_all([b"two"])
    assert blobs.get(name) == b"one"
    assert leftovers(root) == []


@pytest.mark.slow
def test_a_disk_that_really_is_full(tmp_path):
    """On a file system of 1 MB the chunk that does not fit is refused and the others stay."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here")
    try:
        blobs = FileBlobs(tmp_path / "originals")
        (name,) = blobs.put_all([b"one"])
        with pytest.raises(StorageFull):
            blobs.put_all([os.urandom(400_000) for _ in range(4)])
        assert blobs.get(name) == b"one"
        assert len(blobs.put_all([os.urandom(400_000)])) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_an_unmounted_store_is_unavailable_and_nothing_is_missing(root):
    """Without its marker the root is not the store: nothing is written, nothing is called missing."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    root.rename(root.with_name("away"))
    root.mkdir()
    calls = (blobs.check, lambda: blobs.put_all([b"two"]), lambda: blobs.get(name), lambda: list(blobs.faults([name])))
    for call in calls:
        with pytest.raises(Unavailable, match="marker"):
            call()
    assert list(root.iterdir()) == []


def test_a_disk_that_is_mounted_again_needs_no_restart(root):
    """The store goes on as soon as its marker is back."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    away = root.rename(root.with_name("away"))
    with pytest.raises(Unavailable):
        blobs.check()
    away.rename(root)
    blobs.check()
    assert blobs.get(name) == b"one"
    assert len(blobs.put_all([b"two"])) == 1


def test_imports_leave_a_reserve(root):
    """What would eat into the reserve is refused before a byte is written; reading goes on."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
    short = FileBlobs(root, reserve=2 * free)
    with pytest.raises(StorageFull, match="reserve"):
        short.put_all([b"two"])
    with pytest.raises(StorageFull, match="reserve"):
        short.room()
    short.check()
    assert short.get(name) == b"one"
    blobs.room()
    assert not place(root, b"two").exists()


def test_what_was_left_over_is_told_and_stays_until_a_writer_tidies(root):
    """A check that only reads names the temporary folder of a dead process; it does not remove it."""
    FileBlobs(root)
    (root / INCOMING / "dead").mkdir(parents=True)
    reading = FileBlobs(root, create=False, tidy=False)
    assert told(reading, []) == [f"{INCOMING}/dead is left over from a process that was killed"]
    assert len(leftovers(root)) == 1


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_not_ready(tmp_path):
    """Nothing can be stored, what is stored can be read, and all goes on when the disk can be written again."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here")
    try:
        blobs = FileBlobs(tmp_path / "originals")
        (name,) = blobs.put_all([b"one"])
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        for call in (blobs.check, lambda: blobs.put_all([b"two"])):
            with pytest.raises(Unavailable, match="read-only"):
                call()
        assert blobs.get(name) == b"one"
        subprocess.run(["mount", "-o", "remount,rw", tmp_path], check=True)
        blobs.check()
        assert len(blobs.put_all([b"two"])) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_foreign_folder_is_not_made_a_store(root):
    """A root that holds something else, and no marker, is refused."""
    root.mkdir()
    (root / "thesis.txt").write_text("mine")
    with pytest.raises(Unavailable, match="marker"):
        FileBlobs(root)
    assert [path.name for path in root.iterdir()] == ["thesis.txt"]


def test_an_empty_root_is_refused_when_a_store_must_be_there(root):
    """A catalogue that knows photographs does not begin an empty store in a mount point."""
    root.mkdir()
    blobs = FileBlobs(root, create=False)
    for call in (blobs.check, lambda: blobs.put_all(PHOTOGRAPHS)):
        with pytest.raises(Unavailable, match="marker"):
            call()
    assert list(root.iterdir()) == []
    FileBlobs(root)
    blobs.check()


def test_the_marker_is_written_once(root):
    """A second start finds the marker and leaves it."""
    FileBlobs(root)
    before = (root / MARKER).stat()
    FileBlobs(root)
    assert (root / MARKER).stat().st_mtime_ns == before.st_mtime_ns


def test_faults_name_what_is_missing_changed_and_stray(root):
    """Verification reads everything, says one sentence a fault, and changes nothing."""
    blobs = FileBlobs(root)
    names = blobs.put_all([b"one", b"two", b"three"])
    place(root, b"two").write_bytes(b"Two")
    place(root, b"three").unlink()
    (root / "ab").mkdir(exist_ok=True)
    (root / "ab" / "note.txt").write_text("?")
    (root / "loose").write_text("?")
    before = sorted(path for path in root.rglob("*"))
    found = told(blobs, names)
    assert found[:2] == [f"{names[1]} is changed: it does not match its hash", f"{names[2]} is missing"]
    assert sorted(found[2:]) == [f"{name} is stray: nothing refers to it" for name in ("ab/note.txt", "loose")]
    assert sorted(path for path in root.rglob("*")) == before


def test_an_original_that_nothing_names_is_harmless_while_it_is_intact(root):
    """A cancelled import may leave one: it has a word of its own. One that was changed is a fault like any stranger."""
    blobs = FileBlobs(root)
    one, two = blobs.put_all([b"one", b"two"])
    place(root, b"two").write_bytes(b"Two")
    found = {finding.sentence: finding.harmless for finding in blobs.faults([])}
    assert found == {
        f"{one[:2]}/{one} is unreferenced: an intact original of no annotation": True,
        f"{two[:2]}/{two} is stray: nothing refers to it, and its name is not its hash": False,
    }


def test_what_cannot_be_read_is_not_said_to_be_another_content(root):
    """Nobody knows what a file of no annotation holds that does not open: the reason is told instead."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    place(root, b"one").unlink()
    place(root, b"one").mkdir()
    (found,) = blobs.faults([])
    assert found.sentence.startswith(f"{name[:2]}/{name} is stray: nothing refers to it, and it cannot be read: ")
    assert not found.harmless


def test_a_blob_that_cannot_be_read_is_named_and_the_others_follow(root):
    """One bad sector does not end the verification."""
    blobs = FileBlobs(root)
    names = blobs.put_all([b"one", b"two"])
    place(root, b"one").unlink()
    place(root, b"one").mkdir()
    place(root, b"two").unlink()
    assert told(blobs, names) == [f"{names[0]} cannot be read: Is a directory", f"{names[1]} is missing"]


def test_a_blob_under_another_name_is_stray(root):
    """A right name in the wrong folder is not where anybody looks."""
    blobs = FileBlobs(root)
    (name,) = blobs.put_all([b"one"])
    wrong = "00" if name[:2] != "00" else "01"
    (root / wrong).mkdir()
    (root / wrong / name).write_bytes(b"one")
    assert told(blobs, [name]) == [f"{wrong}/{name} is stray: nothing refers to it"]


def test_leftovers_of_a_dead_process_are_swept(root):
    """Temporary files of a process that was killed are gone after the next start."""
    FileBlobs(root).put_all([b"one"])
    (root / INCOMING / "dead").mkdir()
    (root / INCOMING / "dead" / sha256(b"half")).write_bytes(b"ha")
    FileBlobs(root)
    assert leftovers(root) == []


def test_a_living_process_is_not_swept(root):
    """A second process that starts leaves the temporary files of the first alone."""

    def sync(_descriptor: int) -> None:
        FileBlobs(root)

    blobs = FileBlobs(root)
    blobs._sync = Syncs(sync, blobs._sync._clock)
    assert [blobs.get(name) for name in blobs.put_all(PHOTOGRAPHS)] == PHOTOGRAPHS


def test_one_photograph_from_many_threads_is_one_blob(root):
    """Fifty uploads of the same bytes at once all succeed."""
    blobs = FileBlobs(root)
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda _: blobs.put_all([b"one", b"two"]), range(50)))
    assert len(set(map(tuple, names))) == 1
    assert not told(blobs, names[0])
    assert leftovers(root) == []


def store_for_ever(root: Path, ready) -> None:
    blobs = FileBlobs(root)
    number = 0
    while True:
        blobs.put_all([b"%d" % value for value in range(number, number + 20)])
        number += 20
        ready.value = number


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(root):
    """Killed at any moment, the store holds every acknowledged photograph, no half one, and no leftovers."""
    context = multiprocessing.get_context("spawn")
    acknowledged = context.Value("i", 0)
    for seconds in (0.01, 0.05, 0.1):
        child = context.Process(target=store_for_ever, args=(root, acknowledged))
        acknowledged.value = 0
        child.start()
        while not acknowledged.value:
            child.join(seconds)
        child.kill()
        child.join()
        blobs = FileBlobs(root)
        names = [sha256(b"%d" % value) for value in range(acknowledged.value)]
        assert not [found for found in blobs.faults(names) if not found.harmless]
        assert all(sha256(path.read_bytes()) == path.name for path in root.glob("??/*"))
        assert leftovers(root) == []


def test_no_message_shows_where_the_store_lies(root):
    """Errors name the reason, not the machine's paths."""
    blobs = FileBlobs(root)
    (root / INCOMING).write_text("in the way")
    with pytest.raises(Unavailable) as error:
        blobs.put_all([b"one"])
    assert str(root) not in str(error.value)
