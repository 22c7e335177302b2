"""Fitting: honest on animals that were not fitted on, and silent where there is too little to learn from."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain.calibration import Calibration, Curve
from app.domain.catalogue import Viewpoint
from app.domain.fitting import cross_judge, fit, judge
from app.domain.partition import VIEWPOINTS
from app.domain.trials import Listed, ViewPair, joined
from tests.fakes_calibrations import made_trials

TRIALS = made_trials(animals=400, skill=3.0, seed=1)
KINDS = {ViewPair.ANY: TRIALS, ViewPair.SAME: TRIALS}


def test_every_kind_with_enough_trials_is_fitted():
    """Curves for both lists and P(new); a kind with too few falls back on the mixed one."""
    found = fit(KINDS | {ViewPair.ACROSS: made_trials(animals=8)})
    assert {listed: set(curves) for listed, curves in found.same.items()} == {key: set(KINDS) for key in Listed}
    assert set(found.new) == set(KINDS)
    top, left = (np.array([VIEWPOINTS.index(viewpoint)]) for viewpoint in (Viewpoint.TOP, Viewpoint.LEFT))
    score = np.array([0.7])
    ways = [found.probability_same(Listed.ANNOTATION, Viewpoint.TOP, other, score)[0] for other in (top, left)]
    assert ways == [pytest.approx(ways[0])] * 2


def test_too_few_fit_nothing():
    """Without 20 encounters on either side there is no curve, of P(same) or of P(new)."""
    nothing = fit({ViewPair.ANY: made_trials(animals=6)})
    assert not any(nothing.same.values())
    assert not nothing.new
    assert not fit({ViewPair.ANY: made_trials(animals=60, new=0.0)}).new


def test_a_right_candidate_counts_once_an_encounter():
    """Twenty right photographs of one encounter are one piece of evidence, not twenty."""
    trials = made_trials(animals=10)
    trials.lists[Listed.ANNOTATION].same[:] = True
    assert ViewPair.ANY not in fit({ViewPair.ANY: trials}).same[Listed.ANNOTATION]


def test_probabilities_are_honest_on_other_animals():
    """Fitted on some animals and judged on others the error is small, and the score better than the base rate's."""
    fitted = fit({ViewPair.ANY: TRIALS})
    for one in judge(fitted, {ViewPair.ANY: made_trials(animals=400, skill=3.0, seed=2)}):
        assert one.reliability.error < 0.05
        assert one.reliability.brier < one.reliability.base * (1 - one.reliability.base)


def test_overconfidence_shows():
    """A calibration of animals that are told apart easily is dishonest about those that are not."""
    easy = fit({ViewPair.ANY: made_trials(animals=400, skill=6.0)})
    hard = {one.listed: one.reliability for one in judge(easy, {ViewPair.ANY: made_trials(animals=400, skill=1.0)})}
    fair = {one.listed: one.reliability for one in cross_judge({ViewPair.ANY: made_trials(animals=400, skill=1.0)})}
    assert hard[None].error > 2 * fair[None].error


def test_the_error_is_of_animals_that_were_not_fitted_on():
    """Every trial is judged once, by a fit that saw none of its animal."""
    judged = {(one.kind, one.listed): one.reliability for one in cross_judge(KINDS)}
    assert judged.keys() == {(kind, listed) for kind in KINDS for listed in (*Listed, None)}
    assert judged[ViewPair.ANY, None].count == len(TRIALS)
    assert judged[ViewPair.ANY, None].individuals == 400
    assert judged[ViewPair.ANY, None].base == pytest.approx(0.3)
    assert all(one.error < 0.08 for one in judged.values())


def test_what_no_fold_can_fit_is_not_judged():
    """Too few trials have no error: that is not an error of 0."""
    assert cross_judge({ViewPair.ANY: made_trials(animals=6)}) == []
    assert judge(fit({ViewPair.ANY: TRIALS}), {ViewPair.ANY: TRIALS.take(np.zeros(len(TRIALS), bool))}) == []
    assert judge(fit({}), KINDS) == []


def test_a_kind_without_a_curve_is_judged_by_the_mixed_one():
    """As it would be used."""
    found = judge(fit({ViewPair.ANY: TRIALS}), {ViewPair.MIRROR: TRIALS})
    assert [(one.kind, one.listed) for one in found] == [(ViewPair.MIRROR, listed) for listed in (*Listed, None)]


def test_a_mixed_gallery_is_judged_as_it_is_answered():
    """Each candidate by the curve of its viewpoint pair and in the order of its list, not by the mixed curve."""
    mixed = replace(TRIALS, lists={listed: _half_lateral(listing) for listed, listing in TRIALS.lists.items()})
    flat, curve = Curve((0.5,), (0.3,)), Curve((0.5, 0.9), (0.1, 0.8))
    same = {listed: {ViewPair.ANY: flat, ViewPair.SAME: flat, ViewPair.ACROSS: curve} for listed in Listed}
    (found, _) = judge(Calibration(same, {}), {ViewPair.ANY: mixed})
    listing, stated = mixed.lists[Listed.ANNOTATION], []
    for scores, seen in zip(listing.scores, listing.viewpoints, strict=True):
        stated += Calibration(same, {}).probability_same(Listed.ANNOTATION, Viewpoint.TOP, seen, scores).tolist()
    assert min(stated) < 0.3
    assert sum(one.weight * one.stated for one in found.reliability.bins) == pytest.approx(sum(stated))


def _half_lateral(listing):
    seen = listing.viewpoints.copy()
    seen[:, ::2] = VIEWPOINTS.index(Viewpoint.LEFT)
    return replace(listing, viewpoints=seen)


def test_the_size_of_the_gallery_is_learned():
    """The same best score says less in a larger gallery, where chance alone finds better ones."""
    novelty = fit({ViewPair.ANY: joined([TRIALS, made_trials(animals=400, skill=3.0, seed=5)])}).new[ViewPair.ANY]
    assert novelty.best >= 0
    assert novelty.lead >= 0
    assert novelty.size >= 0
    few, many = novelty(np.array([0.72, 0.72]), np.array([0.05, 0.05]), np.array([15.0, 6000.0]))
    assert few <= many


def test_equal_evidence_gives_the_base_rate():
    """Where no score tells anything, P(new) is how often animals are new."""
    trials = made_trials(animals=100, skill=0.0, new=0.5)
    for listing in trials.lists.values():
        listing.scores[:] = 0.6
    novelty = fit({ViewPair.ANY: trials}).new[ViewPair.ANY]
    assert novelty(np.array([0.6]), np.array([0.0]), np.array([60.0]))[0] == pytest.approx(0.5, abs=0.02)
