"""A snapshot cut down to one piece of work."""

import numpy as np

from app.domain.frozen import Frozen
from tests.fakes_index import NumpyIndex, made_source


def test_frozen_vectors_are_those_of_the_snapshot():
    """Every column and vector of the chosen annotations, none of the others; what has no vector gets none."""
    snapshot = NumpyIndex().refresh(made_source(30))
    frozen = Frozen.of(snapshot, np.array([10, 50, 300, 7], np.int64))
    assert frozen.gallery.annotation.tolist() == [10, 50, 300]
    assert frozen.gallery.year.tolist() == snapshot.gallery.year[[0, 4, 29]].tolist()
    ids, vectors = frozen.vectors["body"]
    assert ids.tolist() == [10]
    np.testing.assert_array_equal(vectors, snapshot.vectors("body", ids))
    assert (frozen.catalogue_version, frozen.fingerprints) == (snapshot.catalogue_version, {"body": "f1"})
