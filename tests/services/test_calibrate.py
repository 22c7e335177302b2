"""Calibrate: trials leave the own encounter out, a calibration is used for exactly what it was fitted to."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from app.domain.calibration_record import Source, purpose_of
from app.domain.catalogue import CaptureDate, Viewpoint
from app.domain.errors import InvalidInput, UnknownCalibration
from app.domain.jobs import JobKind, JobState, Step
from app.domain.meter import Verdict
from app.domain.partition import NOBODY
from app.domain.profiles import CONTEST, COSINE, REVIEW, Profile
from app.domain.question import GroupBy, MatchRequest
from app.domain.trials import UNDATED_GAP, Listed, ViewPair, encounter_keys
from app.services.calibrate import calibrated
from app.services.trials import Trying
from tests.fakes import World, one_space, photo, sighting, two_spaces
from tests.fakes_calibrations import made_trials


def brought(whales=42):
    """A world of whales, each second one met once and the others in 2017 and in 2018."""
    world, rows, pictures = World(), [], []
    for whale in range(whales):
        for meeting in range(1 + whale % 2):
            taken = datetime(2017 + meeting, 7, 1 + whale % 28)
            rows.append(sighting(len(rows) + 2, f"w{whale}", encounter=f"w{whale}-{meeting}", taken=taken))
            pictures.append(photo(whale, 1 + meeting))
    world.bring(rows, pictures)
    return world


@pytest.fixture(scope="module")
def world():
    return brought()


def trials(world, **given):
    return Trying(world.index.current(), world.embedder.ensemble, COSINE, **given)


def test_a_trial_never_sees_its_own_encounter(world):
    """The best candidate of a known animal is of another encounter; an animal met once is new."""
    found = trials(world)()
    asked = found[ViewPair.ANY]
    assert (asked.known.sum(), (~asked.known).sum()) == (42, 21)
    right = asked.lists[Listed.INDIVIDUAL].same[:, 0]
    assert right[asked.known].all()
    assert not right[~asked.known].any()
    assert (asked.lists[Listed.ANNOTATION].place[~asked.known] == 0).all()
    assert set(asked.searched) == {41, 42}


def test_a_copy_in_another_encounter_is_no_other_encounter():
    """The very moment filed under another encounter tells nothing of how new photographs fare."""
    rows = [sighting(row, "w", encounter=name) for row, name in ((2, "a"), (3, "b"), (4, "c"))]
    alone = World()
    alone.bring(rows, [photo(1, 1), photo(1, 2), photo(1, 3)])
    assert trials(alone)()[ViewPair.ANY].known.all()
    snapshot = alone.index.current()
    snapshot.gallery = replace(snapshot.gallery, fold=np.full(3, 9))
    assert not Trying(snapshot, alone.embedder.ensemble, COSINE)()


def test_with_its_own_encounter_everybody_is_known():
    """The easy question, asked for comparison: only the photograph itself is left out."""
    rows = [sighting(row, "w", encounter="a") for row in (2, 3)]
    alone = World()
    alone.bring(rows, [photo(1, 1), photo(1, 2)])
    assert trials(alone, own_encounter=True)()[ViewPair.ANY].known.all()
    assert trials(alone)() == {}


def test_the_years_to_the_nearest_sighting(world):
    """Met in 2017 and 2018: a year lies between; an animal met once has no nearest sighting."""
    asked = trials(world)()[ViewPair.ANY]
    assert set(asked.years[asked.known]) == {1}
    assert set(asked.years[~asked.known]) == {UNDATED_GAP}


def test_one_kind_of_question_is_ranked_once(world):
    """A catalogue of top views holds the same trials as a mixed gallery and as one of its own viewpoint."""
    found = trials(world)()
    assert set(found) == {ViewPair.ANY, ViewPair.SAME}
    assert found[ViewPair.ANY].lists is found[ViewPair.SAME].lists or np.array_equal(
        found[ViewPair.ANY].lists[Listed.INDIVIDUAL].scores, found[ViewPair.SAME].lists[Listed.INDIVIDUAL].scores
    )


def test_queries_and_gallery_can_be_chosen(world):
    """For measuring: some ask, others may be found."""
    gallery = world.index.current().gallery
    some = gallery.individual <= 5
    told = []
    asked = trials(world, gallery=~some)(some, lambda done, total: told.append((done, total)))[ViewPair.ANY]
    assert set(asked.individual) == set(range(1, 6))
    assert not asked.known.any()
    assert told[-1] == (len(told), len(told))


def test_viewpoints_are_asked_apart():
    """Kinds of viewpoint pairs that no space compares give no trials; those that one does give their own."""
    world = World(two_spaces())
    views = (Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT)
    rows = [sighting(row, f"w{row // 6}", encounter=f"e{row // 3}", viewpoint=views[row % 3]) for row in range(2, 38)]
    world.bring(rows, [photo(row // 6, row) for row in range(2, 38)])
    found = trials(world)()
    assert set(found) == {ViewPair.ANY, ViewPair.SAME, ViewPair.ACROSS}


def test_an_animal_without_encounters_is_met_once_a_day():
    """Photographs of one day without an encounter may be one meeting: none is left in the gallery of another."""
    world = World()
    days = [datetime(2019, 7, 1), datetime(2019, 7, 1), datetime(2019, 7, 2), None]
    world.bring([sighting(row, "w", taken=day) for row, day in enumerate(days, 2)], [photo(1, n) for n in range(4)])
    keys = encounter_keys(world.index.current().gallery)
    assert (keys < NOBODY).all()
    assert [keys[0] == key for key in keys] == [True, True, False, False]
    asked = trials(world)()[ViewPair.ANY]
    assert asked.known.all()
    assert set(asked.years) == {0, UNDATED_GAP}


def test_what_has_no_name_or_no_vector_is_not_asked_about():
    """Nor found: its truth is not known."""
    world = World()
    world.bring([sighting(2, None), sighting(3, "w", encounter="a")], [photo(1, 1), photo(1, 2)])
    assert trials(world)() == {}


def test_a_view_that_no_space_places_is_not_asked_about():
    """Without vectors there is no question, and no error."""
    only = World(replace(one_space(), spaces=(replace(one_space().spaces[0], viewpoints=frozenset({Viewpoint.TOP})),)))
    views = (Viewpoint.TOP, Viewpoint.LEFT)
    rows = [sighting(row, "w", encounter=f"e{row}", viewpoint=views[row % 2]) for row in range(2, 6)]
    only.bring(rows, [photo(1, row) for row in range(2, 6)])
    asked = trials(only)()[ViewPair.ANY]
    assert len(asked) == 2
    assert asked.known.all()


def test_calibrating_makes_probabilities(world):
    """After `calibrate` a match of the right whale is likely, and its receipt names the calibration and its error."""
    before = world.services.match(MatchRequest(photographs=(photo(5, 99),)))
    assert (before.odds.calibrated, before.odds.new, before.candidates[0].probability_same) == (None, None, None)
    made = world.services.calibrate()
    assert (made.calibration_id, made.source) == (1, Source.CATALOGUE)
    assert (made.queries, made.encounters, made.individuals) == (63, 63, 42)
    assert made.catalogue_version == world.index.current().catalogue_version
    assert world.services.calibrate.current() == made
    for group in GroupBy:
        found = world.services.match(MatchRequest(photographs=(photo(5, 99),), group_by=group))
        same = [candidate.probability_same for candidate in found.candidates]
        assert same[0] > 0.8
        assert same == sorted(same, reverse=True)
        assert all(0 < one < 1 for one in same)
        assert found.odds.calibrated == made
        assert found.odds.error_same is not None
        assert 0 < found.odds.new < 0.5
    assert {figure.verdict for figure in made.meter} == {Verdict.TOO_FEW}
    world.calibrations.held.clear()


def test_odds_do_not_depend_on_how_many_are_asked_for(world):
    """One candidate, twenty or fifty: the first have the same probabilities, and so has a new animal."""
    world.services.calibrate()
    told = [world.services.match(MatchRequest(photographs=(photo(5, 99),), limit=limit)) for limit in (1, 20, 50)]
    same = [[candidate.probability_same for candidate in one.candidates] for one in told]
    assert [len(one) for one in same] == [1, 20, 50]
    assert same[0] == same[1][:1]
    assert same[1] == same[2][:20]
    assert len({one.odds.new for one in told}) == 1
    assert told[0].odds.new is not None
    world.calibrations.held.clear()


def test_a_calibration_of_anything_else_is_not_used(world):
    """Another profile, other settings of it, another ensemble: no probability rather than a wrong one."""
    made = world.services.calibrate(CONTEST)
    assert world.services.match(MatchRequest(photographs=(photo(5, 99),))).odds.calibrated is None
    with pytest.raises(UnknownCalibration):
        world.services.calibrate.current()
    foreign = replace(made, purpose=purpose_of("0" * 64, REVIEW))
    world.calibrations.held[:] = [foreign, replace(made, purpose=replace(made.purpose, profile=REVIEW.name))]
    assert world.services.match(MatchRequest(photographs=(photo(5, 99),))).odds.calibrated is None
    world.calibrations.held.clear()
    assert purpose_of("1", Profile("review")) != purpose_of("1", Profile("contest"))


def test_the_releases_calibration_serves_until_there_is_one(world):
    """A first match has probabilities already, marked as fitted on the release's animals."""
    ensemble = world.embedder.ensemble
    shipped = calibrated(
        {ViewPair.ANY: made_trials()},
        purpose_of(ensemble.manifest_sha256, REVIEW),
        Source.RELEASE,
        "validation animals",
    )
    world.released.held[:] = [shipped]
    assert world.services.calibrate.current() == shipped
    assert world.services.match(MatchRequest(photographs=(photo(5, 99),))).odds.calibrated == shipped
    own = world.services.calibrate()
    assert world.services.calibrate.current() == own
    world.released.held.clear()
    world.calibrations.held.clear()


def test_an_empty_gallery_holds_nobody(world):
    """With everything excluded the animal is certainly none of those searched, calibrated or not."""
    nothing = MatchRequest(
        photographs=(photo(5, 99),), without_individuals=frozenset(f"w{whale}" for whale in range(42))
    )
    assert world.services.match(nothing).odds.new == 1.0
    world.services.calibrate()
    assert world.services.match(nothing).odds.new == 1.0
    world.calibrations.held.clear()


def test_too_few_animals_cannot_be_calibrated():
    """Said in a sentence, and nothing is stored."""
    world = brought(whales=3)
    with pytest.raises(InvalidInput, match="too few animals"):
        world.services.calibrate()
    assert world.calibrations.held == []


def test_a_date_without_a_day_has_a_year():
    """An animal without any date has no gap of years."""
    world = World()
    rows = [sighting(2, "w", encounter="a", captured=CaptureDate()), sighting(3, "w", encounter="b")]
    world.bring(rows, [photo(1, 1), photo(1, 2)])
    assert set(trials(world)()[ViewPair.ANY].years) == {UNDATED_GAP}


def job_of(world, profile=REVIEW.name, after=0):
    return world.jobs.enqueue(JobKind.CALIBRATE, {"profile": profile, "after": after})


def test_a_calibration_is_a_job(world):
    """It tells how far it is, names what it made, and does not make it twice of one catalogue."""
    assert world.services.calibrate.newest() == 0
    job = job_of(world)
    assert (job.state, job.result) == (JobState.DONE, {"calibration_id": 1, "profile": "review"})
    assert (job.done, job.total) == (63, 63)
    assert world.jobs.told[-1] == (job.job_id, 63, 63)
    assert world.services.calibrate.newest() == 1
    assert job_of(world, after=0).result == job.result
    assert job_of(world, after=1).result["calibration_id"] == 2
    assert world.services.calibrate.since(REVIEW, 2) is None
    world.calibrations.held[:] = [replace(world.calibrations.held[0], catalogue_version=0)]
    assert world.services.calibrate.since(REVIEW, 0) is None
    world.calibrations.held.clear()


def test_a_calibration_that_is_to_stop_leaves_and_begins_anew(world):
    """Nothing is stored; the next step does all of it."""
    work = (world.services, world.jobs.works[JobKind.CALIBRATE])[1]
    world.jobs.closed = True
    assert work.step({"profile": "review", "after": 0}, 0) == Step(0, 0)
    assert world.calibrations.held == []
    world.jobs.closed = False
    assert work.step({"profile": "review", "after": None}, 0).finished
    world.calibrations.held.clear()


def test_a_calibration_that_cannot_be_made_fails_its_job():
    """With the sentence that the command would have shown."""
    small = brought(whales=3)
    assert small.services.calibrate.newest() == 0
    job = job_of(small)
    assert job.state is JobState.FAILED
    assert "too few animals" in job.reason
