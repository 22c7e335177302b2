"""Occasions: what a day shares and what it gives, against plain loops over small arrays."""

import math
from dataclasses import replace

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.occasions import DaySums, centred, day_of, idle, raised, shared
from app.domain.partition import UNDATED, VIEWPOINTS
from app.domain.profiles import CONTEST, COSINE, REVIEW, Centre, Occasion, Profile
from tests.fakes_index import NumpySnapshot, made_source, unit_vectors

TOP = VIEWPOINTS.index(Viewpoint.TOP)


@pytest.fixture
def stored():
    """Two hundred annotations on seven days, a fifth of them without a vector."""
    snapshot = NumpySnapshot(1, made_source(200, years=1))
    gallery = snapshot.gallery
    snapshot.gallery = replace(gallery, viewpoint=gallery.viewpoint * 0 + TOP, day=700 + gallery.annotation % 7)
    return snapshot


@pytest.mark.parametrize("share", [1.0, 0.8, 0.3, 0.0])
def test_a_day_sums_up_what_is_searched_of_it(stored, share):
    """Whether the rest is subtracted or the rows are added up: rows of the day, the view and the mask with a vector."""
    gallery, days = stored.gallery, DaySums()
    for seed, day in enumerate([700, 703, 700]):
        mask = np.random.default_rng(seed).random(len(gallery)) < share
        rows = np.flatnonzero(mask & (gallery.day == day) & stored.held("body"))
        total, count = days.total(stored, "body", TOP, day, mask)
        assert count == len(rows)
        wanted = [math.fsum(column) for column in stored.vectors("body", gallery.annotation[rows]).astype(float).T]
        assert total == pytest.approx(wanted, abs=1e-9)
        again = days.total(stored, "body", TOP, day, mask)[0]
        assert again.tobytes() == total.tobytes()


def test_a_day_is_summed_up_once(stored, monkeypatch):
    """A second gallery that lacks one row of it reads that row alone."""
    days, everything = DaySums(), np.ones(len(stored.gallery), np.bool_)
    days.total(stored, "body", TOP, 702, everything)
    read = []
    vectors = stored.vectors
    monkeypatch.setattr(stored, "vectors", lambda space, ids: read.append(ids.tolist()) or vectors(space, ids))
    row = np.flatnonzero((stored.gallery.day == 702) & stored.held("body"))[3]
    days.total(stored, "body", TOP, 702, np.arange(len(everything)) != row)
    assert read == [[int(stored.gallery.annotation[row])]]


def test_other_views_and_days_without_photographs_have_no_sum(stored):
    """Nothing is searched of them: zeros, of none."""
    everything = np.ones(len(stored.gallery), np.bool_)
    for view, day in ((TOP, 800), (TOP + 1, 700), (TOP, UNDATED)):
        total, count = DaySums().total(stored, "body", view, day, everything)
        assert (total.tolist(), count) == ([0.0] * 8, 0)


def test_what_a_day_shares_is_drawn_down_where_there_are_few():
    """Weight x sum / (count + prior): of 5 photographs a fifth with a prior of 20, all of their mean without one."""
    vectors = unit_vectors(5, 8).astype(float)
    total = vectors.sum(axis=0)
    assert shared(total, 5, Centre()) == pytest.approx(vectors.mean(axis=0) / 5, abs=1e-6)
    assert shared(total, 5, Centre(0.5, 0.0)) == pytest.approx(vectors.mean(axis=0) / 2, abs=1e-6)
    assert shared(total * 0, 0, Centre(prior=0.0)).tolist() == [0.0] * 8


def test_centring_takes_out_what_is_shared():
    """unit(v - look); a vector that shares nothing stays bitwise, one that is nothing else becomes zeros."""
    vectors, looks = unit_vectors(4, 8), unit_vectors(4, 8, 1) * np.float32(0.3)
    looks[1], looks[2] = 0.0, vectors[2]
    found = centred(vectors, looks)
    for row in (0, 3):
        rest = vectors[row].astype(float) - looks[row]
        assert found[row] == pytest.approx(rest / math.sqrt(sum(rest * rest)), abs=1e-6)
    assert found[1].tobytes() == vectors[1].tobytes()
    assert found[2].tolist() == [0.0] * 8
    assert found.dtype == np.float32


def test_what_lacks_a_space_stays_as_short_as_it_was():
    """A joined vector without a part is no more like a query for being centred."""
    vectors, looks = unit_vectors(3, 8) * np.float32(0.7), unit_vectors(3, 8, 1) * np.float32(0.3)
    assert np.linalg.norm(centred(vectors, looks), axis=1) == pytest.approx([0.7] * 3)


def test_a_centred_vector_depends_on_nothing_beside_it():
    """Alone or among others, in any order, it is the same to the last bit."""
    vectors, looks = unit_vectors(9, 37), unit_vectors(9, 37, 1) * np.float32(0.2)
    together = centred(vectors, looks)
    assert centred(vectors[::-1], looks[::-1])[::-1].tobytes() == together.tobytes()
    assert all(centred(vectors[[row]], looks[[row]])[0].tobytes() == together[row].tobytes() for row in range(9))


def test_the_day_of_the_query_is_a_bonus():
    """Likeness + min(gain, half of what lacks to 1) for those of the day: never above 1, and never a new tie."""
    likeness = np.array([-1.0, 0.2, 0.2, 0.9, 0.95, 1.0])
    same = np.array([True, False, True, True, True, True])
    assert raised(likeness, same, Occasion(0.15)) == pytest.approx([-0.85, 0.2, 0.35, 0.95, 0.975, 1.0])
    assert raised(likeness, same, Occasion(1.0)) == pytest.approx([0.0, 0.2, 0.6, 0.95, 0.975, 1.0])
    assert raised(likeness, same, Occasion(0.0)).tolist() == likeness.tolist()


def test_photographs_have_a_day_together_only_where_all_have_the_same():
    """One that is not known, or of another day, leaves no day."""
    assert day_of([700, 700]) == 700
    assert [day_of(days) for days in ([700, 701], [700, UNDATED], [UNDATED], [])] == [UNDATED] * 4


def test_what_did_nothing_is_told():
    """For want of a day both stages, for want of a viewpoint the one that compares within it."""
    asked = (CONTEST, Viewpoint.TOP)
    assert idle(*asked, UNDATED, several=False) == "centre and occasion did nothing: its day is not known"
    assert "photographs from top are not known to be of one day" in idle(*asked, UNDATED, several=True)
    assert idle(*asked, 700, several=False) == idle(COSINE, Viewpoint.TOP, UNDATED, several=False) == ""
    assert idle(REVIEW, Viewpoint.UNKNOWN, 700, several=False) == "centre did nothing: its viewpoint is not known"
    assert idle(Profile("day", (Occasion(),)), Viewpoint.UNKNOWN, 700, several=False) == ""
