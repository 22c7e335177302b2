"""Rank: what several spaces say together equals what brute force over all of them says."""

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import IndexUnavailable
from app.domain.partition import VIEWPOINTS, Selection
from app.services.rank import comparable, current_snapshot, rank
from tests.fakes import World, one_space, photo, sighting, two_spaces

SIDES = [Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT, Viewpoint.TOP]


@pytest.fixture
def world() -> World:
    """Twelve whales in two spaces, seen from three sides."""
    made = World(two_spaces())
    rows = [sighting(row, f"whale{row}", viewpoint=SIDES[row % 4]) for row in range(2, 26)]
    made.bring(rows, [photo(row // 2, row) for row in range(2, 26)])
    return made


def expected(world: World, viewpoint: Viewpoint, vectors: dict) -> list[tuple[int, float]]:
    """Every comparable annotation with the weighted mean of its cosines, best first, ties by id."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    found = []
    for annotation, side in zip(snapshot.gallery.annotation, snapshot.gallery.viewpoint, strict=True):
        spaces = ensemble.spaces_for(viewpoint, VIEWPOINTS[side])
        if spaces:
            cosines = [snapshot.vectors(s.name, np.array([annotation]))[0] @ vectors[s.name][0] for s in spaces]
            found.append((int(annotation), float(np.average(cosines, weights=[s.weight for s in spaces]))))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize("viewpoint", [Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT])
def test_ranking_equals_brute_force(world, viewpoint):
    """Each gallery view is scored in all the spaces that know both sides; the lists are merged by score."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    query = [(world.images.decode(photo(4, 77)), None)]
    vectors = world.embedder.embed(query, [s for s in ensemble.spaces if viewpoint in s.viewpoints])
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = rank(snapshot, ensemble, viewpoint, vectors, everything, 8)
    wanted = expected(world, viewpoint, vectors)
    assert found.annotations[0].tolist() == [annotation for annotation, _ in wanted][:8]
    assert found.cosines[0] == pytest.approx([cosine for _, cosine in wanted][:8], abs=1e-6)
    assert comparable(snapshot, ensemble, viewpoint, Selection(everything)).size == len(wanted)


def test_a_short_gallery_fills_up_with_nobody(world):
    """Asked for more than there is, the rest of a row is id -1."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    vectors = world.embedder.embed([(world.images.decode(photo(4)), None)] * 2, ensemble.spaces)
    two = np.isin(snapshot.gallery.annotation, [3, 4])
    found = rank(snapshot, ensemble, Viewpoint.TOP, vectors, two, 5)
    assert [set(row.tolist()) for row in found.annotations] == [{3, 4, -1}] * 2


def test_a_space_without_a_query_vector_is_passed_over(world):
    """A query that one of two spaces could not embed is ranked by the other alone."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    vectors = world.embedder.embed([(world.images.decode(photo(4)), None)], ensemble.spaces[:1])
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = rank(snapshot, ensemble, Viewpoint.TOP, vectors, everything, 24)
    sides = snapshot.gallery.viewpoint[snapshot.gallery.rows_of(found.annotations[0])]
    assert VIEWPOINTS.index(Viewpoint.RIGHT) not in sides


def test_no_vector_no_neighbours(world):
    """Without any query vector there is no row."""
    snapshot = world.index.current()
    everything = np.ones(len(snapshot.gallery), np.bool_)
    assert rank(snapshot, world.embedder.ensemble, Viewpoint.TOP, {}, everything, 3).annotations.shape == (0, 0)


def test_rows_without_a_vector_are_not_said_to_be_searched(world):
    """What a space serves but has not embedded cannot be found, so it is counted as left out."""
    world.embedder.loaded = one_space(size=5)
    (space,) = world.embedder.active_spaces()
    world.catalogue.use_spaces([space])
    world.catalogue.add_vectors(space.name, {3: np.eye(1, space.dimension, dtype=np.float32)[0]})
    snapshot = world.index.refresh(world.catalogue)
    everything = Selection(np.ones(len(snapshot.gallery), np.bool_))
    left = comparable(snapshot, world.embedder.ensemble, Viewpoint.TOP, everything)
    assert snapshot.gallery.annotation[left.mask].tolist() == [3]
    assert left.removed == {"no_vector": len(snapshot.gallery) - 1}


def test_an_empty_index_says_that_nothing_is_indexed(world):
    """Before the first import there is no ensemble to be of another kind."""
    empty = World(one_space())
    empty.index.refresh(empty.catalogue)
    with pytest.raises(IndexUnavailable, match="nothing is indexed"):
        current_snapshot(empty.index, empty.embedder)


def test_an_index_of_another_ensemble_is_not_searched(world):
    """After a change of ensemble the index must be built anew before it answers: vectors never mix."""
    assert current_snapshot(world.index, world.embedder) is world.index.current()
    world.embedder.loaded = one_space()
    with pytest.raises(IndexUnavailable, match="another ensemble"):
        current_snapshot(world.index, world.embedder)
