"""Kept local features: whole or not at all, bounded, and never a reason to fail."""

import os

import numpy as np
import pytest

from app.adapters.file_marks import FileMarks
from app.domain.marks import Marks


def made(seed: int) -> Marks:
    random = np.random.default_rng(seed)
    return Marks(random.random((30, 2), np.float32), random.integers(0, 256, (30, 128)).astype(np.uint8))


def test_what_is_kept_comes_back_after_a_restart(tmp_path):
    """Bit for bit, under its own fingerprint and key alone."""
    FileMarks(tmp_path).put("sift", "ab12", made(1))
    found = FileMarks(tmp_path).get("sift", "ab12")
    assert np.array_equal(found.positions, made(1).positions)
    assert np.array_equal(found.descriptors, made(1).descriptors)
    assert FileMarks(tmp_path).get("orb", "ab12") is FileMarks(tmp_path).get("sift", "ab13") is None


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"", lambda b: b[:60] + b"x" + b[61:], lambda b: b[:9]])
def test_a_damaged_file_is_passed_over_and_replaced(tmp_path, damage):
    """Torn, emptied or changed, it is as if it were not there."""
    marks = FileMarks(tmp_path)
    marks.put("sift", "ab12", made(1))
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert marks.get("sift", "ab12") is None
    marks.put("sift", "ab12", made(1))
    assert marks.get("sift", "ab12") is not None


def test_the_oldest_make_room(tmp_path):
    """Beyond its limit the cache drops what was kept first, and keeps what is new."""
    one = FileMarks(tmp_path / "one")
    one.put("sift", "aa", made(0))
    (path,) = (tmp_path / "one").rglob("*.npz")
    size = path.stat().st_size
    marks = FileMarks(tmp_path / "many", most=size * 8)
    for number in range(20):
        marks.put("sift", f"{number:04}", made(number))
        (path,) = (tmp_path / "many").rglob(f"{number:04}.npz")
        os.utime(path, (number, number))
    kept = [number for number in range(20) if marks.get("sift", f"{number:04}")]
    assert kept == list(range(kept[0], 20))
    assert 5 <= len(kept) <= 8
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_cannot_be_written_fails_nothing(tmp_path):
    """Features that cannot be kept are found again another time."""
    (tmp_path / "marks").write_text("in the way")
    marks = FileMarks(tmp_path / "marks")
    marks.put("sift", "ab12", made(1))
    assert marks.get("sift", "ab12") is None
