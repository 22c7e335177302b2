"""The made-up survey: who is photographed when, and the scenarios over it."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput
from app.domain.scenario import check_pack
from app.domain.survey import OUTING, Shot, SurveyPlan, held_out, scenario_pack, shot, sighting

PLAN = SurveyPlan(individuals=12, photographs=960, years=3, seed=5)


def shots(plan: SurveyPlan) -> list[Shot]:
    return [shot(plan, number) for number in range(plan.photographs)]


def test_a_photograph_does_not_depend_on_the_length_of_its_survey():
    """A longer survey begins with the shorter one, and any photograph can be asked for first."""
    longer = SurveyPlan(individuals=12, photographs=5000, years=3, seed=5)
    assert shot(longer, 777) == shot(PLAN, 777)
    assert shots(longer)[:960] == shots(PLAN)


def test_another_seed_is_another_survey():
    """Seeds do not share photographs."""
    other = SurveyPlan(individuals=12, photographs=960, years=3, seed=6)
    assert [s.individual for s in shots(other)] != [s.individual for s in shots(PLAN)]


def test_an_encounter_is_one_individual_from_one_side_within_an_hour():
    """Encounters keep the contest's definition inside: gaps of at most an hour."""
    encounters = defaultdict(list)
    for made in shots(PLAN):
        encounters[made.encounter].append(made)
    assert any(len(members) > 3 for members in encounters.values())
    for members in encounters.values():
        assert len({(m.individual, m.viewpoint, m.year) for m in members}) == 1
        assert all(timedelta(0) < b.taken - a.taken <= timedelta(hours=1) for a, b in pairwise(members))


def test_two_encounters_of_one_individual_are_more_than_an_hour_apart():
    """Encounters keep the contest's definition outside, in a survey with no outing to spare."""
    crowded = SurveyPlan(individuals=3, photographs=35_000, years=1)
    last: dict[int, Shot] = {}
    for made in sorted(shots(crowded), key=lambda s: s.taken):
        before = last.get(made.individual)
        if before and before.encounter != made.encounter:
            assert made.taken - before.taken > timedelta(hours=1)
        last[made.individual] = made


def test_every_individual_is_met_in_several_years_and_from_every_side():
    """A survey has what the scenarios ask for."""
    seen = defaultdict(set)
    for made in shots(PLAN):
        seen[made.individual] |= {made.year, made.viewpoint}
    assert len(seen) == PLAN.individuals
    assert all({0, 1, 2, Viewpoint.TOP} <= facts for facts in seen.values())
    assert {Viewpoint.LEFT, Viewpoint.RIGHT} <= set.union(*seen.values())


def test_every_name_says_synthetic():
    """No row of a made-up survey can be taken for a real animal's."""
    seen = sighting(PLAN, shot(PLAN, 3))
    assert seen.source_id == "synthetic000003"
    assert str(seen.individual).startswith("synthetic-individual-0")
    assert str(seen.encounter).startswith(f"{seen.individual}-")


@pytest.mark.parametrize("plan", [PLAN, SurveyPlan(individuals=1, photographs=70), SurveyPlan(photographs=1)])
def test_scenarios_keep_the_rules_of_the_contest(plan: SurveyPlan):
    """Every pack that is not empty is valid, and every query has a match in its gallery."""
    pack = scenario_pack([sighting(plan, made) for made in shots(plan)])
    if plan.photographs > 1:
        check_pack(pack)
    for scenario in pack.scenarios:
        for query in scenario.queries:
            assert pack.truth[query.query_id] <= set(scenario.gallery) - {query.image_id}
            assert pack.truth[query.query_id]


def test_scenarios_ask_what_they_say():
    """In turn: leave one out, other encounters, later years, lateral against top, top against lateral."""
    made = {sighting(PLAN, s).source_id: s for s in shots(PLAN)}
    pack = scenario_pack([sighting(PLAN, s) for s in made.values()])
    top, first, years, lateral, back = pack.scenarios
    assert {q.image_id for q in top.queries} == set(top.gallery)
    assert len({made[name].encounter for name in first.gallery}) == PLAN.individuals
    assert {made[q.image_id].year for q in years.queries} == {2}
    assert {made[name].year for name in years.gallery} == {0, 1}
    assert {made[q.image_id].viewpoint for q in lateral.queries} == {Viewpoint.LEFT, Viewpoint.RIGHT}
    assert {made[name].viewpoint for name in lateral.gallery} == {Viewpoint.TOP}
    assert set(back.gallery) == {name for name, s in made.items() if s.viewpoint is not Viewpoint.TOP}


def test_the_other_encounter_truth_leaves_the_querys_own_encounter_out():
    """Knowing a whale again within the hour is not knowing it another day."""
    by_id = {seen.source_id: seen for seen in (sighting(PLAN, made) for made in shots(PLAN))}
    pack = scenario_pack(list(by_id.values()))
    elsewhere = pack.other_encounter or {}
    for query in pack.scenarios[0].queries:
        own = by_id[query.image_id].encounter
        expected = {name for name in pack.truth[query.query_id] if by_id[name].encounter != own}
        assert elsewhere.get(query.query_id, frozenset()) == expected


def test_a_crowded_gallery_has_fewer_queries():
    """Truths stay small where a few individuals fill a large survey."""
    crowded = SurveyPlan(individuals=2, photographs=4000)
    pack = scenario_pack([sighting(crowded, made) for made in shots(crowded)])
    assert sum(len(pack.truth[query.query_id]) for query in pack.scenarios[0].queries) <= 200_000
    assert len(pack.scenarios[0].queries) > 50


def test_held_out_photographs_are_of_known_individuals_in_unknown_encounters():
    """The demo asks about photographs that its catalogue does not hold, and can be answered."""
    survey = shots(PLAN)
    held = held_out(PLAN)
    assert [made.viewpoint is Viewpoint.TOP for made in held] == [True, True, False]
    assert len({made.individual for made in held}) == 3
    assert {made.encounter for made in held}.isdisjoint(made.encounter for made in survey)
    assert {(m.individual, m.viewpoint) for m in held} <= {(m.individual, m.viewpoint) for m in survey}
    assert min(made.number for made in held) >= PLAN.photographs


def test_a_sparse_survey_holds_out_what_it_can():
    """Nothing is invented for a survey that shows one individual from one side."""
    assert len(held_out(SurveyPlan(individuals=1, photographs=1))) < 3


@pytest.mark.parametrize(
    "numbers",
    [
        {"individuals": 0},
        {"photographs": 0},
        {"years": 0},
        {"years": 101},
        {"seed": -1},
        {"longest": 31},
        {"longest": 2049},
        {"photographs": 40_000, "years": 1},
    ],
)
def test_impossible_plans_are_refused(numbers: dict[str, int]):
    """A plan that cannot be kept says so before anything is written."""
    with pytest.raises(InvalidInput):
        SurveyPlan(**numbers)


@pytest.mark.parametrize("number", [-1, 122 * 10 * OUTING])
def test_photographs_beyond_the_years_are_refused(number: int):
    """A photograph for which there is no outing is not quietly another one."""
    with pytest.raises(InvalidInput):
        shot(SurveyPlan(years=1), number)
