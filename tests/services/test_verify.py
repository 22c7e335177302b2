"""Verify: every fault is named, none is mended, and what is not there is not called missing."""

import pytest

from app.services.verify import Verify
from tests.fakes import World, one_space, photo, sighting


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=3)
    return made


def verify(world: World) -> Verify:
    return Verify(world.catalogue, world.blobs, world.embedder, world.index)


def test_a_sound_service_verifies(world):
    """Nothing missing, changed, stale or lacking; every original was read, and told so one by one."""
    steps: list[tuple[int, int]] = []
    found = verify(world)(lambda done, total: steps.append((done, total)))
    assert found.sound
    assert found.lacking == {"colours": 0}
    assert steps == [(done, 9) for done in range(1, 10)]


def test_each_fault_is_named_and_none_is_mended(world):
    """A changed original, a stale index and lacking vectors are told, and are still there afterwards."""
    stale = world.index.current()
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:more")
    world.index._current = stale
    world.blobs.stored[world.catalogue.annotation(1).image.sha256] = b"spoilt"
    world.embedder.loaded = one_space(size=5)
    world.catalogue.use_spaces(world.embedder.active_spaces())
    for _ in range(2):
        found = verify(world)()
        assert not found.sound
        assert (len(found.index), len(found.originals), found.lacking) == (1, 1, {"colours": 10})


def test_an_original_of_no_annotation_is_listed_and_does_no_harm(world):
    """A cancelled import may leave one; everything is sound all the same."""
    [name] = world.blobs.put_all([photo(70)])
    found = verify(world)()
    assert (found.sound, found.originals, found.unreferenced) == (True, (), (f"{name} is unreferenced",))


def test_originals_of_a_disk_that_is_away_are_not_called_missing(world):
    """Without the marker file the report says that, and nothing of any photograph."""
    world.blobs.away, world.blobs.stored = "the store lacks its marker file", {}
    found = verify(world)()
    assert (found.sound, found.storage, found.originals) == (False, ("the store lacks its marker file",), ())


def test_a_catalogue_of_another_ensemble_is_not_sound(world):
    """Whatever cannot be matched is not sound: vectors of another ensemble, none at all, or no ensemble."""
    world.embedder.loaded = one_space(size=5)
    found = verify(world)()
    assert (found.sound, found.index) == (False, ())
    assert "another ensemble" in found.ensemble[0]
    world.embedder.broken = "a member is missing"
    assert "a member is missing" in verify(world)().ensemble[0]
    assert "no vectors" in verify(World())().ensemble[0]
