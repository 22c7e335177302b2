"""Ranking: scores keep the order of cosines, lists merge fairly, and an individual is named once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ports import Neighbours
from app.domain.ranking import first_of_each, fuse, merge, score_of


def neighbours(*rows: list[tuple[int, float]]) -> Neighbours:
    return Neighbours(
        np.array([[annotation for annotation, _ in row] for row in rows], np.int64),
        np.array([[cosine for _, cosine in row] for row in rows], np.float32),
    )


def test_scores_lie_between_zero_and_one():
    """The worst cosine is 0, none at all 0.5, the best 1; rounding beyond 1 stays 1."""
    assert score_of(np.array([-1, 0, 1, 1.0000001], np.float32)).tolist() == [0, 0.5, 1, 1]


@given(st.lists(st.floats(-1, 1, width=32), min_size=2))
def test_different_cosines_keep_different_scores(cosines):
    """No two cosines are tied by the scale, negative ones included."""
    values = np.unique(np.array(cosines, np.float32) + np.float32(0))
    assert (np.diff(score_of(values)) > 0).all() or np.diff(values).min(initial=1) < 1e-15


def test_spaces_count_by_their_weight():
    """The fused cosine is the weighted mean."""
    fused = fuse([np.array([1, 0], np.float32), np.array([0, 1], np.float32)], [3, 1])
    assert fused.tolist() == [0.75, 0.25]
    assert fused.dtype == np.float32


def test_lists_merge_by_cosine_and_ties_by_id():
    """The best of all lists come first; equal cosines are ordered by the lower id; fillers come last."""
    left = neighbours([(7, 0.5), (9, 0.1), (-1, -np.inf)])
    right = neighbours([(8, 0.9), (3, 0.5), (-1, -np.inf)])
    assert merge([left, right], 5).annotations.tolist() == [[8, 3, 7, 9, -1]]
    assert merge([left, right], 2).cosines.tolist() == [[pytest.approx(0.9), 0.5]]


def test_each_query_is_merged_alone():
    """Rows of several queries do not mix."""
    merged = merge([neighbours([(1, 0.1)], [(2, 0.2)]), neighbours([(3, 0.3)], [(4, 0.1)])], 2)
    assert merged.annotations.tolist() == [[3, 1], [2, 4]]


def test_the_first_of_each_individual_stays():
    """Later rows of the same individual go; annotations without one stand for themselves; the limit holds."""
    individuals = np.array([5, 5, -1, 6, -1, 5, 7])
    assert first_of_each(individuals, 10).tolist() == [0, 2, 3, 4, 6]
    assert first_of_each(individuals, 3).tolist() == [0, 2, 3]
    assert first_of_each(np.array([], np.int64), 3).tolist() == []
