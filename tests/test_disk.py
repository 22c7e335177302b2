"""What adapters that keep files share."""

import errno

import pytest

from app.disk import disk_errors, sync_folder
from app.domain.errors import IndexUnavailable, StorageFull


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_kind_of_failure(number):
    """No space, no quota and a file grown too large all ask for the same mend."""
    with pytest.raises(StorageFull, match="nothing was kept"), disk_errors("nothing was kept", IndexUnavailable):
        raise OSError(number, "full")


def test_any_other_fault_is_told_with_its_reason():
    """The adapter names its own failure; the system's reason is in it and its error is the cause."""
    with pytest.raises(IndexUnavailable, match="Input/output error") as caught, disk_errors("full", IndexUnavailable):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.__cause__.errno == errno.EIO


def test_only_a_folder_that_is_there_becomes_durable(tmp_path):
    """A missing folder is an error of its own, never a silent success."""
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
