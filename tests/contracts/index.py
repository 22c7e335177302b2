"""What every VectorIndex must do.

A test module imports these functions and gives them a ``new_index`` fixture: a function that makes an index without a
generation, each time another one.
"""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.catalogue import Viewpoint
from app.domain.errors import IndexUnavailable, SpaceMismatch
from app.domain.partition import VIEWPOINTS, Scope
from app.domain.ports import Neighbours, Snapshot, VectorIndex
from tests.fakes_index import FakeSource, NumpySnapshot, Shown, made_source, unit_vectors

NewIndex = Callable[[], VectorIndex]


def assert_same_neighbours(actual: Neighbours, expected: Neighbours, tolerance: float = 1e-5) -> None:
    """Both rank alike: equal cosines by rank, and annotations may differ only among (nearly) equal cosines."""
    assert actual.annotations.shape == expected.annotations.shape
    np.testing.assert_allclose(actual.cosines, expected.cosines, atol=tolerance)
    for ids, other_ids, cosines in zip(actual.annotations, expected.annotations, expected.cosines, strict=True):
        for differing in np.flatnonzero(ids != other_ids):
            tied = np.abs(cosines - cosines[differing]) <= tolerance
            # The last group of ties may be cut anywhere; any other must hold the same annotations.
            assert tied[-1] or sorted(ids[tied]) == sorted(other_ids[tied])
        found = ids[ids >= 0]
        assert len(set(found.tolist())) == len(found)


def assert_exact(snapshot: Snapshot, source: FakeSource, *, queries: int = 5, k: int = 7, scope: Scope | None = None):
    """A snapshot answers as brute force over the source does."""
    reference = NumpySnapshot(0, source)
    asked = unit_vectors(queries, 8, seed=99)
    mask = (scope or Scope()).select(reference.gallery).mask
    expected = reference.search("body", asked, mask, k)
    assert_same_neighbours(snapshot.search("body", asked, mask, k), expected)


def everything(snapshot: Snapshot) -> np.ndarray:
    return np.ones(len(snapshot.gallery), dtype=np.bool_)


def found_ids(snapshot: Snapshot, k: int = 100, space: str = "body", dimension: int = 8) -> list[int]:
    """Every annotation that a search without a scope can find, ascending."""
    ids = snapshot.search(space, unit_vectors(1, dimension), everything(snapshot), k).annotations[0]
    return sorted(ids[ids >= 0].tolist())


def test_no_answer_before_the_first_generation(new_index: NewIndex):
    """An index that was never refreshed is unavailable: a failure is never an empty list."""
    with pytest.raises(IndexUnavailable):
        new_index().current()


@pytest.mark.parametrize("queries", [1, 5, 40])
def test_search_equals_brute_force(new_index: NewIndex, queries: int):
    """One query and many find what brute force finds, best first."""
    source = made_source()
    assert_exact(new_index().refresh(source), source, queries=queries)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(years=frozenset({2019})),
        Scope(viewpoints=frozenset({Viewpoint.LEFT, Viewpoint.RIGHT}), years=frozenset({0, 2020})),
        Scope(without_encounters=frozenset(range(0, 200, 2))),
        Scope(without_annotations=frozenset({10, 20, 30})),
        Scope(only=frozenset({10, 40, 50, 90})),
        Scope(years=frozenset({1950})),
    ],
    ids=["a year", "laterals", "half the encounters", "without three", "a list with one that has no vector", "nothing"],
)
@pytest.mark.parametrize("queries", [2, 30])
def test_a_scope_is_searched_exactly(new_index: NewIndex, scope: Scope, queries: int):
    """Whole partitions, parts of them and none at all: only what the mask holds is found."""
    source = made_source()
    assert_exact(new_index().refresh(source), source, queries=queries, scope=scope)


def test_short_rows_are_filled_up(new_index: NewIndex):
    """More neighbours wanted than there are: id -1 and a cosine of minus infinity, behind all real ones."""
    source = made_source(count=4)
    found = new_index().refresh(source).search("body", unit_vectors(2, 8), np.ones(4, np.bool_), 6)
    assert found.annotations.shape == found.cosines.shape == (2, 6)
    assert (found.annotations[:, :4] > 0).all()
    assert (found.annotations[:, 4:] == -1).all()
    assert np.isneginf(found.cosines[:, 4:]).all()


def test_equal_cosines_are_ordered_by_annotation(new_index: NewIndex):
    """The same vector in three partitions comes back in the order of the annotation ids."""
    source, vector = FakeSource(), unit_vectors(1, 8)[0]
    source.put(*(Shown(i, {"body": vector}, year=year) for i, year in [(3, 2019), (1, 2021), (2, 2020), (4, 2021)]))
    snapshot = new_index().refresh(source)
    found = snapshot.search("body", vector[None], everything(snapshot), 4)
    assert found.annotations.tolist() == [[1, 2, 3, 4]]


def test_an_empty_gallery_answers(new_index: NewIndex):
    """A catalogue without an annotation is searched without an error and finds nobody."""
    snapshot = new_index().refresh(FakeSource())
    assert len(snapshot.gallery) == 0
    assert found_ids(snapshot, k=3) == []
    assert snapshot.vectors("body", np.array([1, 2])).shape == (2, 0)


def test_annotations_without_a_vector_are_not_there(new_index: NewIndex):
    """A gallery row that a space has no vector for is never found in it, in whatever scope."""
    source = made_source(count=20)
    with_vector = [one.annotation for one in source.shown.values() if one.vectors]
    assert found_ids(new_index().refresh(source)) == with_vector


def test_spaces_are_searched_apart(new_index: NewIndex):
    """Two spaces of different dimension answer each with its own vectors."""
    source = FakeSource(spaces={"body": "f1", "head": "f2"})
    for i in range(1, 9):
        vectors = {"body": unit_vectors(1, 8, seed=i)[0]} | ({"head": unit_vectors(1, 5, seed=i)[0]} if i % 2 else {})
        source.put(Shown(i, vectors, year=2019 + i // 5))
    snapshot = new_index().refresh(source)
    assert found_ids(snapshot) == list(range(1, 9))
    assert found_ids(snapshot, space="head", dimension=5) == [1, 3, 5, 7]


def test_stored_vectors_come_back(new_index: NewIndex):
    """Vectors are returned exactly, in the order asked, zeros for an annotation that has none or is not known."""
    source = made_source(count=10)
    vectors = new_index().refresh(source).vectors("body", np.array([80, 10, 50, 12345, 80]))
    assert (vectors[[0, 4]] == source.shown[80].vectors["body"]).all()
    assert (vectors[1] == source.shown[10].vectors["body"]).all()
    assert not vectors[2:4].any()


def test_each_generation_sums_up_its_own_days(new_index: NewIndex):
    """What the photographs of a day and view sum up to follows an edit; the snapshot before keeps what it had."""
    source, index = made_source(80, years=1), new_index()
    old = index.refresh(source)
    row = int(np.flatnonzero(old.held("body"))[0])
    view, day = int(old.gallery.viewpoint[row]), int(old.gallery.day[row])

    def total(snapshot: Snapshot) -> list[float]:
        found, _ = snapshot.days.total(snapshot, "body", view, day, everything(snapshot))
        rows = (snapshot.gallery.viewpoint == view) & (snapshot.gallery.day == day) & snapshot.held("body")
        wanted = snapshot.vectors("body", snapshot.gallery.annotation[rows]).sum(axis=0, dtype=np.float64)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        return found.tolist()

    before = total(old)
    source.remove(int(old.gallery.annotation[row]))
    assert total(index.refresh(source)) != before
    assert total(old) == before


def test_another_dimension_is_refused(new_index: NewIndex):
    """Queries of another length are vectors of another space."""
    snapshot = new_index().refresh(made_source())
    with pytest.raises(SpaceMismatch):
        snapshot.search("body", unit_vectors(1, 9), everything(snapshot), 3)


def test_an_unknown_space_is_refused(new_index: NewIndex):
    """Neither a search nor a look-up mixes spaces."""
    snapshot = new_index().refresh(made_source())
    with pytest.raises(SpaceMismatch):
        snapshot.search("head", unit_vectors(1, 8), everything(snapshot), 3)
    with pytest.raises(SpaceMismatch):
        snapshot.vectors("head", np.array([10]))


def test_generations_grow_with_changes_only(new_index: NewIndex):
    """A change makes the next generation of the new catalogue version; without one the generation stays."""
    source, index = made_source(), new_index()
    first = index.refresh(source)
    assert index.refresh(source).generation == first.generation
    source.remove(10)
    second = index.refresh(source)
    assert second.generation > first.generation
    assert second.catalogue_version == source.version() > first.catalogue_version
    assert index.current() is second


def test_an_edit_without_vectors_refreshes_the_gallery(new_index: NewIndex):
    """A new name changes no partition, but the columns follow the catalogue."""
    source, index = made_source(), new_index()
    index.refresh(source)
    old = source.shown[10]
    source.put(Shown(10, old.vectors, old.viewpoint, old.year, individual=77))
    assert index.refresh(source).gallery.individual[0] == 77


def test_a_moved_annotation_is_in_exactly_one_partition(new_index: NewIndex):
    """After an edit of viewpoint and year an annotation is found once: there, and no longer here."""
    source, index = made_source(), new_index()
    index.refresh(source)
    for viewpoint, year in [(Viewpoint.LEFT, 2019), (Viewpoint.TOP, 2031), (Viewpoint.UNKNOWN, 0)]:
        source.move(30, viewpoint, year)
        snapshot = index.refresh(source)
        gallery, query = snapshot.gallery, source.shown[30].vectors["body"][None]
        here = (gallery.viewpoint == VIEWPOINTS.index(viewpoint)) & (gallery.year == year)
        assert snapshot.search("body", query, here, 1).annotations.tolist() == [[30]]
        assert 30 not in snapshot.search("body", query, ~here, 60).annotations
        assert found_ids(snapshot).count(30) == 1


def test_changed_vectors_replace_the_old_ones(new_index: NewIndex):
    """A new fingerprint with new vectors leaves nothing of the old space."""
    source, index = made_source(), new_index()
    index.refresh(source)
    source.spaces = {"body": "f2"}
    source.put(*(Shown(i, {"body": v}) for i, v in enumerate(unit_vectors(9, 8, seed=5), start=1)))
    snapshot = index.refresh(source)
    assert_exact(snapshot, source, k=60)
    assert (snapshot.vectors("body", np.array([9]))[0] == source.shown[9].vectors["body"]).all()


def test_a_space_that_is_no_longer_active_is_gone(new_index: NewIndex):
    """Vectors of a space that the catalogue does not list are not served."""
    source, index = made_source(), new_index()
    index.refresh(source)
    source.spaces = {"head": "f9"}
    source.put()
    snapshot = index.refresh(source)
    with pytest.raises(SpaceMismatch):
        found_ids(snapshot)
    assert found_ids(snapshot, space="head") == []


def test_an_old_snapshot_keeps_answering(new_index: NewIndex):
    """Whoever holds a snapshot sees one catalogue version to the end, whatever is swapped in meanwhile."""
    source, index = made_source(), new_index()
    old = index.refresh(source)
    before = old.search("body", unit_vectors(3, 8), everything(old), 50)
    source.remove(*[one.annotation for one in list(source.shown.values())[:30]])
    new = index.refresh(source)
    after = old.search("body", unit_vectors(3, 8), everything(old), 50)
    assert (after.annotations == before.annotations).all()
    assert len(new.gallery) == len(old.gallery) - 30


def test_a_current_index_has_no_faults(new_index: NewIndex):
    """After a refresh there is nothing to report; after a change there is."""
    source, index = made_source(), new_index()
    index.refresh(source)
    assert index.verify(source) == []
    source.remove(10)
    assert index.verify(source) != []


def test_searches_during_refreshes_see_one_generation_each(new_index: NewIndex):
    """Readers and a writer at once: no crash, and every answer fits the gallery and the vectors of its snapshot."""
    source, index = made_source(count=200), new_index()
    index.refresh(source)
    done, failures = threading.Event(), []

    def read(seed: int) -> None:
        queries, last = unit_vectors(2, 8, seed=seed), 0
        try:
            while not done.is_set():
                snapshot = index.current()
                assert snapshot.generation >= last
                last = snapshot.generation
                found = snapshot.search("body", queries, snapshot.gallery.year != 0, 30)
                for ids, cosines, query in zip(found.annotations, found.cosines, queries, strict=True):
                    real = ids >= 0
                    rows = snapshot.gallery.rows_of(ids[real])
                    assert (rows >= 0).all()
                    assert (snapshot.gallery.year[rows] != 0).all()
                    np.testing.assert_allclose(snapshot.vectors("body", ids[real]) @ query, cosines[real], atol=1e-5)
        except BaseException as error:  # noqa: BLE001 - reported in the main thread
            failures.append(error)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(12):
        source.move(10 * (turn + 1), VIEWPOINTS[turn % 4], 2019 + turn % 3)
        source.put(Shown(5000 + turn, {"body": unit_vectors(1, 8, seed=turn)[0]}, year=2020))
        index.refresh(source)
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert_exact(index.current(), source, k=40)


@st.composite
def edits(draw):
    """A few rounds of additions, removals and moves."""
    return draw(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=edits(), k=st.integers(0, 15), refresh_each=st.booleans(), seed=st.integers(0, 3))
def test_any_history_of_edits_ends_exact(new_index: NewIndex, rounds, k: int, refresh_each: bool, seed: int):
    """Whatever was added, removed and moved, one annotation or many, the last generation equals brute force.

    Vectors come from a pool of three, so that many tie.
    """
    source, index, pool = FakeSource(), new_index(), unit_vectors(3, 8, seed=seed)
    index.refresh(source)
    for annotation, vector, place in rounds:
        if annotation in source.shown and vector == 0:
            source.remove(annotation)
        else:
            source.put(Shown(annotation, {"body": pool[vector]}, VIEWPOINTS[place], 2019 + place % 2))
        if refresh_each:
            index.refresh(source)
    assert_exact(index.refresh(source), source, k=k)
    assert found_ids(index.current()) == sorted(source.shown)
