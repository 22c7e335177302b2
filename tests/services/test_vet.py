"""Vet: local features decide among the first candidates of a match."""

from dataclasses import replace

import pytest

from app.domain.catalogue import Box
from app.domain.errors import ModelUnavailable
from app.domain.profiles import COSINE, VERIFIED, Profile, Verify
from app.domain.question import MatchRequest
from tests.fakes import World, photo, sighting

PARTS_ALONE = Profile("parts", (Verify(shortlist=5, share=1.0),))


@pytest.fixture
def world() -> World:
    made = World()
    made.survey()
    return made


def test_only_the_first_candidates_are_verified(world):
    """The first five stand in the order of their agreeing features, the others in the order that they had."""
    request = MatchRequest(photographs=(photo(2, 9),), profile=COSINE)
    plain = [one.annotation for one in world.services.match(request).candidates]
    result = world.services.match(replace(request, profile=PARTS_ALONE))
    found = [one.annotation for one in result.candidates]
    counts = world.vet(request.photographs, [], found[:5]).tolist()
    assert counts == sorted(counts, reverse=True)
    assert {one.annotation_id for one in found[:5]} == {one.annotation_id for one in plain[:5]}
    assert found[5:] == plain[5:]
    assert "verify" in result.receipt.milliseconds
    scores = [one.score for one in result.candidates]
    assert scores == sorted(scores, reverse=True)


def test_features_of_the_catalogue_are_found_once(world):
    """Asked again, only the photograph that was sent is looked at; an annotation asked about is kept too."""
    request = MatchRequest(photographs=(photo(2, 9),), profile=PARTS_ALONE)
    world.services.match(request)
    assert world.features.described == 6
    world.services.match(request)
    assert world.features.described == 7
    for _ in range(2):
        world.services.match(MatchRequest(annotation_ids=(2,), profile=PARTS_ALONE))
    seen = world.features.described
    world.services.match(MatchRequest(annotation_ids=(2,), profile=PARTS_ALONE))
    assert world.features.described == seen


def test_the_best_of_several_photographs_agrees(world):
    """A candidate that one of the photographs shows agrees as it does with that one alone."""
    one, other = photo(2, 9), photo(3, 9)
    candidates = [world.catalogue.annotation(number) for number in (4, 7)]
    alone = [world.vet([content], [], candidates) for content in (one, other)]
    assert world.vet([one, other], [], candidates).tolist() == [max(pair) for pair in zip(*alone, strict=True)]


def test_a_box_has_features_of_its_own(world):
    """Two boxes of one photograph are looked at each."""
    world.bring([sighting(90, "a", box=Box(2, 2, 30, 30)), sighting(91, "b")], [photo(5), photo(5)], "folder:more")
    marks = [world.vet.marks(world.catalogue.annotation(number)) for number in (13, 14)]
    assert world.features.described == 2
    assert (marks[0].descriptors != marks[1].descriptors).any()


def test_the_profile_says_what_it_lacks(world):
    """Without a library for local features the match fails with a sentence; other profiles answer."""
    world.features.broken = "the profile verified needs OpenCV"
    with pytest.raises(ModelUnavailable, match="OpenCV"):
        world.services.match(MatchRequest(photographs=(photo(2, 9),), profile=VERIFIED))
    assert world.services.match(MatchRequest(photographs=(photo(2, 9),))).candidates
