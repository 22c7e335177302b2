"""Calibration: monotone and total for every input, and the very isotonic regression of scikit-learn underneath."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from app.domain.calibration import Calibration, Curve, Novelty, fit_curve, lead_of
from app.domain.catalogue import Viewpoint
from app.domain.partition import VIEWPOINTS
from app.domain.trials import SHORTLIST, Listed, ViewPair

unit = st.floats(0, 1)
pairs = st.lists(st.tuples(unit, st.booleans(), st.floats(0.01, 1)), min_size=2, max_size=60).filter(
    lambda rows: len({right for _, right, _ in rows}) == 2
)
RISING = Curve((0.5, 0.9), (0.1, 0.8))
FLAT = Curve((0.5,), (0.3,))


def columns(rows):
    scores, right, weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return scores, right, weights


@given(pairs, st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1))
@settings(max_examples=60, deadline=None)
def test_a_fitted_curve_is_total_and_never_certain(rows, asked):
    """Whatever is asked, both tails, infinities and NaN included, the answer is a number above 0 and below 1."""
    found = fit_curve(*columns(rows))(np.array(asked))
    assert ((found > 0) & (found < 1)).all()


@given(pairs, st.lists(unit, min_size=2))
@settings(max_examples=60, deadline=None)
def test_a_fitted_curve_never_reorders(rows, asked):
    """A better score never gets a smaller probability."""
    found = fit_curve(*columns(rows))(np.sort(np.array(asked)))
    assert (np.diff(found) >= 0).all()


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_equal_scores_get_equal_probabilities(rows):
    """The order of rows, and so of ties, changes nothing."""
    scores, right, weights = columns(rows)
    turned = fit_curve(scores[::-1], right[::-1], weights[::-1])
    np.testing.assert_allclose(turned(scores), fit_curve(scores, right, weights)(scores), atol=1e-12)


def test_both_tails_are_those_of_the_fit():
    """Beyond the scores that were fitted the nearest probability holds: nothing is None, nothing raises."""
    curve = fit_curve(np.array([0.4, 0.5, 0.6, 0.7]), np.array([0.0, 0, 1, 1]), np.ones(4))
    low, high = curve(np.array([0.4, 0.7]))
    assert low < high
    assert curve(np.array([0.0, -np.inf, 1.0, np.inf])).tolist() == [low, low, high, high]


def test_a_block_is_drawn_to_the_base_rate():
    """Ten right ones of ten are no certainty: (10 x 1 + 0.5) / 11 with a base rate of one half."""
    scores = np.concatenate([np.linspace(0.1, 0.4, 10), np.linspace(0.6, 0.9, 10)])
    curve = fit_curve(scores, np.repeat([0.0, 1.0], 10), np.ones(20))
    assert curve(np.array([0.1, 0.9])).tolist() == pytest.approx([0.5 / 11, 10.5 / 11])


def test_isotonic_regression_is_that_of_scikit_learn():
    """The regression underneath agrees with an independent one, weights and ties included."""
    sklearn = pytest.importorskip("sklearn.isotonic", reason="scikit-learn is for tests: install the extra [dev]")
    drawn = np.random.default_rng(3)
    scores = np.round(drawn.random(400), 2)
    right = (drawn.random(400) < scores).astype(np.float64)
    weights = drawn.random(400) + 0.1
    oracle = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores, right, sample_weight=weights)
    values, where = np.unique(scores, return_inverse=True)
    weight = np.bincount(where, weights)
    ours = isotonic_regression(np.bincount(where, weights * right) / weight, weights=weight).x
    np.testing.assert_allclose(ours, oracle.predict(values), atol=1e-9)
    # With a thousand times the weight the one encounter of prior knowledge no longer counts.
    heavy = fit_curve(scores, right, weights * 1e6)
    np.testing.assert_allclose(heavy(values), np.clip(oracle.predict(values), 1e-9, 1 - 1e-9), atol=1e-4)


@pytest.mark.parametrize(
    ("scores", "right", "weights"),
    [
        ([0.1, np.nan], [0, 1], [1, 1]),
        ([0.1, np.inf], [0, 1], [1, 1]),
        ([0.1, 0.2], [1, 1], [1, 1]),
        ([0.1, 0.2], [0, 0], [1, 1]),
        ([0.1, 0.2], [0, 1], [0, 0]),
        ([], [], []),
    ],
)
def test_what_cannot_be_fitted_is_refused(scores, right, weights):
    """NaN, only right or only wrong pairs, and no pairs at all."""
    with pytest.raises(ValueError, match="right ones and wrong ones"):
        fit_curve(np.array(scores, float), np.array(right, float), np.array(weights, float))


@pytest.mark.parametrize(
    ("scores", "values"),
    [
        ((), ()),
        ((0.1,), (0.5, 0.6)),
        ((0.1, float("nan")), (0.4, 0.5)),
        ((0.1, 0.2), (0.4, float("nan"))),
        ((0.2, 0.1), (0.4, 0.5)),
        ((0.1, 0.1), (0.4, 0.5)),
        ((0.1, 0.2), (0.5, 0.4)),
        ((0.1, 0.2), (0.0, 0.4)),
        ((0.1, 0.2), (0.5, 1.0)),
    ],
)
def test_a_curve_that_is_none_is_refused(scores, values):
    """A stored curve that was damaged cannot become a probability."""
    with pytest.raises(ValueError, match="ascending"):
        Curve(scores, values)


def novelty(**given):
    return Novelty(**{"best": 10.0, "lead": 5.0, "size": 0.1, "curve": Curve((5.0, 9.0), (0.2, 0.9))} | given)


@given(unit, unit, st.integers(1, 10**6), unit)
@settings(deadline=None)
def test_a_better_best_score_never_makes_a_new_animal_likelier(best, second, searched, better):
    """P(new) falls as the best score rises, whatever the second and the size of the gallery are; never 0 or 1."""
    calibration = Calibration({}, {ViewPair.ANY: novelty()})
    low, high = sorted((best, better))
    second = min(second, low)
    new = [calibration.probability_new(ViewPair.SAME, [score, second], searched) for score in (low, high)]
    assert 0 < new[1] <= new[0] < 1


def test_an_empty_gallery_holds_nobody():
    """P(new) is exactly 1 where nothing was searched, calibrated or not."""
    assert Calibration({}, {}).probability_new(ViewPair.ANY, [], 0) == 1.0
    assert Calibration({}, {ViewPair.ANY: novelty()}).probability_new(ViewPair.ANY, [], 0) == 1.0


def test_without_a_fit_nothing_is_said():
    """No curve, no probability: None is not 0."""
    calibration = Calibration({}, {})
    assert calibration.probability_new(ViewPair.ANY, [0.9], 3) is None
    assert calibration.probability_same(Listed.ANNOTATION, Viewpoint.TOP, np.array([0]), np.array([0.9])) is None


def test_a_lone_candidate_leads_nobody():
    """Without a second individual there is no lead, and no warning about infinities."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lead_of(np.array([[0.9, -np.inf], [0.9, 0.7], [-np.inf, -np.inf]])).tolist() == pytest.approx(
            [0, 0.2, 0]
        )


def positions(*viewpoints):
    return np.array([VIEWPOINTS.index(viewpoint) for viewpoint in viewpoints])


def test_each_viewpoint_pair_has_its_curve():
    """A lateral candidate of a top query is judged by the curve of such pairs; a pair without one by the mixed one."""
    curves = {ViewPair.ANY: FLAT, ViewPair.SAME: RISING}
    calibration = Calibration({Listed.ANNOTATION: curves}, {})
    scores = np.array([0.9, 0.7])
    same = calibration.probability_same(Listed.ANNOTATION, Viewpoint.TOP, positions("top", "left"), scores)
    assert same.tolist() == pytest.approx([0.8, 0.3])
    assert calibration.probability_same(Listed.INDIVIDUAL, Viewpoint.TOP, positions("top", "left"), scores) is None
    empty = calibration.probability_same(Listed.ANNOTATION, Viewpoint.TOP, positions(), np.array([]))
    assert empty.tolist() == []


@given(st.lists(st.tuples(unit, st.sampled_from(VIEWPOINTS)), min_size=1, max_size=20))
@settings(deadline=None)
def test_probabilities_follow_the_order_of_the_list(rows):
    """Down a list P(same) never rises, though curves differ by viewpoint pair."""
    rows = sorted(rows, key=lambda row: -row[0])
    curves = {ViewPair.ANY: FLAT, ViewPair.SAME: RISING, ViewPair.ACROSS: Curve((0.4, 0.6), (0.01, 0.99))}
    calibration = Calibration({Listed.INDIVIDUAL: curves}, {})
    found = calibration.probability_same(
        Listed.INDIVIDUAL, Viewpoint.TOP, positions(*(v for _, v in rows)), np.array([score for score, _ in rows])
    )
    assert (np.diff(found) <= 1e-12).all()
    assert ((found > 0) & (found < 1)).all()


@given(st.lists(st.tuples(unit, st.sampled_from(VIEWPOINTS)), min_size=SHORTLIST, max_size=60))
@settings(deadline=None)
def test_a_longer_list_changes_nothing_above(rows):
    """Whoever asks for 50 candidates is told the same of the first 20 as who asks for fewer."""
    rows = sorted(rows, key=lambda row: -row[0])
    curves = {ViewPair.ANY: FLAT, ViewPair.SAME: RISING, ViewPair.ACROSS: Curve((0.4, 0.6), (0.01, 0.99))}
    calibration = Calibration({Listed.ANNOTATION: curves}, {})
    scores, seen = np.array([score for score, _ in rows]), positions(*(viewpoint for _, viewpoint in rows))
    whole, short = (
        calibration.probability_same(Listed.ANNOTATION, Viewpoint.TOP, seen[:size], scores[:size])
        for size in (len(rows), SHORTLIST)
    )
    assert whole[:SHORTLIST].tolist() == short.tolist()
