"""Reliability: the error and the score that the literature defines, on cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.reliability import reliability


def test_the_errors_of_a_worked_example():
    """Two bins: |0.1 - 0| x 1/3 + |0.85 - 0.5| x 2/3, and the mean of squared differences."""
    found = reliability(np.array([0.1, 0.85, 0.85]), np.array([0.0, 1, 0]), np.ones(3), 3)
    assert found.error == pytest.approx((0.1 + 0.35 * 2) / 3)
    assert found.brier == pytest.approx((0.1**2 + 0.15**2 + 0.85**2) / 3)
    assert [(one.low, one.high, one.weight, one.stated, one.true) for one in found.bins] == [
        pytest.approx((0.1, 0.2, 1, 0.1, 0)),
        pytest.approx((0.8, 0.9, 2, 0.85, 0.5)),
    ]
    assert (found.base, found.count, found.individuals) == (pytest.approx(1 / 3), 3, 3)


def test_weights_count():
    """A statement of weight two is two statements."""
    stated, right = np.array([0.2, 0.7]), np.array([0.0, 1.0])
    twice = reliability(np.array([0.2, 0.7, 0.7]), np.array([0.0, 1, 1]), np.ones(3), 2)
    weighted = reliability(stated, right, np.array([1.0, 2.0]), 2)
    assert (weighted.error, weighted.brier) == (pytest.approx(twice.error), pytest.approx(twice.brier))


def test_brier_is_that_of_scikit_learn():
    """An independent Brier score agrees."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is for tests: install the extra [dev]")
    drawn = np.random.default_rng(1)
    stated, right = drawn.random(200), (drawn.random(200) < 0.3).astype(float)
    assert reliability(stated, right, np.ones(200), 1).brier == pytest.approx(metrics.brier_score_loss(right, stated))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
@settings(deadline=None)
def test_errors_lie_between_0_and_1(rows):
    """Certainty about the wrong thing costs 1, and no statement falls out of the bins."""
    stated, right = (np.array(column, float) for column in zip(*rows, strict=True))
    found = reliability(stated, right, np.ones(len(rows)), 1)
    assert 0 <= found.error <= 1
    assert 0 <= found.brier <= 1
    assert sum(one.weight for one in found.bins) == pytest.approx(len(rows))
