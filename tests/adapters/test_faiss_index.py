"""FaissIndex and the numpy reference keep one contract; what only files can show stands below it."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest

from app.adapters import faiss_files
from app.adapters.faiss_files import IndexFolder
from app.adapters.faiss_index import FaissIndex
from app.domain.catalogue import Viewpoint
from app.domain.errors import Corrupt, IndexUnavailable, SpaceMismatch, StorageFull
from tests.contracts.index import *  # noqa: F403 - the contract's tests are collected here
from tests.contracts.index import assert_exact, everything, found_ids
from tests.fakes_index import FakeSource, NumpyIndex, Shown, made_source, unit_vectors


@pytest.fixture(params=["numpy", "faiss"])
def new_index(request, tmp_path):
    numbers = count()

    def new():
        if request.param == "numpy":
            return NumpyIndex()
        return FaissIndex(tmp_path / str(next(numbers)), batch_threads=2)

    return new


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def rows(folder) -> set[str]:
    return {path.name for path in folder.glob("*.rows")}


def test_a_new_process_finds_the_generation(folder):
    """What one process made durable another loads: the same generation, the same answers, no vector read again."""
    source = made_source()
    first = FaissIndex(folder).refresh(source)
    source.reads.clear()
    again = FaissIndex(folder).refresh(source)
    assert again.generation == first.generation
    assert source.reads == []
    assert_exact(again, source)
    for column in ("annotation", "individual", "encounter", "image", "viewpoint", "year", "day"):
        assert (getattr(again.gallery, column) == getattr(first.gallery, column)).all()


def test_only_changed_partitions_are_built(folder):
    """An edit in one partition reads that one again and leaves every other file as it was."""
    source, index = made_source(), FaissIndex(folder)
    index.refresh(source)
    before = {path.name: path.stat().st_ino for path in folder.glob("*.rows")}
    source.reads.clear()
    one = source.shown[10]
    source.put(Shown(15, one.vectors, one.viewpoint, one.year))
    index.refresh(source)
    assert [(p.viewpoint, p.year) for p in source.reads] == [(one.viewpoint, one.year)]
    after = {path.name: path.stat().st_ino for path in folder.glob("*.rows")}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


def test_files_that_nobody_touched_are_read_once(folder, monkeypatch):
    """A refresh reads no file again that it holds in memory, unless the file system says that somebody wrote to it."""
    source, index, read = made_source(), FaissIndex(folder), []
    index.refresh(source)
    index = FaissIndex(folder)
    load, fault = IndexFolder.load, IndexFolder.fault
    monkeypatch.setattr(IndexFolder, "load", lambda mine, file: read.append(file.sha256) or load(mine, file))
    monkeypatch.setattr(IndexFolder, "fault", lambda mine, file: read.append(file.sha256) or fault(mine, file))
    monkeypatch.setattr(faiss_files, "_STEP", -1)
    index.refresh(source)
    files = sorted(path.stem for path in folder.glob("*.rows"))
    assert sorted(read) == files
    read.clear()
    one = source.shown[10]
    source.put(Shown(15, one.vectors, one.viewpoint, one.year))
    index.refresh(source)
    assert read == []
    os.utime(folder / f"{files[0]}.rows", ns=(0, 0))
    index.refresh(source)
    assert set(read) <= {files[0]}
    os.utime(folder / f"{files[1]}.rows", ns=(0, 0))
    index.refresh(source)
    assert set(files[:2]) & set(read)


def test_a_file_that_was_only_just_written_is_read_again(folder, monkeypatch):
    """Its times cannot tell yet whether it was written to once more."""
    source, index, read = made_source(), FaissIndex(folder), []
    monkeypatch.setattr(faiss_files, "_STEP", 10**18)
    index.refresh(source)
    load = IndexFolder.load
    monkeypatch.setattr(IndexFolder, "load", lambda mine, file: read.append(file.sha256) or load(mine, file))
    index.refresh(source)
    assert sorted(read) == sorted(path.stem for path in folder.glob("*.rows"))


def test_the_last_two_generations_stay(folder):
    """Older manifests, files that no kept generation names and torn writes are deleted; a stranger's file is not."""
    source, index = made_source(count=8), FaissIndex(folder)
    for year in range(2001, 2006):
        source.move(10, Viewpoint.TOP, year)
        index.refresh(source)
    (folder / "rows.tmp").write_bytes(b"torn")
    (folder / f"{'0' * 64}.rows").write_bytes(b"of a refresh that never ended")
    (folder / "notes.txt").write_text("mine")
    index.refresh(source)
    assert sorted(p.name for p in folder.glob("generation-*")) == ["generation-000004.json", "generation-000005.json"]
    assert not (folder / "rows.tmp").exists()
    assert f"{'0' * 64}.rows" not in rows(folder)
    assert (folder / "notes.txt").exists()
    assert FaissIndex(folder).verify(source) == []


def test_two_processes_share_a_folder(folder):
    """An index follows the generation that another one wrote, instead of building it a second time."""
    source, mine, other = made_source(), FaissIndex(folder), FaissIndex(folder)
    mine.refresh(source)
    source.remove(10)
    theirs = other.refresh(source)
    source.reads.clear()
    assert mine.refresh(source).generation == theirs.generation
    assert source.reads == []
    assert found_ids(mine.current()) == found_ids(theirs)


class BusySource(FakeSource):
    """A catalogue that is edited whenever a part of its state was read."""

    @contextmanager
    def at_once(self):
        state = FakeSource(dict(self.spaces), dict(self.shown), self.edits)
        self.move(10, Viewpoint.TOP, 2100 + self.edits)
        yield state


def test_a_catalogue_that_never_rests_is_indexed_all_the_same(folder):
    """A generation is made of one state: edits that come while it is built wait for the next one."""
    quiet = made_source()
    source = BusySource(quiet.spaces, quiet.shown, quiet.edits)
    snapshot = FaissIndex(folder).refresh(source)
    assert snapshot.catalogue_version == source.version() - 1
    assert found_ids(snapshot).count(10) == 1
    assert_exact(snapshot, quiet)


class SlowSource(FakeSource):
    """A catalogue whose first reader reads until it is told to go on."""

    def __init__(self, quiet):
        super().__init__(quiet.spaces, quiet.shown, quiet.edits)
        self.begun, self.go_on, self.asked = threading.Event(), threading.Event(), threading.Semaphore(0)
        self.states = 0

    @contextmanager
    def at_once(self):
        self.states += 1
        state = FakeSource(dict(self.spaces), dict(self.shown), self.edits)
        self.begun.set()
        self.go_on.wait()
        yield state

    def version(self):
        self.asked.release()
        return super().version()


def test_one_refresh_serves_all_who_wait_for_it(folder):
    """Five edits that come while a generation is built take one more generation, not five."""
    source, index = SlowSource(made_source()), FaissIndex(folder)
    with ThreadPoolExecutor(6) as pool:
        pool.submit(index.refresh, source)
        source.begun.wait()
        source.move(10, Viewpoint.TOP, 2222)
        waiting = [pool.submit(index.refresh, source) for _ in range(5)]
        for _ in range(6):
            source.asked.acquire()
        source.go_on.set()
        assert {one.result().catalogue_version for one in waiting} == {source.edits}
    assert source.states == 2


def test_a_full_disk_is_named_and_the_old_generation_answers(folder, monkeypatch):
    """No space: StorageFull, nothing half written stays, and the next refresh with space succeeds."""
    source, index = made_source(), FaissIndex(folder)
    last = index.refresh(source)
    source.move(10, Viewpoint.TOP, 2055)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("app.adapters.faiss_files.os.fsync", full)
        with pytest.raises(StorageFull):
            index.refresh(source)
    assert index.current() is last
    assert list(folder.glob("*.tmp")) == []
    assert_exact(index.refresh(source), source)


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """A file where the folder should be makes the index unavailable, not the service crash."""
    (tmp_path / "index").write_text("not a folder")
    with pytest.raises(IndexUnavailable):
        FaissIndex(tmp_path / "index").refresh(made_source())


def test_refreshes_wait_for_each_other(folder):
    """Many refreshes at once, of two indexes on one folder, end in one generation that has no fault."""
    source, indexes = made_source(), [FaissIndex(folder), FaissIndex(folder)]
    threads = [threading.Thread(target=indexes[i % 2].refresh, args=(source,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {index.current().generation for index in indexes} == {1}
    assert indexes[0].verify(source) == []


def test_vectors_of_two_lengths_in_one_space_are_refused(folder):
    """A catalogue that gives two dimensions for one space would mix spaces."""
    source = made_source()
    source.put(Shown(7, {"body": unit_vectors(1, 5)[0]}, year=1999))
    with pytest.raises(SpaceMismatch):
        FaissIndex(folder).refresh(source)


class WrongSource(FakeSource):
    """A catalogue whose gallery does not know what its partitions hold."""

    def gallery(self):
        quiet = FakeSource(self.spaces, {i: one for i, one in self.shown.items() if i != 10}, self.edits)
        return quiet.gallery()


def test_a_catalogue_that_contradicts_itself_is_refused(folder):
    """A vector that no gallery row owns is never searched."""
    quiet = made_source()
    with pytest.raises(Corrupt):
        FaissIndex(folder).refresh(WrongSource(quiet.spaces, quiet.shown, quiet.edits))


def test_a_vector_that_is_not_a_number_is_never_found(folder):
    """One broken vector does not hide the others, and is not an answer itself."""
    source = FakeSource()
    good = unit_vectors(3, 8)
    source.put(*(Shown(i, {"body": v}) for i, v in enumerate(good, start=1)))
    source.put(Shown(9, {"body": np.full(8, np.nan, np.float32)}))
    snapshot = FaissIndex(folder).refresh(source)
    for queries in (1, 30):
        found = snapshot.search("body", unit_vectors(queries, 8), everything(snapshot), 4)
        assert {tuple(sorted(ids)) for ids in found.annotations.tolist()} == {(-1, 1, 2, 3)}


def test_a_mask_of_another_generation_is_a_bug(folder):
    """A mask must have one value a gallery row: a silent mix-up would search the wrong annotations."""
    snapshot = FaissIndex(folder).refresh(made_source())
    with pytest.raises(ValueError, match="mask"):
        snapshot.search("body", unit_vectors(1, 8), np.ones(3, np.bool_), 1)
