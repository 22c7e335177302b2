"""Rank: what several spaces say together equals what brute force over all of them says."""

from datetime import datetime

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import IndexUnavailable
from app.domain.partition import VIEWPOINTS, Selection
from app.domain.profiles import PROFILES, Augment, Bridge, Centre, Expand, Occasion, Profile, Reciprocal, Spread, Vouch
from app.services import rank as rank_service
from app.services import shortlist
from app.services.rank import Questions, comparable, current_snapshot, listed, listed_together, rank
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
    found = rank(snapshot, ensemble, Questions(viewpoint, vectors), everything, 8)
    wanted = expected(world, viewpoint, vectors)
    assert found.annotations[0].tolist() == [annotation for annotation, _ in wanted][:8]
    assert found.cosines[0] == pytest.approx([cosine for _, cosine in wanted][:8], abs=1e-6)
    assert comparable(snapshot, ensemble, [viewpoint], Selection(everything)).size == len(wanted)


def test_a_short_gallery_fills_up_with_nobody(world):
    """Asked for more than there is, the rest of a row is id -1."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    vectors = world.embedder.embed([(world.images.decode(photo(4)), None)] * 2, ensemble.spaces)
    two = np.isin(snapshot.gallery.annotation, [3, 4])
    found = rank(snapshot, ensemble, Questions(Viewpoint.TOP, vectors), two, 5)
    assert [set(row.tolist()) for row in found.annotations] == [{3, 4, -1}] * 2


def test_a_space_without_a_query_vector_is_passed_over(world):
    """A query that one of two spaces could not embed is ranked by the other alone."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    vectors = world.embedder.embed([(world.images.decode(photo(4)), None)], ensemble.spaces[:1])
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = rank(snapshot, ensemble, Questions(Viewpoint.TOP, vectors), everything, 24)
    sides = snapshot.gallery.viewpoint[snapshot.gallery.rows_of(found.annotations[0])]
    assert VIEWPOINTS.index(Viewpoint.RIGHT) not in sides


def test_no_vector_no_neighbours(world):
    """Without any query vector there is no row."""
    snapshot = world.index.current()
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = rank(snapshot, world.embedder.ensemble, Questions(Viewpoint.TOP, {}), everything, 3)
    assert found.annotations.shape == (0, 3)


def test_rows_without_a_vector_are_not_said_to_be_searched(world):
    """What a space serves but has not embedded cannot be found, so it is counted as left out."""
    world.embedder.loaded = one_space(size=5)
    (space,) = world.embedder.active_spaces()
    world.catalogue.use_spaces([space])
    world.catalogue.add_vectors(space.name, {3: np.eye(1, space.dimension, dtype=np.float32)[0]})
    snapshot = world.index.refresh(world.catalogue)
    everything = Selection(np.ones(len(snapshot.gallery), np.bool_))
    left = comparable(snapshot, world.embedder.ensemble, [Viewpoint.TOP], everything)
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


RERANKED = (Augment(3), Expand(2), Vouch(), Reciprocal(30, 6, 3), Bridge(threshold=0.1))
ALL_STAGES = Profile("all", (Centre(prior=2.0), *RERANKED, Occasion(), Spread()))
TIMELESS = Profile("timeless", (*RERANKED, Spread()))


@pytest.fixture
def crowd() -> tuple[World, dict, np.ndarray]:
    """Ninety photographs of fifteen whales from three sides and four days, some of them not dated.

    Twenty are asked about by their stored vectors.
    """
    made = World(one_space())
    rows = [
        sighting(
            row,
            f"whale{row % 15}",
            viewpoint=SIDES[row % 4],
            encounter=f"{row % 15}-{row // 40}",
            taken=datetime(2019, 7, 1 + row % 4 // 3 + row % 3) if row % 7 else None,
        )
        for row in range(2, 92)
    ]
    made.bring(rows, [photo(row % 15, row) for row in range(2, 92)])
    asked = made.index.current().gallery.annotation[:20]
    return made, {"colours": made.index.current().vectors("colours", asked)}, asked


@pytest.mark.parametrize("profile", [*PROFILES.values(), ALL_STAGES], ids=lambda profile: profile.name)
def test_an_answer_depends_on_no_other_query(crowd, profile):
    """Permuted, dropped or asked alone, each query gets the very same annotations, likenesses and bridges, bitwise."""
    world, vectors, _ = crowd
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    everything, pictures = np.ones(len(snapshot.gallery), np.bool_), snapshot.gallery.image[:20]
    days = snapshot.gallery.day[:20]

    def told(rows):
        some = {name: part[rows] for name, part in vectors.items()}
        found = rank(
            snapshot, ensemble, Questions(Viewpoint.TOP, some, pictures[rows], day=days[rows]), everything, 12, profile
        )
        columns = (found.annotations, found.cosines, found.bridges)
        return [([column[at].tobytes() for column in columns], found.folded[at]) for at in range(len(rows))]

    together = told(np.arange(20))
    for rows in (np.random.default_rng(3).permutation(20), np.array([5, 17, 2]), *np.arange(20)[:, None]):
        assert told(rows) == [together[row] for row in rows]


def test_the_own_photograph_is_no_part_of_the_gallery(crowd):
    """A catalogued query neither finds itself nor supports its neighbours: as if it were not in the gallery."""
    world, vectors, asked = crowd
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    everything, days = np.ones(len(snapshot.gallery), np.bool_), snapshot.gallery.day[:20]
    found = rank(
        snapshot,
        ensemble,
        Questions(Viewpoint.TOP, vectors, snapshot.gallery.image[:20], day=days),
        everything,
        12,
        ALL_STAGES,
    )
    for row, annotation in enumerate(asked.tolist()):
        without = everything & (snapshot.gallery.annotation != annotation)
        alone = {name: part[[row]] for name, part in vectors.items()}
        wanted = rank(snapshot, ensemble, Questions(Viewpoint.TOP, alone, day=days[[row]]), without, 12, ALL_STAGES)
        assert found.annotations[row].tolist() == wanted.annotations[0].tolist()
        assert found.cosines[row] == pytest.approx(wanted.cosines[0])


def test_folding_searches_deeper_until_there_are_enough():
    """A long encounter of one whale does not take the places of the others."""
    world = World(one_space())
    names = ["crowd" if row < 240 else f"whale{row}" for row in range(2, 250)]
    rows = [sighting(row, name, encounter=f"{name}-1") for row, name in enumerate(names, start=2)]
    world.bring(rows, [photo(1 if row < 240 else row, row, size=(8, 8)) for row in range(2, 250)])
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    query = {"colours": snapshot.vectors("colours", np.array([1]))}
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = rank(snapshot, ensemble, Questions(Viewpoint.TOP, query), everything, 9, PROFILES["review"])
    assert (found.annotations[0] > 0).all()
    together = listed_together(
        snapshot, ensemble, [Questions(Viewpoint.TOP, query)], everything, 9, PROFILES["review"]
    ).first(9)
    assert together.annotations.tolist() == found.annotations[0].tolist()
    assert together.likeness.astype(np.float32).tolist() == found.cosines[0].tolist()


@pytest.fixture
def sides(crowd) -> tuple:
    """The crowd's snapshot, its ensemble, the vectors asked about, and which rows show the top."""
    world, vectors, _ = crowd
    snapshot = world.index.current()
    top = snapshot.gallery.viewpoint == VIEWPOINTS.index(Viewpoint.TOP)
    return snapshot, world.embedder.ensemble, vectors, top


def test_bridges_need_a_view_and_photographs_of_it(sides):
    """Where the query's view is not known, or none may be gone through, nothing is raised."""
    snapshot, ensemble, vectors, top = sides
    for viewpoint, through in ((Viewpoint.UNKNOWN, top), (Viewpoint.TOP, None), (Viewpoint.TOP, ~top)):
        found = listed(snapshot, ensemble, Questions(viewpoint, vectors, through=through), ~top, 5, ALL_STAGES)
        assert all((one.bridges == -1).all() for one in found)


def test_a_search_that_includes_the_own_view_bridges_nothing(sides):
    """No photograph of another view passes the one that would vouch for it: the order is that without the stage."""
    snapshot, ensemble, vectors, top = sides
    asked = Questions(Viewpoint.TOP, vectors, through=np.ones_like(top))
    without = Profile("without", tuple(stage for stage in ALL_STAGES.stages if not isinstance(stage, Bridge)))
    for mask in (np.ones_like(top), top, ~top | (np.cumsum(top) == 1)):
        found, plain = (listed(snapshot, ensemble, asked, mask, 5, one) for one in (ALL_STAGES, without))
        assert [one.annotations.tolist() for one in found] == [one.annotations.tolist() for one in plain]
        assert all((one.bridges == -1).all() for one in found)


def test_a_bridged_answer_depends_on_no_other_query(sides):
    """Asked for another view alone, each query gets its own bridges, to the last bit, also when it is asked alone."""
    snapshot, ensemble, vectors, top = sides

    def told(rows):
        asked = Questions(Viewpoint.TOP, {name: part[rows] for name, part in vectors.items()}, through=top)
        found = listed(snapshot, ensemble, asked, ~top, 12, ALL_STAGES)
        return [(one.annotations.tobytes(), one.likeness.tobytes(), one.bridges.tobytes()) for one in found]

    together = told(np.arange(20))
    assert any(np.frombuffer(bridges, np.int64).max() >= 0 for _, _, bridges in together)
    for rows in (np.array([5, 17, 2]), *np.arange(20)[:, None]):
        assert told(rows) == [together[row] for row in rows]


def test_a_ground_that_forgets_gives_the_same_answers(crowd, monkeypatch):
    """What is remembered of neighbours is bounded, and surveyed again where it was forgotten."""
    world, vectors, asked = crowd
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    own = snapshot.gallery.image[snapshot.gallery.rows_of(asked)]
    everything = np.ones(len(snapshot.gallery), np.bool_)
    questions = Questions(Viewpoint.TOP, vectors, own, day=snapshot.gallery.day[snapshot.gallery.rows_of(asked)])
    arguments = (snapshot, ensemble, questions, everything, 20, ALL_STAGES)
    roomy = rank(*arguments)
    monkeypatch.setattr(shortlist, "_KEPT", 60)
    monkeypatch.setattr(shortlist, "_BLOCK", 7)
    monkeypatch.setattr(rank_service, "_TOGETHER", 3)
    narrow = rank(*arguments)
    assert narrow.annotations.tolist() == roomy.annotations.tolist()
    assert narrow.cosines.tolist() == roomy.cosines.tolist()


def test_a_ground_that_holds_the_own_photograph_alone_adds_nothing(world):
    """Among views that one space compares there is nothing left to be moved; the others are answered as ever."""
    snapshot, ensemble = world.index.current(), world.embedder.ensemble
    gallery = snapshot.gallery
    own = gallery.annotation[gallery.viewpoint == VIEWPOINTS.index(Viewpoint.TOP)][:1]
    lefts = gallery.viewpoint == VIEWPOINTS.index(Viewpoint.LEFT)
    vectors = {space.name: snapshot.vectors(space.name, own) for space in ensemble.spaces}
    mask = lefts | np.isin(gallery.annotation, own)
    profile = Profile("moved", (Augment(2),))
    found = rank(
        snapshot, ensemble, Questions(Viewpoint.TOP, vectors, gallery.image[gallery.rows_of(own)]), mask, 20, profile
    )
    assert sorted(found.annotations[found.annotations >= 0].tolist()) == gallery.annotation[lefts].tolist()


def test_neighbours_of_many_answers_are_looked_for_at_once(crowd, monkeypatch):
    """Twenty queries survey their shortlists in one search, not in one each: small searches are slow ones."""
    world, vectors, _ = crowd
    snapshot = world.index.current()
    sizes, search = [], type(snapshot).search

    def counted(self, space, queries, mask, k):
        sizes.append(len(queries))
        return search(self, space, queries, mask, k)

    monkeypatch.setattr(type(snapshot), "search", counted)
    few = np.arange(len(snapshot.gallery)) < 60
    monkeypatch.setattr(rank_service, "_SHORTLIST", 5)
    rank(snapshot, world.embedder.ensemble, Questions(Viewpoint.TOP, vectors), few, 1, Profile("moved", (Augment(3),)))
    assert sizes[0] == 20
    assert len(sizes) == 2
