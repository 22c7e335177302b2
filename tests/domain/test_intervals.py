"""Intervals by resampling whole groups."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from app.domain.intervals import mean_intervals


def test_queries_of_their_own_give_scipys_interval():
    """With a group for each value it is the percentile bootstrap of the mean that scipy computes."""
    values = np.random.default_rng(1).beta(0.5, 0.5, 400)
    (mine,) = mean_intervals(values[:, None], list(range(400)), rounds=4000)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_animals_are_drawn_whole():
    """Ten equal queries of one animal are no more proof than one: the interval does not shrink."""
    values = np.random.default_rng(1).random(30)
    (alone,) = mean_intervals(values[:, None], list(range(30)))
    (tenfold,) = mean_intervals(np.repeat(values, 10)[:, None], np.repeat(np.arange(30), 10).tolist())
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


def test_the_same_input_gives_the_same_interval():
    """Names of groups and their order in memory do not matter, only their sorted texts."""
    columns = np.random.default_rng(3).random((50, 2))
    groups = [f"whale{n % 7}" for n in range(50)]
    assert mean_intervals(columns, groups) == mean_intervals(columns, list(groups))


def test_many_groups_are_drawn_in_blocks(monkeypatch):
    """Memory is bounded by the block; the draws stay the same."""
    columns = np.random.default_rng(3).random((40, 1))
    whole = mean_intervals(columns, list(range(40)), rounds=100)
    monkeypatch.setattr("app.domain.intervals._BLOCK", 40 * 7)
    assert mean_intervals(columns, list(range(40)), rounds=100) == whole


@pytest.mark.parametrize("groups", [[], ["whale"] * 3])
def test_one_group_has_no_interval(groups):
    """Nothing can be resampled: no interval is better than one of width zero."""
    assert mean_intervals(np.ones((len(groups), 2)), groups) == [None, None]
