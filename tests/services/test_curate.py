"""Curate: what is told as indexed is what every later match sees."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Viewpoint
from app.domain.curation import Action, Signature
from app.domain.errors import (
    BadImage,
    InvalidInput,
    ModelUnavailable,
    StaleRevision,
    StorageFull,
    UnknownAnnotation,
)
from app.domain.partition import Scope
from app.domain.profiles import COSINE
from app.domain.question import GroupBy, MatchRequest
from tests.fakes import World, one_space, photo, sighting, two_spaces

ANN = Signature("Ann", "looked again")


@pytest.fixture
def world() -> World:
    made = World()
    made.survey()
    return made


def edit(world: World, number: int, **changes):
    held = world.catalogue.kept(number)
    return world.services.curate.edit(number, changes, revision=held.revision, signature=ANN)


def remove(world: World, number: int):
    return world.services.curate.remove(number, revision=world.catalogue.kept(number).revision, signature=ANN)


def restore(world: World, number: int):
    return world.services.curate.restore(number, revision=world.catalogue.kept(number).revision, signature=ANN)


def found(world: World, viewpoint: Viewpoint | None = None, asked: bytes = photo(2, 9)) -> list[int]:
    scope = Scope(viewpoints=frozenset({viewpoint})) if viewpoint else Scope()
    result = world.services.match(MatchRequest(photographs=(asked,), scope=scope, limit=100, profile=COSINE))
    return [candidate.annotation.annotation_id for candidate in result.candidates]


def test_an_edit_is_seen_by_the_next_match(world):
    """Moved to another side, an annotation is found there once and nowhere else."""
    outcome = edit(world, 4, viewpoint=Viewpoint.LEFT)
    assert (found(world, Viewpoint.LEFT), 4 in found(world, Viewpoint.TOP)) == ([4], False)
    assert outcome.snapshot is world.index.current()
    assert outcome.snapshot.catalogue_version == outcome.annotation.revision == world.catalogue.version()


def test_a_removed_annotation_is_answered_no_more_and_comes_back(world):
    """After the removal no match names it, neither as a candidate nor as the one asked about; restored, each does."""
    assert remove(world, 4).snapshot
    assert 4 not in found(world)
    with pytest.raises(UnknownAnnotation):
        world.services.match(MatchRequest(annotation_ids=(4,)))
    assert restore(world, 4).snapshot
    assert found(world).count(4) == 1
    assert [one.action for one in world.services.curate.history(4)] == [Action.REMOVED, Action.RESTORED]
    assert world.services.curate.kept(4).annotation_id == 4


def test_removing_twice_and_restoring_what_is_there_change_nothing(world):
    """Each says again what is: no line of history, no new version."""
    remove(world, 4)
    version = world.catalogue.version()
    remove(world, 4)
    restore(world, 5)
    assert (world.catalogue.version(), len(world.catalogue.history(4)), world.catalogue.history(5)) == (version, 1, [])


def test_a_box_is_embedded_before_it_is_stored(world):
    """The vector of the new crop is there with the edit; its photograph is cut in full size."""
    before = world.index.current().vectors("colours", np.array([4]))
    after = edit(world, 4, box=Box(4, 4, 30, 40)).snapshot.vectors("colours", np.array([4]))
    assert not np.allclose(before, after)
    assert np.linalg.norm(after) == pytest.approx(1)


def test_a_viewpoint_of_another_space_is_embedded_there():
    """A left view that turns out to be a right one gets the vector of the space that knows right sides, once."""
    world = World(two_spaces())
    world.bring([sighting(2, "a", viewpoint=Viewpoint.LEFT)], [photo(1)])
    seen = world.embedder.seen
    snapshot = edit(world, 1, viewpoint=Viewpoint.RIGHT).snapshot
    assert snapshot.vectors("back", np.array([1])).any()
    edit(world, 1, viewpoint=Viewpoint.LEFT)
    edit(world, 1, viewpoint=Viewpoint.RIGHT)
    assert world.embedder.seen == seen + 1


def test_other_facts_need_no_ensemble(world):
    """A name or a date is corrected while the ensemble is away; a new box has to wait, and changes nothing."""
    world.embedder.broken = "a member is missing"
    assert edit(world, 4, individual=None, encounter=None).snapshot
    version = world.catalogue.version()
    with pytest.raises(ModelUnavailable):
        edit(world, 4, box=Box(0, 0, 9, 9))
    assert world.catalogue.version() == version


def test_vectors_of_another_ensemble_are_not_stored(world):
    """While the catalogue serves another ensemble than the one in force, a reindex brings what a new box lacks."""
    world.embedder.loaded = one_space(size=5)
    edit(world, 4, box=Box(0, 0, 9, 9))
    assert world.catalogue.embedded_in(4) == set()
    snapshot = world.services.reindex()
    assert snapshot.vectors("colours", np.array([4])).any()


def test_a_restored_annotation_gets_what_it_missed(world):
    """Removed while the ensemble changed, it comes back with a vector of the present one."""
    remove(world, 4)
    world.embedder.loaded = one_space(size=5)
    world.services.reindex()
    assert restore(world, 4).snapshot.vectors("colours", np.array([4])).any()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"box": Box(40, 0, 20, 10)}, BadImage),
        ({"box": Box(0, 60, 10, 10)}, BadImage),
        ({"captured": CaptureDate(datetime.now() + timedelta(days=3), DatePrecision.DAY)}, InvalidInput),
    ],
)
def test_what_cannot_be_is_refused(world, changes, error):
    """A box outside the photograph or a day that has not come yet: nothing is changed."""
    version = world.catalogue.version()
    with pytest.raises(error):
        edit(world, 4, **changes)
    assert world.catalogue.version() == version


def test_a_stale_edit_embeds_nothing(world):
    """Whoever read an older revision is told before any work is done."""
    read = world.catalogue.kept(4).revision
    edit(world, 4, individual=None, encounter=None)
    seen = world.embedder.seen
    with pytest.raises(StaleRevision):
        world.services.curate.edit(4, {"box": Box(0, 0, 9, 9)}, revision=read, signature=ANN)
    assert world.embedder.seen == seen


def test_a_zone_is_dropped_as_an_import_drops_it(world):
    """The clock on the spot is kept."""
    zoned = datetime.fromisoformat("2019-07-05T01:00:00-08:00")
    edit(world, 4, captured=CaptureDate(zoned, DatePrecision.SECOND))
    assert world.catalogue.kept(4).captured.taken == datetime(2019, 7, 5, 1)


def test_a_change_that_cannot_be_indexed_yet_is_told_as_stored(world, monkeypatch):
    """It is on disk, so it is no failure; a match passes over what was removed, and the next refresh does the rest."""

    def full(_source):
        raise StorageFull("no space for the index")

    with monkeypatch.context() as patch:
        patch.setattr(world.index, "refresh", full)
        outcome = remove(world, 4)
    assert (outcome.snapshot, outcome.annotation.removed) == (None, True)
    result = world.services.match(MatchRequest(photographs=(photo(2, 9),), limit=12, profile=COSINE))
    assert len(result.candidates) == 11
    assert result.receipt.removed["removed_since"] == 1
    # Nor is it named inside the best answer of its animal.
    animals = world.services.match(MatchRequest(photographs=(photo(2, 9),), group_by=GroupBy.INDIVIDUAL)).candidates
    assert 4 not in {one for candidate in animals for one in candidate.inside}
    assert sorted(len(candidate.inside) for candidate in animals) == [1, 2, 2, 2]
    world.services.reindex.catch_up()
    assert 4 not in world.index.current().gallery.annotation


def test_the_gap_of_a_removal_is_filled(world, monkeypatch):
    """A match that began before a removal and is asked for three candidates answers three that are there."""
    first, *_ = found(world)
    stale = world.index.current()
    remove(world, first)
    monkeypatch.setattr(world.index, "_current", stale)
    result = world.services.match(MatchRequest(photographs=(photo(2, 9),), limit=3, profile=COSINE))
    assert first not in [candidate.annotation.annotation_id for candidate in result.candidates]
    assert [candidate.rank for candidate in result.candidates] == [1, 2, 3]


def test_an_annotation_is_found_by_its_image_id(world):
    """Also when it was removed; a stray name is unknown."""
    curate = world.services.curate
    assert curate.named("image002").annotation_id == 1
    remove(world, 1)
    assert curate.named("image002").removed
    with pytest.raises(UnknownAnnotation):
        curate.named("stray")


class Crowd:
    """Editors and readers of one world at once; ``wrong`` is what none of them should ever have seen."""

    def __init__(self, world: World) -> None:
        self.world, self.done, self.wrong = world, threading.Event(), list[object]()

    def match(self) -> None:
        while not self.done.is_set():
            ids = found(self.world)
            if len(ids) != len(set(ids)) or not {1, 2, 3, 10, 11, 12} <= set(ids):
                self.wrong.append(ids)

    def move(self, number: int) -> None:
        for turn in range(5):
            viewpoint = Viewpoint.LEFT if turn % 2 else Viewpoint.RIGHT
            edit(self.world, number, viewpoint=viewpoint)
            if (sides := [side for side in Viewpoint if number in found(self.world, side)]) != [viewpoint]:
                self.wrong.append((number, sides))

    def come_and_go(self, number: int) -> None:
        for _ in range(5):
            remove(self.world, number)
            if number in found(self.world):
                self.wrong.append(("removed", number))
            restore(self.world, number)
            if found(self.world).count(number) != 1:
                self.wrong.append(("restored", number))


def test_editors_and_matches_at_once_see_each_annotation_once(world):
    """Sides change, annotations come and go: no answer names one twice or misses one that was there throughout."""
    crowd = Crowd(world)
    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(crowd.match) for _ in range(2)]
        writers = [pool.submit(crowd.move, n) for n in (1, 2)] + [pool.submit(crowd.come_and_go, n) for n in (5, 6)]
        try:
            for writer in writers:
                writer.result()
        finally:
            crowd.done.set()
        for reader in readers:
            reader.result()
    assert crowd.wrong == []


class Editing(RuleBasedStateMachine):
    """Any order of imports, edits, removals and restorations, against a dictionary of what should be found where."""

    @initialize()
    def begin(self) -> None:
        self.world, self.model, self.rows = World(), dict[int, tuple[Viewpoint, int, bool]](), 1
        self.add(1)

    @rule(whale=st.integers(1, 3))
    def add(self, whale: int) -> None:
        self.rows += 1
        row = sighting(self.rows, f"whale{whale}")
        self.world.bring([row], [photo(whale, self.rows)], f"folder:{self.rows}")
        self.model[len(self.model) + 1] = (Viewpoint.TOP, 2019, False)

    @rule(pick=st.integers(0, 99), viewpoint=st.sampled_from(Viewpoint), year=st.integers(2015, 2020))
    def edit(self, pick: int, viewpoint: Viewpoint, year: int) -> None:
        number = 1 + pick % len(self.model)
        captured = CaptureDate(datetime(year, 7, 1), DatePrecision.DAY)
        if self.model[number][2]:
            with pytest.raises(UnknownAnnotation):
                edit(self.world, number, viewpoint=viewpoint, captured=captured)
            return
        edit(self.world, number, viewpoint=viewpoint, captured=captured)
        self.model[number] = (viewpoint, year, False)

    @rule(pick=st.integers(0, 99))
    def remove(self, pick: int) -> None:
        number = 1 + pick % len(self.model)
        remove(self.world, number)
        self.model[number] = (*self.model[number][:2], True)

    @rule(pick=st.integers(0, 99))
    def restore(self, pick: int) -> None:
        number = 1 + pick % len(self.model)
        restore(self.world, number)
        self.model[number] = (*self.model[number][:2], False)

    @rule(pick=st.integers(0, 99))
    def edit_stale(self, pick: int) -> None:
        number = 1 + pick % len(self.model)
        with pytest.raises((StaleRevision, UnknownAnnotation)):
            self.world.services.curate.edit(number, {"individual": None}, revision=10**6, signature=ANN)

    @invariant()
    def every_match_sees_the_model(self) -> None:
        for viewpoint in Viewpoint:
            expected = {n for n, (side, _, removed) in self.model.items() if side is viewpoint and not removed}
            assert sorted(found(self.world, viewpoint)) == sorted(expected)
        years = {n: year for n, (_, year, removed) in self.model.items() if not removed}
        held = self.world.index.current().gallery
        assert dict(zip(held.annotation.tolist(), held.year.tolist(), strict=True)) == years


TestEditing = Editing.TestCase
TestEditing.settings = settings(max_examples=5, stateful_step_count=10, deadline=None)
