"""Reindex: every annotation gets its vectors, and the index follows the catalogue."""

import numpy as np
import pytest

from app.domain.catalogue import Box
from app.domain.errors import CatalogueUnavailable, Corrupt, IndexUnavailable, StorageFull, Unavailable
from tests.fakes import World, one_space, photo, sighting


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=3)
    return made


def test_a_new_ensemble_embeds_what_it_has_not_seen(world):
    """After a change of ensemble all annotations get vectors of the new space, told as they are made."""
    world.bring([sighting(90, "whale9", box=Box(2, 2, 30, 30))], [photo(9)], "folder:more")
    world.embedder.loaded = one_space(size=5)
    steps: list[int] = []
    snapshot = world.services.reindex(steps.append)
    assert steps == [10]
    assert snapshot.vectors("colours", snapshot.gallery.annotation).shape == (10, 75)
    assert np.allclose(np.linalg.norm(snapshot.vectors("colours", snapshot.gallery.annotation), axis=1), 1)


def test_nothing_lacking_nothing_embedded(world):
    """A second reindex computes no vector and keeps the generation."""
    seen, generation = world.embedder.seen, world.index.current().generation
    assert world.services.reindex().generation == generation
    assert world.embedder.seen == seen


def test_vectors_are_made_without_anybody_watching(world):
    """Progress is optional."""
    world.embedder.loaded = one_space(size=5)
    assert len(world.services.reindex().gallery) == 9


def test_a_damaged_original_stops_the_reindex(world):
    """A vector of other bytes would be a wrong answer for years."""
    world.embedder.loaded = one_space(size=5)
    world.blobs.stored[world.catalogue.annotation(1).image.sha256] = b"spoilt"
    with pytest.raises(Corrupt):
        world.services.reindex()


def test_catching_up_follows_the_catalogue(world):
    """What another program imported is found after catching up, and a catalogue that stands still costs nothing."""
    reindex = world.services.reindex
    before = world.index.current()
    reindex.catch_up()
    assert world.index.current() is before
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:more")
    world.index._current = before
    reindex.catch_up()
    assert len(world.index.current().gallery) == 10


def test_catching_up_makes_the_first_generation(world):
    """An index that is not there yet is behind."""
    world.index._current = None
    world.services.reindex.catch_up()
    assert len(world.index.current().gallery) == 9


def test_one_catching_up_at_a_time(world):
    """While one runs, another returns at once and builds nothing."""
    reindex = world.services.reindex
    world.index._current = None
    with reindex._busy:
        reindex.catch_up()
    with pytest.raises(IndexUnavailable):
        world.index.current()


def test_catching_up_outlives_an_unreachable_catalogue(world, monkeypatch):
    """The generation before goes on answering, and the next attempt is not blocked."""

    def away() -> int:
        raise CatalogueUnavailable("the database does not answer")

    reindex = world.services.reindex
    monkeypatch.setattr(world.catalogue, "version", away)
    reindex.catch_up()
    assert len(world.index.current().gallery) == 9
    assert not reindex._busy.locked()


def test_nothing_is_built_while_the_storage_is_away(world):
    """A disk that is not there gets no index either; the generation before goes on answering."""
    world.blobs.away = "the store lacks its marker file"
    with pytest.raises(Unavailable, match="marker"):
        world.services.reindex.refresh()
    assert len(world.index.current().gallery) == 9


def test_a_full_disk_stops_the_embedding(world):
    """Vectors leave the reserve of the disk to edits and decisions."""
    world.embedder.loaded, world.blobs.full = one_space(size=5), True
    with pytest.raises(StorageFull):
        world.services.reindex()
