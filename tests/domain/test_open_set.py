"""Known or new by the best score."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from app.domain.open_set import open_set


def test_the_area_is_scikit_learns():
    """Ties count half."""
    drawn = np.random.default_rng(0)
    known, new = drawn.integers(3, 10, 80) / 10, drawn.integers(0, 8, 60) / 10
    found = open_set(known.tolist(), new.tolist())
    labels, scores = [1] * 80 + [0] * 60, [*known, *new]
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores))
    assert (found.known, found.new) == (80, 60)


def test_the_threshold_keeps_95_of_100_known():
    """And counts how many of the new come along."""
    found = open_set([n / 100 for n in range(100)], [0.04, 0.05, 0.5, 0.01])
    assert found.threshold == 0.05
    assert found.fpr95 == 0.5


def test_the_curve_runs_from_corner_to_corner():
    """It never falls, and is thinned to what can be drawn."""
    drawn = np.random.default_rng(0)
    curve = np.array(open_set(drawn.random(2000).tolist(), drawn.random(2000).tolist()).curve)
    assert (curve[0].tolist(), curve[-1].tolist()) == ([0, 0], [1, 1])
    assert (np.diff(curve, axis=0) >= 0).all()
    assert len(curve) <= 201


@pytest.mark.parametrize(("known", "new"), [([], [0.5]), ([0.5], [])])
def test_one_kind_alone_has_no_overlap(known, new):
    """There is nothing to tell apart."""
    assert open_set(known, new) is None
