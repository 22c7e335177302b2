"""Match: who is found, what is left out, and what the receipt says of it."""

import hashlib
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Viewpoint
from app.domain.errors import (
    BadFormat,
    BadScope,
    IndexUnavailable,
    InvalidInput,
    ModelUnavailable,
    UnknownAnnotation,
    UnknownIndividual,
)
from app.domain.odds import OF_SEVERAL, UNFITTED, UNSTORED
from app.domain.partition import Scope
from app.domain.profiles import COSINE, VERIFIED, Occasion, Profile
from app.domain.question import GroupBy, MatchRequest
from app.services.match import MatchResult, QueryFacts
from tests.fakes import World, photo, sighting, two_spaces


@pytest.fixture
def world() -> World:
    made = World()
    made.survey()
    return made


def names(result: MatchResult) -> list[str | None]:
    return [candidate.annotation.individual for candidate in result.candidates]


def test_a_new_photograph_finds_its_whale(world):
    """The photographs of the same whale come first, by score, ranked from 1."""
    result = world.services.match(MatchRequest(photographs=(photo(2, 9),), profile=COSINE))
    assert names(result)[:3] == ["whale2"] * 3
    assert [candidate.rank for candidate in result.candidates] == list(range(1, 13))
    scores = [candidate.score for candidate in result.candidates]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1


@pytest.mark.parametrize(("gain", "raised"), [(0.2, 1), (0.0, 0)])
def test_a_gain_of_nothing_is_not_told_as_one(world, gain, raised):
    """One photograph of the survey is of the day asked about; where nothing is given for that, nothing is said."""
    profile = Profile("days", (Occasion(gain),))
    asked = MatchRequest(photographs=(photo(2, 9),), captured=date(2019, 7, 3), profile=profile)
    result = world.services.match(asked)
    assert sum(candidate.same_occasion for candidate in result.candidates) == raised


def test_the_receipt_says_what_was_searched(world):
    """Versions, hashes, counts and stages stand in the receipt."""
    content = photo(2, 9)
    receipt = world.services.match(MatchRequest(photographs=(content,), viewpoints=(Viewpoint.TOP,))).receipt
    assert receipt.queries == (QueryFacts(hashlib.sha256(content).hexdigest(), None, Viewpoint.TOP, None),)
    assert (receipt.catalogue_version, receipt.index_generation) == (world.catalogue.version(), 1)
    assert receipt.members == {member.name: member.sha256 for member in world.embedder.ensemble.members}
    assert (receipt.gallery, receipt.searched, dict(receipt.removed)) == (12, 12, {})
    assert list(receipt.milliseconds) == ["decode", "embed", "search", "look_up"]


def test_the_same_bytes_are_marked(world):
    """A stored photograph that is asked about again is found with the score of itself, and is marked."""
    best = world.services.match(MatchRequest(photographs=(photo(3, 1),))).candidates[0]
    assert best.same_photograph
    assert best.score == pytest.approx(1)


def test_an_annotation_never_finds_its_own_photograph(world):
    """Neither the annotation asked about nor another box of its photograph is a candidate."""
    row = sighting(90, "whale9", path="014.png", box=Box(0, 0, 20, 20))
    world.bring([row], [photo(1, 1)], "folder:more")
    result = world.services.match(MatchRequest(annotation_ids=(1,)))
    assert {1, 13}.isdisjoint(candidate.annotation.annotation_id for candidate in result.candidates)
    assert dict(result.receipt.removed) == {"annotation": 1, "same_photograph": 1}


def test_the_own_encounter_can_be_left_out(world):
    """Whoever asks "would it be known another day" gets no candidate of the same encounter."""
    meeting = world.catalogue.annotation(2).encounter
    result = world.services.match(MatchRequest(annotation_ids=(2,), without_own_encounter=True))
    assert meeting not in {candidate.annotation.encounter for candidate in result.candidates}
    assert result.candidates


def test_an_annotation_without_an_encounter_has_none_to_leave_out(world):
    """Leaving out the own encounter of an annotation that has none removes nothing else."""
    world.bring([sighting(90, "whale9")], [photo(9, 1)], "folder:more")
    result = world.services.match(MatchRequest(annotation_ids=(13,), without_own_encounter=True))
    assert dict(result.receipt.removed) == {"annotation": 1, "same_photograph": 0}


def test_named_individuals_and_encounters_are_left_out(world):
    """Exclusions go by the names that the user knows, and the receipt counts what each removed."""
    request = MatchRequest(
        photographs=(photo(2, 9),),
        without_individuals=frozenset({"whale2"}),
        without_encounters=frozenset({"whale1-0"}),
    )
    result = world.services.match(request)
    assert "whale2" not in names(result)
    assert dict(result.receipt.removed) == {"encounter": 1, "individual": 3}


@pytest.mark.parametrize(
    ("excluded", "error"),
    [
        ({"without_individuals": frozenset({"nobody"})}, UnknownIndividual),
        ({"without_encounters": frozenset({"never"})}, BadScope),
    ],
)
def test_an_unknown_name_is_refused(world, excluded, error):
    """A misspelt exclusion is told, since passing over it would answer another question."""
    with pytest.raises(error):
        world.services.match(MatchRequest(photographs=(photo(2, 9),), **excluded))


def test_grouped_by_individual_each_whale_is_named_once(world):
    """The best annotation of each individual stands for it, in the order of the annotations."""
    flat = world.services.match(MatchRequest(photographs=(photo(2, 9),)))
    grouped = world.services.match(MatchRequest(photographs=(photo(2, 9),), group_by=GroupBy.INDIVIDUAL))
    assert names(grouped) == list(dict.fromkeys(names(flat)))
    assert grouped.candidates[0].score == flat.candidates[0].score


def test_a_meeting_counts_once_and_its_photographs_are_told(world):
    """A reviewer sees each encounter once; with every animal once, all its photographs are inside its candidate."""
    flat = world.services.match(MatchRequest(photographs=(photo(2, 9),), profile=COSINE)).candidates
    folded = world.services.match(MatchRequest(photographs=(photo(2, 9),))).candidates
    assert len({candidate.annotation.encounter for candidate in folded}) == len(folded) == 8
    assert len(folded) + sum(candidate.folded for candidate in folded) == len(flat)
    assert all(candidate.folded == len(candidate.inside) for candidate in folded)
    grouped = world.services.match(MatchRequest(photographs=(photo(2, 9),), group_by=GroupBy.INDIVIDUAL)).candidates
    assert [candidate.folded for candidate in grouped] == [2] * 4


def test_all_of_an_encounter_is_counted_however_many_are_asked_for():
    """Also what lies deeper than the search had to look; the first twenty are named."""
    world = World()
    rows = [sighting(row, "crowd", encounter="long") for row in range(2, 272)] + [sighting(300, "other")]
    world.bring(rows, [*(photo(1, row, size=(8, 8)) for row in range(2, 272)), photo(9, 1)])
    for limit in (1, 2, 50):
        best = world.services.match(MatchRequest(photographs=(photo(1, 999),), limit=limit)).candidates[0]
        assert (best.annotation.individual, best.folded, len(best.inside)) == ("crowd", 269, 20)


def test_another_view_is_found_through_the_animals_own(world):
    """A top photograph finds a left view through the top view of the same whale, which the candidate names."""
    row = sighting(90, "whale2", viewpoint=Viewpoint.LEFT)
    world.bring([row], [photo(77)], "folder:more")
    asked = MatchRequest(
        photographs=(photo(2, 9),), viewpoints=(Viewpoint.TOP,), scope=Scope(viewpoints=frozenset({Viewpoint.LEFT}))
    )
    plain = world.services.match(replace(asked, profile=COSINE)).candidates[0]
    (bridged,) = world.services.match(asked).candidates
    assert plain.bridge is None
    assert bridged.bridge is not None
    assert (bridged.bridge.individual, bridged.bridge.viewpoint) == ("whale2", Viewpoint.TOP)
    assert bridged.score > plain.score


def test_grouping_searches_deeper_until_there_are_enough():
    """Many photographs of one whale do not crowd out the others."""
    world = World()
    rows = [sighting(row, "crowd" if row <= 30 else f"whale{row}") for row in range(2, 36)]
    world.bring(rows, [photo(1, row) if row <= 30 else photo(row, 1) for row in range(2, 36)])
    request = MatchRequest(photographs=(photo(1, 99),), group_by=GroupBy.INDIVIDUAL, limit=3)
    assert [name == "crowd" for name in names(world.services.match(request))] == [True, False, False]


def test_days_between_need_two_dates(world):
    """The distance in days is told when both dates are known, and is None otherwise."""
    known = world.services.match(MatchRequest(photographs=(photo(2, 9),), captured=date(2019, 7, 1)))
    assert known.candidates[0].days_between == (known.candidates[0].annotation.captured.day - date(2019, 7, 1)).days
    unknown = world.services.match(MatchRequest(photographs=(photo(2, 9),)))
    assert unknown.candidates[0].days_between is None


def test_a_year_is_no_day(world):
    """A photograph known only by its year is no distance in days away, and shows no first of January."""
    world.bring(
        [sighting(90, "old", captured=CaptureDate(datetime(2019, 1, 1), DatePrecision.YEAR))], [photo(9)], "folder:old"
    )
    request = MatchRequest(photographs=(photo(9, 1),), captured=date(2019, 7, 1), limit=1)
    (candidate,) = world.services.match(request).candidates
    assert (candidate.annotation.individual, candidate.days_between) == ("old", None)
    windowed = world.services.match(MatchRequest(photographs=(photo(9, 1),), scope=Scope(since=date(2000, 1, 1))))
    assert windowed.receipt.removed["undated"] == 1


def test_the_scope_holds(world):
    """Candidates lie inside the date window, and the filter's count is told."""
    window = Scope(since=date(2019, 7, 5), until=date(2019, 7, 8))
    result = world.services.match(MatchRequest(photographs=(photo(2, 9),), scope=window, profile=COSINE))
    assert {candidate.annotation.captured.taken for candidate in result.candidates} == {
        datetime(2019, 7, day) for day in (5, 6, 7, 8)
    }
    assert (result.receipt.searched, result.receipt.removed["date"]) == (4, 8)


def test_views_that_no_space_compares_are_counted():
    """A left view is not held against right views when no space knows both, and the receipt says so."""
    world = World(two_spaces())
    rows = [sighting(2, "a", viewpoint=Viewpoint.RIGHT), sighting(3, "b", viewpoint=Viewpoint.TOP)]
    world.bring(rows, [photo(1), photo(2)])
    result = world.services.match(MatchRequest(photographs=(photo(1, 3),), viewpoints=(Viewpoint.LEFT,)))
    assert names(result) == ["b"]
    assert result.receipt.removed["no_common_space"] == 1


def test_an_empty_catalogue_has_no_candidates():
    """With nothing to search the list is empty, and the receipt says that nothing was searched."""
    world = World()
    world.services.reindex()
    result = world.services.match(MatchRequest(photographs=(photo(1),), group_by=GroupBy.INDIVIDUAL))
    assert (result.candidates, result.receipt.searched) == ((), 0)


def test_an_annotation_that_is_not_indexed_yet_is_embedded(world):
    """What was stored after the generation was built can be asked about: its original is embedded again."""
    stale = world.index.current()
    world.bring(
        [sighting(90, "whale2"), sighting(91, "whale2", box=Box(2, 2, 40, 50))], [photo(2, 7), photo(2, 8)], "x"
    )
    world.index._current = stale
    for annotation_id in (13, 14):
        assert "whale2" in names(world.services.match(MatchRequest(annotation_ids=(annotation_id,), limit=3)))


def test_an_annotation_asked_from_another_side_is_embedded_for_it():
    """Told that an annotation shows the right side, its original is embedded in the space that knows right sides."""
    world = World(two_spaces())
    rows = [sighting(2, "a", viewpoint=Viewpoint.LEFT), sighting(3, "b", viewpoint=Viewpoint.RIGHT)]
    world.bring(rows, [photo(1), photo(1, 1)])
    result = world.services.match(MatchRequest(annotation_ids=(1,), viewpoints=(Viewpoint.RIGHT,)))
    assert names(result) == ["b"]


def test_an_annotation_that_is_gone_is_passed_over(world):
    """Between two generations the index may name what the catalogue no longer holds."""
    del world.catalogue._annotations[4]
    result = world.services.match(MatchRequest(photographs=(photo(2, 9),), profile=COSINE))
    assert 4 not in {candidate.annotation.annotation_id for candidate in result.candidates}
    assert [candidate.rank for candidate in result.candidates] == list(range(1, 12))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"photographs": (b"x",) * 21},
        {"photographs": (b"x",) * 20, "annotation_ids": (1,)},
        {"annotation_ids": (1, 2, 1)},
        {"photographs": (b"x",), "viewpoints": (Viewpoint.TOP, Viewpoint.LEFT)},
        {"photographs": (b"x", b"y", b"z"), "viewpoints": (Viewpoint.TOP, Viewpoint.LEFT)},
        {"photographs": (b"x",), "limit": 0},
        {"photographs": (b"x",), "limit": 101},
        {"photographs": (b"x",), "without_own_encounter": True},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(given):
    """Nothing or too much to ask about, viewpoints that do not fit it, a limit out of range, no own encounter."""
    with pytest.raises(InvalidInput):
        MatchRequest(**given)


def test_several_photographs_of_one_side_are_one_query(world):
    """Asked together they find what their mean direction finds, whatever their order; the receipt names each."""
    contents, name = (photo(2, 9), photo(2, 8), photo(3, 7)), world.embedder.ensemble.spaces[0].name
    request = MatchRequest(photographs=contents, viewpoints=(Viewpoint.TOP,), profile=COSINE)
    result = world.services.match(request)
    vectors = [
        world.embedder.embed([(world.images.decode(one), None)], world.embedder.ensemble.spaces) for one in contents
    ]
    snapshot = world.index.current()
    mean = np.concatenate([one[name] for one in vectors]).mean(axis=0)
    cosines = snapshot.vectors(name, snapshot.gallery.annotation) @ (mean / np.linalg.norm(mean))
    assert [one.annotation.annotation_id for one in result.candidates] == (
        snapshot.gallery.annotation[np.argsort(-cosines, kind="stable")].tolist()
    )
    assert result.candidates[0].score == pytest.approx((1 + cosines.max()) / 2, abs=1e-6)
    digests = [hashlib.sha256(one).hexdigest() for one in contents]
    assert [(one.sha256, one.annotation_id, one.viewpoint) for one in result.receipt.queries] == [
        (digest, None, Viewpoint.TOP) for digest in digests
    ]
    turned = world.services.match(replace(request, photographs=contents[::-1]))
    assert [one.score for one in turned.candidates] == pytest.approx([one.score for one in result.candidates])


@pytest.mark.parametrize(
    ("photographs", "profile", "reason"),
    [(1, COSINE, UNFITTED), (2, COSINE, OF_SEVERAL), (1, VERIFIED, UNSTORED), (2, VERIFIED, OF_SEVERAL)],
)
def test_the_answer_says_why_it_has_no_probabilities(world, photographs, profile, reason):
    """A question of several photographs, a profile that reads photographs, or no calibration: each has its sentence."""
    asked = tuple(photo(2, number) for number in range(9, 9 + photographs))
    said = world.services.match(MatchRequest(photographs=asked, profile=profile)).odds
    assert (said.same, said.new, said.silent) == (None, None, reason)


def test_photographs_of_several_sides_are_ranked_each_and_merged():
    """A candidate has the mean of its scores over the sides that can be compared with it."""
    world = World(two_spaces())
    rows = [sighting(2, "a", viewpoint=Viewpoint.LEFT), sighting(3, "b", viewpoint=Viewpoint.TOP)]
    world.bring(rows, [photo(1), photo(2)])
    contents, sides = (photo(1, 3), photo(2, 3)), (Viewpoint.LEFT, Viewpoint.RIGHT)

    def scores(*places: int) -> dict[str | None, float]:
        asked = MatchRequest(
            photographs=tuple(contents[place] for place in places),
            viewpoints=tuple(sides[place] for place in places),
            profile=COSINE,
        )
        return {one.annotation.individual: one.score for one in world.services.match(asked).candidates}

    left, right, both = scores(0), scores(1), scores(0, 1)
    assert (left.keys(), right.keys(), both.keys()) == ({"a", "b"}, {"b"}, {"a", "b"})
    assert both["a"] == left["a"]
    assert both["b"] == pytest.approx((left["b"] + right["b"]) / 2)


def test_annotations_asked_together_never_find_each_other(world):
    """All their photographs are left out, and on request all their encounters, beside a photograph that was sent."""
    request = MatchRequest(photographs=(photo(1, 9),), annotation_ids=(1, 5))
    found = world.services.match(request)
    assert {1, 5}.isdisjoint(one.annotation.annotation_id for one in found.candidates)
    assert dict(found.receipt.removed) == {"annotation": 2, "same_photograph": 0}
    assert [one.annotation_id for one in found.receipt.queries] == [None, 1, 5]
    met = {world.catalogue.annotation(number).encounter for number in (1, 5)}
    other = world.services.match(replace(request, without_own_encounter=True))
    assert met.isdisjoint(one.annotation.encounter for one in other.candidates)
    assert len(met) == 2


def test_one_bad_photograph_among_several_is_named(world):
    """An error says which of them cannot be used, with the kind of error that it is."""
    request = MatchRequest(photographs=(photo(1), b"no photograph"), names=("A.png", "B.jpg"))
    with pytest.raises(BadFormat, match=r"photograph 2 of 2 \(B\.jpg\): "):
        world.services.match(request)
    with pytest.raises(BadFormat, match=r"photograph 2 of 2: "):
        world.services.match(replace(request, names=("A", "B\x00")))
    with pytest.raises(UnknownAnnotation, match="annotation 99: "):
        world.services.match(MatchRequest(annotation_ids=(1, 99)))


def test_days_are_counted_from_the_nearest_photograph(world):
    """With several annotations asked about, the shortest distance is told."""
    asked = MatchRequest(annotation_ids=(1, 12), profile=COSINE)
    days = [world.catalogue.annotation(number).captured.day for number in (1, 12)]
    for one in world.services.match(asked).candidates:
        assert one.days_between == min(abs((one.annotation.captured.day - day).days) for day in days)


def test_a_failure_is_never_an_empty_list(world):
    """Each part that fails is told by an error of its own."""
    with pytest.raises(BadFormat):
        world.services.match(MatchRequest(photographs=(b"no photograph",)))
    with pytest.raises(UnknownAnnotation):
        world.services.match(MatchRequest(annotation_ids=(99,)))
    world.embedder.broken = "a member is damaged"
    with pytest.raises(ModelUnavailable):
        world.services.match(MatchRequest(photographs=(photo(1),)))
    with pytest.raises(IndexUnavailable):
        World().services.match(MatchRequest(photographs=(photo(1),)))
