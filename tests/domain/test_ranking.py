"""Ranking: scores keep the order of cosines, lists merge fairly, and an individual is named once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ranking import Answers, first_of_each, merged, ranked, score_of


def answers(*rows: tuple[int, float]) -> Answers:
    ids = np.array([annotation for annotation, _ in rows], np.int64)
    return Answers(ids, np.array([likeness for _, likeness in rows]), np.full(len(rows), -1))


def test_scores_lie_between_zero_and_one():
    """The worst cosine is 0, none at all 0.5, the best 1; rounding beyond 1 stays 1."""
    assert score_of(np.array([-1, 0, 1, 1.0000001], np.float32)).tolist() == [0, 0.5, 1, 1]


@given(st.lists(st.floats(-1, 1, width=32), min_size=2))
def test_different_cosines_keep_different_scores(cosines):
    """No two cosines are tied by the scale, negative ones included."""
    values = np.unique(np.array(cosines, np.float32) + np.float32(0))
    assert (np.diff(score_of(values)) > 0).all() or np.diff(values).min(initial=1) < 1e-15


def test_lists_merge_by_likeness_and_ties_by_id():
    """The best of all lists come first; equal likenesses are ordered by the lower id."""
    every = merged([answers((7, 0.5), (9, 0.1)), answers((8, 0.9), (3, 0.5))])
    assert every.annotations.tolist() == [8, 3, 7, 9]
    assert every.likeness.tolist() == [0.9, 0.5, 0.5, 0.1]
    assert merged([]).annotations.tolist() == []


def test_short_answers_fill_up_with_nobody():
    """Each query is a row of k; what is missing is id -1 at minus infinity."""
    found = ranked([answers((1, 0.5)), answers((2, 0.9), (3, 0.8), (4, 0.7))], 2)
    assert found.annotations.tolist() == [[1, -1], [2, 3]]
    assert found.cosines.tolist() == [[0.5, -np.inf], [pytest.approx(0.9), pytest.approx(0.8)]]
    assert found.bridges.tolist() == [[-1, -1], [-1, -1]]


def test_the_first_of_each_individual_stays():
    """Later rows of the same individual go; annotations without one stand for themselves; the limit holds."""
    individuals = np.array([5, 5, -1, 6, -1, 5, 7])
    assert first_of_each(individuals, 10).tolist() == [0, 2, 3, 4, 6]
    assert first_of_each(individuals, 3).tolist() == [0, 2, 3]
    assert first_of_each(np.array([], np.int64), 3).tolist() == []
