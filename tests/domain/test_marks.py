"""Local features beside the likeness: what is fused, what is moved and what stays behind."""

import numpy as np
import pytest

from app.domain.marks import fit_logistic, fused, verified
from app.domain.profiles import Verify
from app.domain.ranking import Answers


def answers(*likeness: float) -> Answers:
    count = len(likeness)
    return Answers(
        np.arange(1, count + 1), np.array(likeness), np.arange(count) - 1, tuple((place,) for place in range(count))
    )


def test_fused_likeness_grows_with_both():
    """More likeness or more agreeing features never lower it, and it stays a likeness."""
    stage, likeness, counts = Verify(), np.linspace(-1, 1, 9), np.array([0, 1, 5, 50])
    table = np.stack([fused(likeness, np.full(9, count), stage) for count in counts])
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table, axis=1) > 0).all()
    assert (np.abs(table) <= 1).all()


def test_without_a_share_likeness_alone_orders():
    """Features that count nothing change no order."""
    found = answers(0.9, 0.5, 0.1)
    assert verified(found, np.array([0, 9, 99]), Verify(share=0.0)).annotations.tolist() == [1, 2, 3]


def test_agreeing_features_bring_an_answer_forward():
    """It takes its bridge and what is folded into it along; answers behind the shortlist stay behind, in order."""
    found = verified(answers(0.62, 0.6, 0.58, 0.55), np.array([0, 0, 80]), Verify(share=0.9))
    assert found.annotations.tolist() == [3, 1, 2, 4]
    assert found.bridges.tolist() == [1, -1, 0, 2]
    assert found.folded == ((2,), (0,), (1,), (3,))
    assert (np.diff(found.likeness) < 0).all()
    assert found.likeness[-1] >= -1


@pytest.mark.parametrize("count", [0, 2])
def test_an_empty_shortlist_is_left_alone(count):
    """Nothing to verify is nothing to move."""
    found = verified(answers(*[0.5, 0.4][:count]), np.zeros(0, np.int64), Verify())
    assert found.annotations.tolist() == [1, 2][:count]


def test_a_logistic_curve_is_found_again():
    """Fitted to draws from a known curve it comes near to it; apart from each other, both kinds still give a curve."""
    random = np.random.default_rng(0)
    values = random.uniform(-1, 1, 20_000)
    right = random.random(20_000) < 1 / (1 + np.exp(1.5 - 4 * values))
    assert fit_logistic(values, right) == pytest.approx((-1.5, 4.0), abs=0.15)
    intercept, slope = fit_logistic(np.array([0.0, 0.1, 0.9, 1.0]), np.array([False, False, True, True]))
    assert np.isfinite(intercept)
    assert slope > 1
