"""Vectors kept beside a piece of work."""

import numpy as np
import pytest

from app.adapters.faiss_frozen import FaissFrozen
from app.domain.errors import Unavailable
from app.domain.frozen import Frozen
from tests.fakes_index import NumpyIndex, made_source, unit_vectors


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    snapshot = NumpyIndex().refresh(made_source(60))
    return Frozen.of(snapshot, snapshot.gallery.annotation[:50])


def test_they_come_back_as_they_were_and_are_searched_as_the_index_searches(tmp_path, frozen):
    """Columns, vectors, versions; the answers are those of brute force."""
    path = tmp_path / "vectors.npz"
    FaissFrozen().write(path, frozen)
    read = FaissFrozen().read(path)
    assert (read.catalogue_version, read.fingerprints) == (frozen.catalogue_version, frozen.fingerprints)
    snapshot = FaissFrozen().snapshot(read)
    assert snapshot.gallery.annotation.tolist() == frozen.gallery.annotation.tolist()
    queries, mask = unit_vectors(10, 8, seed=5), frozen.gallery.viewpoint < 2
    found = snapshot.search("body", queries, mask, 7)
    ids, vectors = frozen.vectors["body"]
    kept = mask[frozen.gallery.rows_of(ids)]
    best = np.argsort(-(queries @ vectors[kept].T), axis=1)[:, :7]
    np.testing.assert_array_equal(found.annotations, ids[kept][best])


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_vectors_are_no_vectors(tmp_path, frozen, damage):
    """One bit is enough."""
    path = tmp_path / "vectors.npz"
    FaissFrozen().write(path, frozen)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-9] if damage == "cut" else content[:900] + bytes([content[900] ^ 1]) + content[901:])
    assert FaissFrozen().read(path) is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path, frozen):
    """And nothing is left there."""
    with pytest.raises(Unavailable, match="does not answer: No such file"):
        FaissFrozen().write(tmp_path / "gone" / "vectors.npz", frozen)
