"""Vectors by the content of their photographs."""

import numpy as np
import pytest

from app.adapters.file_vectors import FileVectors
from app.domain.errors import Unavailable

ONE, TWO = np.array([0.1, 0.2], np.float32), np.array([0.3, 0.4], np.float32)


def test_vectors_are_found_again_by_another_run(tmp_path):
    """By space and key; other keys and other spaces have none."""
    FileVectors(tmp_path).put("f1", {"a": ONE, "b": TWO})
    cache = FileVectors(tmp_path)
    found = cache.get("f1", ["b", "c"])
    assert list(found) == ["b"]
    np.testing.assert_array_equal(found["b"], TWO)
    assert cache.get("f2", ["a"]) == {}
    cache.put("f1", {"c": ONE})
    assert set(cache.get("f1", ["a", "b", "c"])) == {"a", "b", "c"}


def test_a_damaged_file_is_passed_over(tmp_path):
    """Its vectors are computed again; those of other files stay."""
    cache = FileVectors(tmp_path)
    cache.put("f1", {"a": ONE})
    cache.put("f1", {"b": TWO})
    path = next((tmp_path / "f1").glob("*.npz"))
    path.write_bytes(path.read_bytes()[:-5])
    assert len(FileVectors(tmp_path).get("f1", ["a", "b"])) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "cache").touch()
    with pytest.raises(Unavailable, match="folder of vectors"):
        FileVectors(tmp_path / "cache").put("f1", {"a": ONE})
