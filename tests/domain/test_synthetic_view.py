"""Synthetic whales and their pictures: marks stay, and show from where they can be seen."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.survey import SurveyPlan, shot
from app.domain.synthetic_view import picture, portrait
from app.domain.synthetic_whale import REACH, whale

PLAN = SurveyPlan(individuals=6, photographs=400, longest=96)
SHOTS = [shot(PLAN, number) for number in range(PLAN.photographs)]


def test_the_same_arguments_give_the_same_pixels():
    """A survey can be written twice, or in parts, and be the same survey."""
    again = picture(PLAN, shot(PLAN, 11))
    whale.cache_clear()
    assert np.array_equal(picture(PLAN, SHOTS[11]).pixels, again.pixels)


@pytest.mark.parametrize("longest", [32, 96, 200])
def test_top_views_are_tall_and_lateral_views_wide_within_the_size_asked_for(longest: int):
    """The shapes are those of real crops: top about 1:3 upright, lateral about 5:1 lying."""
    plan = replace(PLAN, longest=longest)
    for made in SHOTS[:60]:
        high, wide, _ = picture(plan, made).pixels.shape
        assert max(high, wide) <= longest
        if made.viewpoint is Viewpoint.TOP:
            assert 1.8 < high / wide < 5.0
        else:
            assert high < wide / 2


def test_a_mark_on_the_left_shows_from_above_and_from_the_left_alone():
    """Marks lie on a body: a dark left flank darkens the left of the top view, the left view, and never the right."""
    plain = whale(PLAN.seed, 0, 0, 96)
    angles = np.linspace(-REACH, REACH, plain.skin.shape[1])
    marked = replace(plain, skin=np.where(angles > 0.5, plain.skin * np.float32(0.3), plain.skin))
    darker = {}
    for viewpoint in (Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT):
        made = next(s for s in SHOTS if s.viewpoint is viewpoint)
        before, after = (portrait(seen, PLAN, made).pixels.astype(float).mean(axis=2) for seen in (plain, marked))
        darker[viewpoint] = (before - after, before.shape[1] // 2)
    loss, middle = darker[Viewpoint.TOP]
    assert loss[:, :middle].mean() > 5 * max(loss[:, middle:].mean(), 0.5)
    assert darker[Viewpoint.LEFT][0].mean() > 5
    assert darker[Viewpoint.RIGHT][0].mean() < 0.5


def test_the_head_is_up_from_above_and_to_its_own_side_from_the_side():
    """A dark front half lies at the top of a top view, on the left of a left view, on the right of a right one."""
    plain = whale(PLAN.seed, 1, 0, 96)
    front = (np.linspace(0, 1, plain.skin.shape[0]) < 0.5)[:, None]
    marked = replace(plain, skin=np.where(front, plain.skin * np.float32(0.3), plain.skin))
    for viewpoint, axis, sign in ((Viewpoint.TOP, 0, 1), (Viewpoint.LEFT, 1, 1), (Viewpoint.RIGHT, 1, -1)):
        made = next(s for s in SHOTS if s.viewpoint is viewpoint)
        before, after = (portrait(seen, PLAN, made).pixels.astype(float).mean(axis=2) for seen in (plain, marked))
        loss = (before - after).mean(axis=1 - axis)
        half = len(loss) // 2
        assert sign * (loss[:half].sum() - loss[half:].sum()) > 0.5 * loss.sum() > 0


def test_marks_last_for_years_and_tell_individuals_apart():
    """A whale of another year is nearly the same skin, gained scars included; another whale is not."""

    def likeness(one: int, year: int, other: int) -> float:
        skins = [whale(0, individual, at, 128).skin[30:].ravel() for individual, at in ((one, 0), (other, year))]
        return float(np.corrcoef(skins)[0, 1])

    assert all(likeness(individual, 2, individual) > 0.8 for individual in range(6))
    assert any(likeness(individual, 2, individual) < 0.9999 for individual in range(6))
    assert all(abs(likeness(individual, 0, individual + 1)) < 0.5 for individual in range(6))


def test_some_photographs_have_white_corners():
    """A few crops reach beyond their photograph, as real ones do; most do not."""
    corners = [picture(PLAN, made).pixels[[0, 0, -1, -1], [0, -1, 0, -1]].min(axis=1).max() for made in SHOTS[:150]]
    assert 0.02 < np.mean(np.array(corners) == 255) < 0.3
