"""What every catalogue must do when editors change it.

A test module imports these functions and gives them a ``catalogue`` fixture: an empty catalogue.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Viewpoint
from app.domain.curation import Action, Amendment, Facts, Signature
from app.domain.errors import Conflict, SpaceMismatch, StaleRevision, UnknownAnnotation, UnknownIndividual
from app.domain.ingestion import RowState
from app.domain.partition import Partition
from tests.contracts.catalogue import BACK, BODY, NOON, import_all, ready, refusals, said, vector

ANN = Signature("Ann", "seen again")


@pytest.fixture
def edited(catalogue):
    """Three annotations of whale001 (two in one encounter) and one of whale002, as an import left them."""
    catalogue.use_spaces([BODY])
    rows = [
        ready(said("one", 2)),
        ready(said("two", 3)),
        ready(said("three", 4, encounter="whale001-001")),
        ready(said("four", 5, individual="whale002", encounter="whale002-000")),
    ]
    import_all(catalogue, rows)
    return catalogue


def change(catalogue, name="one", *, signature=ANN, vectors=None, removed=None, revision=None, **facts) -> int:
    """Amend an annotation by its source id, as its present revision unless another one is given."""
    known = catalogue.annotation_ids([name]) | catalogue.annotation_ids([name], removed=True)
    held = catalogue.kept(known[name])
    wanted = replace(Facts.of(held), **facts)
    gone = held.removed if removed is None else removed
    asked = held.revision if revision is None else revision
    return catalogue.amend(Amendment(held.annotation_id, asked, wanted, gone, vectors or {}, signature))


def number(catalogue, name="one") -> int:
    return (catalogue.annotation_ids([name]) | catalogue.annotation_ids([name], removed=True))[name]


def state(catalogue):
    """All that an index is built from, and what was written down."""
    ids = [number(catalogue, name) for name in ("one", "two", "three", "four")]
    parts = {p: catalogue.partition(p)[0].tolist() for p in catalogue.signatures()}
    past = [catalogue.history(one) for one in ids]
    return catalogue.version(), dict(catalogue.signatures()), parts, past, [catalogue.kept(one) for one in ids]


def test_an_edit_changes_the_facts_and_nothing_else(edited):
    """Viewpoint, date, individual, encounter and box can all be changed; who and what it is stays."""
    before = edited.annotation(number(edited))
    year = CaptureDate(datetime(2021, 1, 1), DatePrecision.YEAR)
    told = {"viewpoint": Viewpoint.LEFT, "captured": year, "individual": None, "encounter": None}
    version = change(edited, **told, box=Box(1, 2, 30, 40), vectors={"body": vector(50)})
    after = edited.annotation(number(edited))
    assert (after.annotation_id, after.source_id, after.image) == (before.annotation_id, "one", before.image)
    assert Facts.of(after) == Facts(**told, box=Box(1, 2, 30, 40))
    assert after.revision == version == edited.version()
    assert edited.annotations([number(edited)]) == {number(edited): after}


def test_an_edit_moves_an_annotation_from_one_partition_to_another(edited):
    """Both partitions change their signature, all others keep theirs, and no annotation is in two or in none."""
    before = dict(edited.signatures())
    change(edited, "three", viewpoint=Viewpoint.RIGHT)
    after = dict(edited.signatures())
    old, new = Partition("body", Viewpoint.TOP, 2019), Partition("body", Viewpoint.RIGHT, 2019)
    assert {p for p in before | after if before.get(p) != after.get(p)} == {old, new}
    assert number(edited, "three") not in edited.partition(old)[0]
    numbers, vectors = edited.partition(new)
    assert numbers.tolist() == [number(edited, "three")]
    np.testing.assert_array_equal(vectors, [vector(4)])


def test_another_name_changes_no_partition(edited):
    """Who it is, when to the day and in which encounter stand in the gallery alone: no partition is built for it."""
    before, version = dict(edited.signatures()), edited.version()
    day = CaptureDate(datetime(2019, 8, 6), DatePrecision.DAY)
    change(edited, "four", individual="whale009", encounter=None, captured=day)
    assert (dict(edited.signatures()), edited.version()) == (before, version + 1)


def test_a_swap_of_members_does_not_look_like_the_partition_before(edited):
    """Two leave and two others come, with the same sum of ids: the signature still changes."""
    change(edited, "two", viewpoint=Viewpoint.LEFT)
    change(edited, "three", viewpoint=Viewpoint.LEFT)
    top = Partition("body", Viewpoint.TOP, 2019)
    before = edited.signatures()[top]
    for name, viewpoint in (("one", "left"), ("four", "left"), ("two", "top"), ("three", "top")):
        change(edited, name, viewpoint=Viewpoint(viewpoint))
    assert sorted(edited.partition(top)[0].tolist()) == [number(edited, "two"), number(edited, "three")]
    assert edited.signatures()[top] != before


def test_a_removed_annotation_is_nowhere_but_in_its_past(edited):
    """Gallery, partitions, lists and look-ups pass over it; its row, its image and its history are kept."""
    one = number(edited)
    image = edited.annotation(one).image
    version = change(edited, removed=True)
    assert one not in edited.gallery().annotation
    assert one not in edited.partition(Partition("body", Viewpoint.TOP, 2019))[0]
    assert (edited.annotations([one]), edited.annotation_ids(["one"])) == ({}, {})
    assert edited.individual("whale001")[0].annotations == 2
    with pytest.raises(UnknownAnnotation):
        edited.annotation(one)
    assert edited.kept(one).removed
    assert edited.kept(one).revision == version
    assert image.sha256 in list(edited.image_shas())
    edited.use_spaces([BODY, BACK])
    assert one not in [found.annotation_id for found in edited.missing_vectors("back", 10)]


def test_a_restored_annotation_is_what_it_was(edited):
    """Facts and vectors come back, under a new revision and a new signature."""
    one, signatures = edited.annotation(number(edited)), dict(edited.signatures())
    change(edited, removed=True)
    change(edited, removed=False)
    back = edited.annotation(one.annotation_id)
    assert back == replace(one, revision=edited.version())
    assert edited.signatures().keys() == signatures.keys()
    np.testing.assert_array_equal(edited.partition(Partition("body", Viewpoint.TOP, 2019))[1][0], vector(2))


def test_every_change_is_written_down(edited):
    """Who, when, what it was and became, why, and the version that the change made, oldest first."""
    versions = [change(edited, individual="whale003", encounter=None), change(edited, removed=True)]
    versions.append(change(edited, removed=False, signature=Signature()))
    past = edited.history(number(edited))
    assert [one.action for one in past] == [Action.EDITED, Action.REMOVED, Action.RESTORED]
    assert [one.version for one in past] == versions
    assert [one.signature for one in past] == [ANN, ANN, Signature(None, None)]
    assert (past[0].before["individual"], past[0].after["individual"]) == ("whale001", "whale003")
    assert (past[1].before["removed"], past[1].after["removed"]) == (False, True)
    assert past[0].before["date"] == NOON.taken.isoformat()
    assert all(abs(one.at - datetime.now(UTC)) < timedelta(minutes=1) for one in past)
    assert edited.history(number(edited, "two")) == []


def test_two_editors_cannot_overwrite_each_other(edited):
    """Whoever comes second with the revision that both had read is refused, and nothing of it is kept."""
    read = edited.annotation(number(edited)).revision
    change(edited, viewpoint=Viewpoint.LEFT, revision=read)
    before = state(edited)
    with pytest.raises(StaleRevision):
        change(edited, viewpoint=Viewpoint.RIGHT, revision=read)
    assert state(edited) == before


def test_many_editors_at_once_end_in_one_order(edited):
    """Of editors with one revision exactly one succeeds; those of other annotations all do."""
    read, tried = edited.annotation(number(edited)).revision, threading.Barrier(4)

    def edit(place: int) -> bool:
        tried.wait()
        try:
            change(edited, captured=CaptureDate(datetime(2000 + place, 1, 1), DatePrecision.DAY), revision=read)
        except StaleRevision:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(edit, range(4))) == 1
    assert len(edited.history(number(edited))) == 1


def test_an_edit_that_changes_nothing_writes_nothing(edited):
    """Saying again what is held is no change, neither of the version nor of the history."""
    before = state(edited)
    assert change(edited) == edited.annotation(number(edited)).revision
    assert state(edited) == before


def test_a_removed_annotation_is_not_edited(edited):
    """It has to be restored first; removing it again changes nothing."""
    version = change(edited, removed=True)
    with pytest.raises(UnknownAnnotation):
        change(edited, viewpoint=Viewpoint.LEFT)
    assert change(edited, removed=True) == version


@pytest.mark.parametrize(
    "facts",
    [
        {"individual": "WHALE002", "encounter": None},
        {"individual": " whale002", "encounter": None},
        {"encounter": "Whale001-001"},
        {"encounter": "whale002-000"},
        {"individual": "whale002"},
    ],
    ids=["case", "spaces", "encounter's case", "another's encounter", "encounter that others are in"],
)
def test_names_keep_the_rules_of_an_import(edited, facts):
    """A spelling that is held in another form, and an encounter of two individuals, are refused whole."""
    before = state(edited)
    with pytest.raises(Conflict):
        change(edited, **facts)
    assert state(edited) == before


def test_an_individual_that_is_new_is_made(edited):
    """A name that nobody has yet becomes an individual."""
    change(edited, individual="whale009", encounter="whale009-000")
    found, own = edited.individual("whale009")
    assert (found.annotations, [one.source_id for one in own]) == (1, ["one"])


def test_an_encounter_goes_with_its_only_named_annotation(edited):
    """Where nobody else of an encounter is named, correcting the animal corrects the encounter."""
    change(edited, "three", individual="whale002")
    assert edited.individual("whale002")[0].annotations == 2
    assert refusals(edited, ready(said("five", 9, individual="whale001", encounter="whale001-001")))


def test_what_nobody_is_called_any_more_is_no_ghost(edited):
    """An individual that edits left without an annotation is in no list, and its name is free in any spelling."""
    change(edited, "four", individual=None, encounter=None)
    assert [found.name for found in edited.individuals()] == ["whale001"]
    with pytest.raises(UnknownIndividual):
        edited.individual("whale002")
    change(edited, "four", individual="Whale002", encounter="Whale002-000")
    assert [found.name for found in edited.individuals()] == ["Whale002", "whale001"]
    assert edited.annotation(number(edited, "four")).encounter == "Whale002-000"
    assert import_all(edited, [ready(said("six", 9, individual="Whale002", encounter="Whale002-000"))]) == {
        RowState.STORED: 1
    }


def test_an_individual_of_removed_annotations_is_hidden_and_keeps_its_name(edited):
    """It is in no list; its spelling still holds, since it may come back."""
    change(edited, "four", removed=True)
    assert [found.name for found in edited.individuals()] == ["whale001"]
    with pytest.raises(UnknownIndividual):
        edited.individual("whale002")
    with pytest.raises(Conflict):
        change(edited, "one", individual="WHALE002", encounter=None)
    change(edited, "four", removed=False)
    assert [found.name for found in edited.individuals()] == ["whale001", "whale002"]


def test_a_box_is_one_annotation(edited):
    """Two annotations of one photograph cannot have the same box, be one of them removed."""
    import_all(edited, [ready(said("half", 9, box=Box(0, 0, 10, 10)), "images/one.jpg")])
    for removed in (False, True):
        change(edited, "half", removed=removed)
        with pytest.raises(Conflict, match="box"):
            change(edited, box=Box(0, 0, 10, 10))


def test_another_box_drops_the_vectors_of_the_old_one(edited):
    """A vector shows one crop: what is not given with the new box is lacking."""
    change(edited, box=Box(0, 0, 10, 10))
    assert [found.source_id for found in edited.missing_vectors("body", 10)] == ["one"]
    assert edited.embedded_in(number(edited)) == set()
    change(edited, box=Box(0, 0, 11, 10), vectors={"body": vector(70)})
    assert edited.embedded_in(number(edited)) == {"body"}
    np.testing.assert_array_equal(edited.partition(Partition("body", Viewpoint.TOP, 2019))[1][0], vector(70))


def test_a_vector_that_cannot_be_stored_changes_nothing(edited):
    """A space that is not in use, or another dimension, refuses the whole change."""
    before = state(edited)
    for bad in ({"stray": vector(1)}, {"body": vector(1, 9)}):
        with pytest.raises(SpaceMismatch):
            change(edited, box=Box(0, 0, 10, 10), vectors=bad)
    assert state(edited) == before


def test_vectors_of_what_was_changed_meanwhile_are_passed_over(edited):
    """A vector that was computed before an edit or a removal does not come back as that of the new state."""
    numbers = [number(edited, name) for name in ("one", "two", "three")]
    read = {one: edited.annotation(one).revision for one in numbers}
    change(edited, "one", box=Box(0, 0, 10, 10))
    change(edited, "two", removed=True)
    edited.add_vectors("body", {one: vector(90) for one in read}, read)
    assert edited.embedded_in(number(edited, "one")) == set()
    np.testing.assert_array_equal(edited.partition(Partition("body", Viewpoint.TOP, 2019))[1][0], vector(90))


def test_a_removed_row_is_not_imported_again(edited):
    """Its photograph, under its own or another name, is refused with a reason that names the removal."""
    change(edited, removed=True)
    for row in (ready(said("one", 2)), ready(said("copy", 2), "images/one.jpg"), ready(said("one", 2), "other bytes")):
        [reason] = refusals(edited, row)
        assert f"annotation {number(edited)} ('one') was removed" in reason
    assert edited.kept(number(edited)).removed


def test_what_an_import_brought_is_what_it_added_and_nobody_removed(edited):
    """Rows that another import had brought already are not its own; a removed annotation is nobody's."""
    again = edited.begin_import("a folder", [said("one", 2), said("six", 3)])
    edited.add(again, [ready(said("one", 2)), ready(said("six", 3))], [])
    assert edited.rows.brought(again) == [number(edited, "six")]
    assert edited.rows.brought(again - 1) == [number(edited, name) for name in ("one", "two", "three", "four")]
    change(edited, "two", removed=True)
    assert edited.rows.brought(again - 1) == [number(edited, name) for name in ("one", "three", "four")]


@pytest.mark.parametrize("stray", [999, 0, -1, 2**40])
def test_an_annotation_that_never_was_is_unknown(edited, stray):
    """Neither kept, nor changed, nor without a past: it is not there."""
    facts = Facts.of(edited.annotation(number(edited)))
    for call in (
        lambda: edited.kept(stray),
        lambda: edited.embedded_in(stray),
        lambda: edited.history(stray),
        lambda: edited.amend(Amendment(stray, 0, facts, False, {}, ANN)),
    ):
        with pytest.raises(UnknownAnnotation):
            call()


def test_a_state_is_read_at_once(edited):
    """What is read of one state does not change while others edit."""
    entered, done = threading.Event(), threading.Event()

    def edit() -> None:
        entered.wait()
        change(edited, viewpoint=Viewpoint.LEFT)
        done.set()

    editor = threading.Thread(target=edit)
    editor.start()
    with edited.at_once() as held:
        version = held.version()
        entered.set()
        done.wait(0.2)  # a catalogue behind one lock lets the editor wait instead
        assert held.version() == version
        assert number(edited) in held.partition(Partition("body", Viewpoint.TOP, 2019))[0]
        assert held.gallery().viewpoint.tolist() == [0, 0, 0, 0]
        assert held.fingerprints() == {"body": "body-one"}
        assert len(held.signatures()) == 1
        with held.at_once() as same:
            assert same.version() == version
    editor.join()
    assert edited.version() == version + 1
