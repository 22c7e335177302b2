"""Folders of evaluations: whole or not at all."""

import errno
import re

import pytest

from app.adapters.file_runs import FileRuns
from app.domain.errors import StorageFull, Unavailable, UnknownEvaluation


@pytest.fixture
def runs(tmp_path) -> FileRuns:
    return FileRuns(tmp_path / "evaluations")


def make(runs: FileRuns) -> str:
    return runs.create(lambda folder: (folder / "request.json").write_text("{}") and None)


def test_a_run_keeps_its_documents(runs):
    """What was written at its creation and later, newest run first; a document can be replaced and forgotten."""
    first, second = make(runs), make(runs)
    assert runs.ids() == [second, first]
    assert runs.begun(first) < runs.begun(second)
    assert runs.get(first, "request.json") == b"{}"
    runs.put(first, "scores.json", b"1")
    runs.put(first, "scores.json", b"2")
    assert (runs.get(first, "scores.json"), runs.get(second, "scores.json")) == (b"2", None)
    runs.drop(first, "scores.json")
    runs.drop(first, "scores.json")
    assert runs.get(first, "scores.json") is None


def test_a_run_that_cannot_be_begun_leaves_nothing(runs, tmp_path):
    """Neither a half folder nor an id."""

    def torn(folder):
        (folder / "half").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull):
        runs.create(torn)
    assert runs.ids() == []
    assert list((tmp_path / "evaluations").iterdir()) == []


def test_no_folder_is_no_run(runs):
    """Before the first evaluation."""
    assert runs.ids() == []


@pytest.mark.parametrize("run_id", ["nobody", "../..", "", "1795332381527952-15480a0bbda8", "a\0b"])
def test_only_ids_that_were_drawn_here_are_looked_up(runs, run_id):
    """Nothing that a client sends becomes a path."""
    make(runs)
    with pytest.raises(UnknownEvaluation):
        runs.get(run_id, "scores.json")


def test_a_document_that_cannot_be_written_leaves_the_older_one(runs, monkeypatch):
    """Replaced whole or not at all, without a stray file."""
    run_id = make(runs)
    runs.put(run_id, "scores.json", b"older")

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(Unavailable, match="does not answer: Input/output error"):
        runs.put(run_id, "scores.json", b"newer")
    assert runs.get(run_id, "scores.json") == b"older"
    assert {path.name for path in runs.folder(run_id).iterdir()} == {"request.json", "scores.json"}


def test_ids_are_plain(runs):
    """They may stand in an address."""
    assert re.fullmatch(r"\d{16}-[0-9a-f]{12}", make(runs))


def test_a_run_of_another_folder_is_taken_over(runs, tmp_path):
    """Whole and under its own id, once; a folder that is none is told."""
    there = FileRuns(tmp_path / "trial")
    run_id = make(there)
    assert [runs.adopt(there.folder(run_id)), runs.adopt(there.folder(run_id))] == [run_id] * 2
    assert (runs.ids(), runs.get(run_id, "request.json")) == ([run_id], b"{}")
    for stray in (tmp_path, tmp_path / f"{run_id}x", tmp_path / run_id):
        with pytest.raises(UnknownEvaluation):
            runs.adopt(stray)
    assert [path.name for path in (tmp_path / "evaluations").iterdir()] == [run_id]
