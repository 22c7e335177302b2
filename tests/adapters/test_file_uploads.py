"""Uploaded archives: whole on disk or not at all, and forgotten only when told."""

import errno
import io

import pytest

from app.adapters import file_uploads
from app.adapters.file_uploads import FileUploads
from app.domain.errors import StorageFull, Unavailable


def test_an_upload_is_kept_until_it_is_discarded(tmp_path):
    """Under a name drawn by the service; two uploads never meet."""
    uploads = FileUploads(tmp_path / "uploads")
    one, two = uploads.store(io.BytesIO(b"one")), uploads.store(io.BytesIO(b"two"))
    kept = {path.name: path.read_bytes() for path in (tmp_path / "uploads").iterdir()}
    assert kept == {one.removeprefix("upload:"): b"one", two.removeprefix("upload:"): b"two"}
    uploads.discard(one)
    uploads.discard(one)
    assert [path.read_bytes() for path in (tmp_path / "uploads").iterdir()] == [b"two"]


def test_only_uploads_are_discarded(tmp_path):
    """No other source, and no name that leads out of the folder, loses a file."""
    (tmp_path / "precious").write_bytes(b"x")
    uploads = FileUploads(tmp_path / "uploads")
    for source in (
        f"path:{tmp_path / 'precious'}",
        "folder:precious",
        "upload:../precious",
        f"upload:{tmp_path / 'precious'}",
    ):
        uploads.discard(source)
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, Unavailable)])
def test_a_disk_that_fails_keeps_nothing(tmp_path, monkeypatch, code, error):
    """A full disk is told as such, any other failure as a folder that is away, and no part of the archive is left."""

    def fail(_descriptor):
        raise OSError(code, "fsync failed")

    uploads = FileUploads(tmp_path / "uploads")
    monkeypatch.setattr(file_uploads.os, "fsync", fail)
    with pytest.raises(error):
        uploads.store(io.BytesIO(b"archive"))
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_folder_that_is_away_is_told(tmp_path):
    """Whatever is asked of it; no error of the operating system reaches the caller."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        FileUploads(tmp_path / "file")
    uploads = FileUploads(tmp_path / "uploads")
    (tmp_path / "uploads" / "folder.zip").mkdir()
    with pytest.raises(Unavailable):
        uploads.discard("upload:folder.zip")
    with pytest.raises(Unavailable):
        FileUploads(tmp_path / "uploads").sweep([])


def test_what_an_earlier_run_left_is_swept(tmp_path):
    """Halves of uploads and archives that no import needs go; what is needed, comes in now or is none of ours stays."""
    folder = tmp_path / "uploads"
    earlier = FileUploads(folder)
    needed, stray = earlier.store(io.BytesIO(b"needed")), earlier.store(io.BytesIO(b"stray"))
    (folder / "half.zip.partial").write_bytes(b"ha")
    (folder / "notes.txt").write_bytes(b"mine")
    uploads = FileUploads(folder)
    new = uploads.store(io.BytesIO(b"new"))
    for _ in range(2):
        uploads.sweep({needed})
        kept = {path.name for path in folder.iterdir()}
        assert kept == {needed.removeprefix("upload:"), new.removeprefix("upload:"), "notes.txt"}
    assert stray.removeprefix("upload:") not in kept
