"""The missed-match meter: figures that can be checked by hand, and silence where there is too little to say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.meter import Verdict, YearGap, applying, look_at, read_meter
from app.domain.trials import Listed, ViewPair
from tests.fakes_calibrations import made_trials


def figure(figures, missed=0.05, listed=Listed.INDIVIDUAL, gap=YearGap.ANY, individuals=60):
    (found,) = [
        one
        for one in figures
        if (one.missed, one.listed, one.gap, one.individuals) == (missed, listed, gap, individuals)
    ]
    return found


def with_places(trials, places):
    lists = {listed: replace(one, place=np.asarray(places)) for listed, one in trials.lists.items()}
    return replace(trials, lists=lists)


def test_a_worked_example():
    """97 of 100 at place 1, two at 7, one at 9: seven miss 1 %, fewer miss 3 %."""
    places = np.array([1.0] * 97 + [7, 7, 9])
    assert look_at(places, np.ones(100), 0.02) == 7
    assert look_at(places, np.ones(100), 0.05) == 1
    assert look_at(places, np.ones(100), 0.01) == 9


def test_fewer_means_fewer():
    """To miss exactly 2 % is not to miss fewer than 2 %."""
    assert look_at(np.array([1.0] * 98 + [5, 6]), np.ones(100), 0.02) == 5


def test_what_the_list_does_not_hold_cannot_be_reached():
    """With 3 % nowhere in the list no depth misses fewer than 2 %, but 4 do for 5 %."""
    places = np.array([1.0] * 95 + [4, 4] + [np.inf] * 3)
    assert look_at(places, np.ones(100), 0.02) == np.inf
    assert look_at(places, np.ones(100), 0.05) == 4


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0.1, 1)), min_size=1), st.sampled_from([0.02, 0.05, 0.3]))
@settings(deadline=None)
def test_the_figure_is_the_smallest_that_holds(rows, missed):
    """At the figure fewer are missed, one place above it not."""
    places, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    at = look_at(places, weights, missed)
    assert weights[places > at].sum() < missed * weights.sum()
    assert weights[places > at - 1].sum() >= missed * weights.sum() * (1 - 1e-6)


def test_figures_name_what_they_rest_on():
    """Only animals that the gallery holds can be missed; encounters and animals are counted."""
    found = figure(read_meter(ViewPair.SAME, made_trials()))
    assert (found.kind, found.queries, found.encounters, found.animals) == (ViewPair.SAME, 168, 168, 56)
    assert found.verdict is Verdict.LOOK_AT
    assert 1 <= found.low <= found.look_at <= found.high <= 60
    assert found.unfound == 0


def test_too_few_give_no_figure():
    """Fewer than 3 / share encounters, or fewer than 20 animals: no number, rather than a wild one."""
    many = read_meter(ViewPair.ANY, made_trials())
    assert figure(many, missed=0.02).verdict is Verdict.LOOK_AT
    assert figure(many, missed=0.02, gap=YearGap.ONE).verdict is Verdict.TOO_FEW
    few = read_meter(ViewPair.ANY, made_trials(animals=20, encounters=30))
    assert {one.verdict for one in few} == {Verdict.TOO_FEW}
    assert {(one.look_at, one.low, one.high) for one in few} == {(None, None, None)}


def test_nobody_known_is_too_few():
    """A catalogue in which no animal was seen twice has no meter, and no error."""
    found = read_meter(ViewPair.ANY, made_trials(new=1.0))
    assert {(one.verdict, one.individuals, one.unfound) for one in found} == {(Verdict.TOO_FEW, 0, 0.0)}


def test_the_interval_resamples_individuals():
    """Fifty animals of which one is always missed: by queries that would be sure, by animals it is not."""
    trials = made_trials(animals=50, encounters=20, new=0.0)
    places = np.where(trials.individual == 7, 0, 1)
    found = figure(read_meter(ViewPair.ANY, with_places(trials, places)), missed=0.05)
    assert (found.verdict, found.look_at, found.low, found.high) == (Verdict.LOOK_AT, 1, 1, None)
    assert found.unfound == pytest.approx(0.02)


def test_not_reachable_is_said():
    """When a tenth is nowhere in the list, neither share has a number."""
    trials = made_trials(animals=50, encounters=20, new=0.0)
    places = np.where(trials.individual < 5, 0, 2)
    found = figure(read_meter(ViewPair.ANY, with_places(trials, places)))
    assert (found.verdict, found.look_at, found.high) == (Verdict.NOT_REACHABLE, None, None)
    assert found.unfound == pytest.approx(0.1)


def test_smaller_galleries_ask_for_less():
    """Half of the individuals are ahead of the right one in half of the gallery."""
    trials = made_trials(skill=0.0)
    looks = [figure(read_meter(ViewPair.ANY, trials), individuals=size).look_at for size in (60, 30, 15)]
    assert looks == sorted(looks, reverse=True)
    assert looks[1] == pytest.approx(looks[0] / 2, abs=3)
    assert not any(one.individuals < 10 for one in read_meter(ViewPair.ANY, trials))


def test_the_figures_that_apply_err_on_the_safe_side():
    """The smallest gallery that is no smaller; none for a larger one, another kind or another list."""
    figures = read_meter(ViewPair.ANY, made_trials())
    sizes = [one.individuals for one in applying(figures, ViewPair.ANY, Listed.INDIVIDUAL, 20)]
    assert sizes == [30, 30]
    assert [one.missed for one in applying(figures, ViewPair.ANY, Listed.INDIVIDUAL, 64)] == [0.02, 0.05]
    assert applying(figures, ViewPair.ANY, Listed.INDIVIDUAL, 67) == []
    assert applying(figures, ViewPair.SAME, Listed.INDIVIDUAL, 20) == []
    assert [one.individuals for one in applying(figures, ViewPair.ANY, Listed.ANNOTATION, 20)] == [60, 60]


def test_a_year_gap_has_its_own_figures():
    """Queries are counted by the years to the nearest sighting."""
    trials = made_trials(animals=300)
    figures = read_meter(ViewPair.ANY, trials)
    counted = [figure(figures, gap=gap).queries for gap in YearGap]
    assert counted[0] == sum(counted[1:]) == int(trials.known.sum())


def test_figures_read_as_sentences():
    """Receipts print them: a number with its interval, the whole list, or that there is too little."""
    known = figure(read_meter(ViewPair.ANY, made_trials()))
    assert known.sentence.startswith(f"Look at {known.look_at} individuals to miss fewer than 5% of the animals")
    assert f"at most {known.high}" in known.sentence
    assert "the whole list may not be enough" in replace(known, high=None).sentence
    lost = replace(known, verdict=Verdict.NOT_REACHABLE, unfound=0.1)
    assert "the whole list misses 10.0%" in lost.sentence
    assert "cannot be said" in replace(known, verdict=Verdict.TOO_FEW).sentence
