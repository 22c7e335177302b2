"""Scenarios built from a catalogue."""

import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScenario
from app.domain.scenario import check_pack
from app.domain.scenario_kinds import Built, Kind, Shot, build, known_and_new


def herd(whales: int = 12) -> list[Shot]:
    """Each whale on three days of 2017, 2018 and 2019, two top views a day, and a left view on the first."""
    shots = []
    for whale in range(whales):
        for day, year in enumerate((2017, 2018, 2019)):
            for number, viewpoint in enumerate((Viewpoint.TOP, Viewpoint.TOP, Viewpoint.LEFT)[: 2 + (day == 0)]):
                name = f"w{whale:02}-{year}"
                taken = f"{year}-07-01T00:00:0{number}"
                shots.append(Shot(f"{name}-{number}", f"w{whale:02}", name, viewpoint, year, taken))
    return shots


def scenario(built: Built, name: str):
    return next(one for one in built.pack.scenarios if one.scenario_id == name)


@pytest.fixture(scope="module")
def built() -> Built:
    return build(herd())


def test_every_kind_can_be_filled(built):
    """The contest's ten and two more; the pack is one that the contest's rules accept."""
    check_pack(built.pack)
    assert [(one.scenario_id, len(one.queries), len(one.gallery)) for one in built.pack.scenarios] == [
        ("all_top", 72, 72),
        ("new_individuals", 12, 12),
        ("new_encounters", 24, 48),
        ("within_2017", 24, 24),
        ("within_2018", 24, 24),
        ("within_2019", 24, 24),
        ("2019_against_2018", 24, 24),
        ("2019_against_2017", 24, 24),
        ("lateral_against_top", 12, 72),
        ("top_against_lateral", 72, 12),
        ("across_encounters", 48, 24),
        ("new_versus_known", 60, 12),
    ]
    assert built.unfilled == ()


def test_truth_names_the_animal_and_never_the_query(built):
    """All photographs of the individual in the gallery; the second truth without those of the query's encounter."""
    truth, elsewhere = built.pack.truth, built.pack.other_encounter
    assert truth["all_top-w03-2018-0"] == {f"w03-{year}-{n}" for year in (2017, 2018, 2019) for n in (0, 1)} - {
        "w03-2018-0"
    }
    assert elsewhere["all_top-w03-2018-0"] == truth["all_top-w03-2018-0"] - {"w03-2018-1"}
    assert truth["within_2018-w03-2018-0"] == {"w03-2018-1"}
    assert "within_2018-w03-2018-0" not in elsewhere


def test_new_encounters_are_the_latest_ones(built):
    """Nothing of an asked encounter lies in the gallery."""
    one = scenario(built, "new_encounters")
    assert all("-2019-" in query.image_id for query in one.queries)
    assert not any("-2019-" in image for image in one.gallery)


def test_new_animals_appear_nowhere_in_the_gallery(built):
    """Individuals are divided: known ones have a match, new ones none."""
    one = scenario(built, "new_versus_known")
    known, new = known_and_new(one, built.pack.truth)
    shown = {image[:3] for image in one.gallery}
    images = {query.query_id: query.image_id for query in one.queries}
    assert {images[query][:3] for query in known} == shown
    assert not {images[query][:3] for query in new} & shown
    assert (len(known), len(new), len(shown)) == (24, 36, 6)


def test_the_seed_decides_and_the_order_of_the_catalogue_does_not():
    """The same seed draws the same scenarios, another one others."""
    assert build(herd(), seed=3) == build(herd()[::-1], seed=3)
    assert build(herd(), seed=3) != build(herd(), seed=4)


def test_queries_are_drawn_when_there_are_many():
    """At most so many, all of them of the scenario."""
    (few,) = build(herd(), [Kind.ALL_TOP], most=10).pack.scenarios
    assert len(few.queries) == len({query.query_id for query in few.queries}) == 10
    assert len(few.gallery) == 72


def test_what_cannot_be_filled_is_named_with_the_reason():
    """Two whales on one day each, from the top, and one photograph without a name."""
    shots = [shot for shot in herd(2) if shot.year == 2018]
    found = build([*shots, Shot("stranger", None, None, Viewpoint.TOP)])
    assert [one.scenario_id for one in found.pack.scenarios] == ["all_top", "within_2018"]
    assert {one.kind: one.reason for one in found.unfilled} == {
        Kind.NEW_INDIVIDUALS: "too few individuals have two top views",
        Kind.NEW_ENCOUNTERS: "no individual has top views of two encounters",
        Kind.YEAR_AGAINST_YEAR: "no individual has top views in the last year and an earlier one",
        Kind.LATERAL_AGAINST_TOP: "no individual has both a lateral and a top view",
        Kind.TOP_AGAINST_LATERAL: "no individual has both a top and a lateral view",
        Kind.ACROSS_ENCOUNTERS: "no individual has top views of two encounters",
        Kind.NEW_VERSUS_KNOWN: "too few individuals have top views of two encounters",
    }


def test_photographs_without_an_encounter_are_never_from_another_one():
    """What is not known does not count as another day."""
    shots = [Shot(f"i{n}", "w", None, Viewpoint.TOP) for n in range(2)]
    found = build(shots)
    assert [one.scenario_id for one in found.pack.scenarios] == ["all_top"]
    assert (found.pack.truth["all_top-i0"], found.pack.other_encounter) == ({"i1"}, {})


def test_a_catalogue_that_fills_nothing_is_refused():
    """With every kind's reason."""
    with pytest.raises(BadScenario, match="fills no scenario: all_top: no individual has two top views"):
        build([])


def test_kinds_that_the_ensemble_cannot_compare_are_left_out():
    """With the reason; the others hold what they held."""
    found = build(herd(), comparable=lambda one, other: one is other)
    assert {left.kind: left.reason for left in found.unfilled}[Kind.LATERAL_AGAINST_TOP] == (
        "the ensemble cannot compare these views"
    )
    assert found.pack.scenarios[0] == build(herd()).pack.scenarios[0]
