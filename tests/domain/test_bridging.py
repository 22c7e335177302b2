"""Bridging: an individual known from the query's side carries its likeness to its photographs of another side."""

import numpy as np
import pytest

from app.domain.bridging import NONE, bridges, carry
from app.domain.partition import NOBODY
from app.domain.profiles import Bridge


def test_each_individual_is_bridged_by_its_most_similar_annotation():
    """Nobody bridges nothing, what is below the threshold bridges nothing, and ties go to the lower id."""
    annotations, individuals = np.array([1, 2, 3, 4, 5, 6]), np.array([7, 7, 8, NOBODY, 9, 8])
    found = bridges(annotations, individuals, np.array([0.5, 0.8, 0.6, 0.9, 0.3, 0.6]), Bridge(threshold=0.4))
    assert found.individual.tolist() == [7, 8]
    assert found.annotation.tolist() == [2, 3]
    assert found.cosine.tolist() == [0.8, 0.6]


def test_a_likeness_is_raised_by_the_share_above_the_threshold():
    """L + (1 - l) w (c - t) / (1 - t); individuals without a bridge keep theirs, and so does nobody."""
    found = bridges(np.array([1]), np.array([7]), np.array([0.8]), Bridge(threshold=0.4))
    raised, via = carry(np.array([0.2, 0.2, 0.2]), np.array([7, 8, NOBODY]), found, Bridge(0.5, 0.4))
    assert raised == pytest.approx([0.2 + 0.8 * 0.5 * 0.4 / 0.6, 0.2, 0.2])
    assert via.tolist() == [1, -1, -1]


def test_a_likeness_never_exceeds_one():
    """The best bridge at full weight makes an annotation as likely as the query's own individual, and no more."""
    found = bridges(np.array([1]), np.array([7]), np.array([1.0]), Bridge())
    raised, _ = carry(np.array([-0.9, 1.0]), np.array([7, 7]), found, Bridge())
    assert raised == pytest.approx([1.0, 1.0])
    assert raised.max() <= 1.0


def test_without_bridges_nothing_changes():
    """The likenesses come back as they were."""
    raised, via = carry(np.array([0.3]), np.array([7]), NONE, Bridge())
    assert (raised.tolist(), via.tolist()) == ([0.3], [-1])
