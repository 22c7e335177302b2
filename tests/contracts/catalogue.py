"""What every Catalogue must do.

A test module imports these functions and gives them a ``catalogue`` fixture: an empty catalogue.
"""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Image, Sighting, Viewpoint
from app.domain.conflicts import Remembered, crosscheck
from app.domain.ensemble import ActiveSpace
from app.domain.errors import (
    BadScope,
    SpaceMismatch,
    UnknownAnnotation,
    UnknownImage,
    UnknownImport,
    UnknownIndividual,
)
from app.domain.ingestion import Embedded, ImportState, RowState
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Partition
from app.domain.ports import Catalogue

BODY = ActiveSpace("body", "body-one", 4, frozenset(Viewpoint))
BACK = ActiveSpace("back", "back-one", 3, frozenset({Viewpoint.TOP}))
NOON = CaptureDate(datetime(2019, 8, 5, 12), DatePrecision.SECOND)


def waiting(catalogue: Any, import_id: int) -> list[Sighting]:
    """The rows of an import that wait, by the port of their own."""
    return [row.sighting for row in catalogue.rows.waiting(import_id, 1_000)]


def said(name: str, row: int = 2, **facts) -> Sighting:
    """A row of a sheet, of a whale seen from above at noon unless told otherwise."""
    told = {"viewpoint": Viewpoint.TOP, "captured": NOON, "individual": "whale001", "encounter": "whale001-000"}
    return Sighting(source_id=name, path=f"images/{name}.jpg", row=row, **(told | facts))


def photograph(content: str) -> Image:
    return Image(hashlib.sha256(content.encode()).hexdigest(), "JPEG", 90, 200, 4000)


def vector(seed: int, dimension: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)


def ready(sighting: Sighting, content: str | None = None, **vectors: np.ndarray) -> Embedded:
    """A sighting with its stored photograph; ``content`` stands for its bytes, by default the path."""
    return Embedded(sighting, photograph(content or sighting.path), vectors or {"body": vector(sighting.row)})


def import_all(catalogue: Catalogue, rows: Sequence[Embedded]) -> dict[RowState, int]:
    """One whole import of one chunk; how many rows ended in each state."""
    number = catalogue.begin_import("a folder", [row.sighting for row in rows])
    catalogue.add(number, rows, [])
    return dict(catalogue.import_report(number).rows)


def refusals(catalogue: Catalogue, row: Embedded) -> list[str]:
    """The reasons for which a row is refused."""
    number = catalogue.begin_import("a folder", [row.sighting])
    catalogue.add(number, [row], [])
    return [reason for _, _, reason in catalogue.import_report(number).refused]


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    """Three annotations of two individuals, and one of nobody."""
    catalogue.use_spaces([BODY])
    import_all(
        catalogue,
        [
            ready(said("one", 2)),
            ready(said("two", 3, viewpoint=Viewpoint.LEFT, captured=_day(2020, 5, 1), encounter="whale001-001")),
            ready(said("three", 4, individual="whale002", encounter="whale002-000")),
            ready(said("four", 5, individual=None, encounter=None, captured=CaptureDate())),
        ],
    )
    return catalogue


def _day(*parts: int) -> CaptureDate:
    return CaptureDate(datetime(*parts), DatePrecision.DAY)


# --- rows into annotations ---


def test_an_empty_catalogue_holds_nothing(catalogue: Catalogue):
    """Before the first import every list is empty and the version is 0."""
    assert (catalogue.version(), len(catalogue.gallery()), catalogue.individuals()) == (0, 0, [])
    assert (dict(catalogue.signatures()), dict(catalogue.fingerprints())) == ({}, {})
    assert (list(catalogue.image_shas()), catalogue.running_imports()) == ([], [])


def test_a_row_becomes_an_annotation_with_all_its_facts(catalogue: Catalogue):
    """Every fact of a row comes back: names, date with precision, viewpoint, box and photograph."""
    sighting = said("one", 7, captured=CaptureDate(datetime(2021, 6, 1), DatePrecision.MONTH), box=Box(1, 2, 30, 40))
    catalogue.use_spaces([BODY])
    assert import_all(catalogue, [ready(sighting)]) == {RowState.STORED: 1}
    number = catalogue.annotation_ids(["one", "stray"])["one"]
    found = catalogue.annotation(number)
    assert found.source_id == "one"
    assert found.image == photograph(sighting.path)
    assert (found.viewpoint, found.captured, found.box) == (sighting.viewpoint, sighting.captured, sighting.box)
    assert (found.individual, found.encounter) == ("whale001", "whale001-000")
    assert catalogue.annotations([number, 10**30, -1]) == {number: found}


def test_what_a_row_leaves_open_stays_open(filled: Catalogue):
    """An annotation may have no individual, no encounter, no date and no box."""
    found = filled.annotation(filled.annotation_ids(["four"])["four"])
    assert (found.individual, found.encounter, found.captured, found.box) == (None, None, CaptureDate(), None)


def test_a_date_keeps_the_clock_on_the_spot(catalogue: Catalogue):
    """A capture time with a zone is stored as the clock showed it, and importing it again contradicts nothing."""
    taken = datetime(2019, 8, 5, 1, tzinfo=timezone(timedelta(hours=-8)))
    row = ready(said("one", captured=CaptureDate(taken, DatePrecision.SECOND)), body=vector(1))
    catalogue.use_spaces([BODY])
    import_all(catalogue, [row])
    found = catalogue.annotation(catalogue.annotation_ids(["one"])["one"])
    assert found.captured.taken == datetime(2019, 8, 5, 1)
    assert conflicts(catalogue, row.sighting) == []
    assert import_all(catalogue, [row]) == {RowState.UNCHANGED: 1}


def test_the_same_import_again_adds_nothing(filled: Catalogue):
    """Importing what is known leaves annotations, signatures and version as they were."""
    before = filled.version(), dict(filled.signatures()), len(filled.gallery())
    assert import_all(
        filled, [ready(said("one", 2)), ready(said("three", 4, individual="whale002", encounter="whale002-000"))]
    ) == {RowState.UNCHANGED: 2}
    assert (filled.version(), dict(filled.signatures()), len(filled.gallery())) == before


def test_a_known_row_needs_no_vectors(filled: Catalogue):
    """A row that the catalogue holds may come without vectors, and without the facts that its sheet does not tell."""
    bare = Sighting("one", "images/one.jpg", Viewpoint.UNKNOWN, CaptureDate(), row=2)
    assert import_all(filled, [Embedded(bare, photograph("images/one.jpg"), {})]) == {RowState.UNCHANGED: 1}


def test_a_copy_under_another_name_adds_nothing(filled: Catalogue):
    """The same photograph and box under another image_id is the same annotation."""
    version = filled.version()
    assert import_all(filled, [ready(said("copy"), "images/one.jpg")]) == {RowState.UNCHANGED: 1}
    assert (filled.version(), filled.annotation_ids(["copy"])) == (version, {})


def test_a_copy_with_other_facts_is_refused(filled: Catalogue):
    """The same photograph cannot show another whale: the row is refused and says why."""
    [reason] = refusals(filled, ready(said("copy", individual="whale002", encounter=None), "images/one.jpg"))
    assert "whale_id" in reason
    assert "'whale002'" in reason
    assert "'whale001'" in reason


def test_an_image_id_of_other_bytes_is_refused(filled: Catalogue):
    """An image_id that is taken by another photograph, or by another box of it, is refused."""
    version = filled.version()
    assert len(refusals(filled, ready(said("one"), "other bytes"))) == 1
    assert len(refusals(filled, ready(said("one", box=Box(0, 0, 5, 5)), "images/one.jpg"))) == 1
    assert filled.version() == version


def test_an_encounter_of_two_individuals_is_refused(filled: Catalogue):
    """A new photograph cannot put another whale into an encounter, even when its sheet was checked too early."""
    [reason] = refusals(filled, ready(said("five", individual="whale002", encounter="whale001-000")))
    assert reason.startswith("encounter_id")


def test_one_photograph_may_show_several_animals(catalogue: Catalogue):
    """Boxes in one photograph are annotations of their own that share the image."""
    catalogue.use_spaces([BODY])
    boxes = [None, Box(0, 0, 10, 10), Box(10, 0, 10, 10)]
    rows = [ready(said(f"n{place}", place, box=box), "one photograph") for place, box in enumerate(boxes)]
    assert import_all(catalogue, rows) == {RowState.STORED: 3}
    assert list(catalogue.image_shas()) == [photograph("one photograph").sha256]
    assert len(set(catalogue.gallery().image.tolist())) == 1


def test_repetition_within_a_chunk_is_seen(catalogue: Catalogue):
    """Rows of one chunk are judged one after the other, as if each were a chunk."""
    catalogue.use_spaces([BODY])
    rows = [
        ready(said("one", 2)),
        ready(said("one", 3)),
        ready(said("copy", 4), "images/one.jpg"),
        ready(said("one", 5), "other bytes"),
        ready(said("copy", 6, viewpoint=Viewpoint.LEFT), "images/one.jpg"),
        ready(said("two", 7, individual="whale002")),
    ]
    assert import_all(catalogue, rows) == {RowState.STORED: 1, RowState.UNCHANGED: 2, RowState.REFUSED: 3}
    assert len(catalogue.gallery()) == 1


def test_two_spellings_are_one_name(catalogue: Catalogue):
    """Rows that were checked before the first spelling arrived still become the same individual."""
    catalogue.use_spaces([BODY])
    import_all(catalogue, [ready(said("one", individual="Bélle", encounter=None))])
    import_all(catalogue, [ready(said("two", individual=" BE\u0301LLE", encounter=None))])
    assert [(found.name, found.annotations) for found in catalogue.individuals()] == [("Bélle", 2)]


def test_an_encounter_learns_its_individual(catalogue: Catalogue):
    """An encounter first seen without an individual belongs to the first one that is named."""
    catalogue.use_spaces([BODY])
    import_all(catalogue, [ready(said("one", individual=None, encounter="e1"))])
    import_all(catalogue, [ready(said("two", individual="whale001", encounter="e1"))])
    assert len(refusals(catalogue, ready(said("three", individual="whale002", encounter="e1")))) == 1


def test_a_chunk_is_stored_whole_or_not_at_all(catalogue: Catalogue):
    """A vector that cannot be stored leaves nothing of its chunk behind."""
    catalogue.use_spaces([BODY])
    version = catalogue.version()
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3)])
    for bad in ({"body": vector(1, 5)}, {"stray": vector(1)}):
        with pytest.raises(SpaceMismatch):
            catalogue.add(number, [ready(said("one", 2)), ready(said("two", 3), **bad)], [])
    assert (len(catalogue.gallery()), catalogue.version(), len(waiting(catalogue, number))) == (0, version, 2)
    assert catalogue.individuals() == []


def test_the_version_rises_only_with_a_change(catalogue: Catalogue):
    """Each chunk that adds something raises the version by one; reading and refusing do not."""
    catalogue.use_spaces([BODY])
    start = catalogue.version()
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3), said("bad", 4)])
    assert catalogue.version() == start
    catalogue.add(number, [ready(said("one", 2))], [])
    catalogue.add(number, [], [(4, "broken")])
    assert catalogue.version() == start + 1
    catalogue.add(number, [ready(said("two", 3))], [])
    catalogue.finish_import(number, ImportState.DONE)
    assert catalogue.version() == start + 2


# --- imports ---


def test_an_import_is_recorded_before_its_first_row(catalogue: Catalogue):
    """From the start every row counts as waiting, and the import as running since now, in UTC."""
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3)])
    report = catalogue.import_report(number)
    assert (report.source, report.state, report.rows) == ("a folder", ImportState.RUNNING, {RowState.WAITING: 2})
    assert (report.finished, report.reason, report.refused, report.total) == (None, None, (), 2)
    assert abs(report.started - datetime.now(UTC)) < timedelta(minutes=1)
    assert catalogue.running_imports() == [number]


def test_waiting_rows_come_back_as_they_were(catalogue: Catalogue):
    """A resumed import needs no second look at its sheet: each waiting row is the same sighting, in order."""
    zoned = datetime(2019, 8, 5, 1, 2, 3, 4, tzinfo=UTC)
    rows = [
        said("three", 4, captured=CaptureDate(zoned, DatePrecision.SECOND), individual="wh\u00e4le \N{WHALE}"),
        said("two", 3, individual=None, encounter=None, captured=CaptureDate(), viewpoint=Viewpoint.UNKNOWN),
        said("one", 2, box=Box(1, 2, 3, 4), captured=_day(2020, 2, 29)),
    ]
    number = catalogue.begin_import("a folder", rows)
    assert waiting(catalogue, number) == rows[::-1]


def test_a_resumed_import_has_only_the_rest_to_do(catalogue: Catalogue):
    """Rows with a final state are not waiting any more, whichever state it is."""
    catalogue.use_spaces([BODY])
    sightings = [said(f"n{row}", row) for row in range(2, 8)]
    number = catalogue.begin_import("a folder", sightings)
    catalogue.add(number, [ready(sightings[0]), ready(sightings[1], "images/n2.jpg")], [(4, "broken")])
    assert waiting(catalogue, number) == sightings[3:]
    catalogue.add(number, [ready(sighting) for sighting in sightings[3:]], [])
    assert waiting(catalogue, number) == []


def test_refused_rows_say_why(catalogue: Catalogue):
    """The report gives row, image_id and reason of refused rows by row, the first thousand of them."""
    catalogue.use_spaces([BODY])
    sightings = [said(f"n{row}", row) for row in range(2, 1204)]
    number = catalogue.begin_import("a folder", sightings)
    catalogue.add(number, [], [(sighting.row, f"broken {sighting.row}") for sighting in reversed(sightings)])
    report = catalogue.import_report(number)
    assert report.rows == {RowState.REFUSED: 1202}
    assert report.refused[0] == (2, "n2", "broken 2")
    assert len(report.refused) == 1000


def test_stored_rows_are_indexed_when_the_import_is_done(catalogue: Catalogue):
    """The end of an import is durable; its stored rows are then searched, all others stay as they were."""
    catalogue.use_spaces([BODY])
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3), said("three", 4)])
    catalogue.add(number, [ready(said("one", 2)), ready(said("two", 3), "images/one.jpg")], [(4, "broken")])
    catalogue.finish_import(number, ImportState.DONE)
    report = catalogue.import_report(number)
    assert report.state is ImportState.DONE
    assert report.rows == {RowState.INDEXED: 1, RowState.UNCHANGED: 1, RowState.REFUSED: 1}
    assert report.finished >= report.started
    assert report.finished.tzinfo is not None
    assert catalogue.running_imports() == []


def test_a_failed_import_keeps_its_waiting_rows_and_its_reason(catalogue: Catalogue):
    """An import ends once: what comes later, from whoever had not heard of it, changes neither state nor reason."""
    catalogue.use_spaces([BODY])
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3)])
    catalogue.add(number, [ready(said("one", 2))], [])
    catalogue.finish_import(number, ImportState.FAILED, "the disk is full")
    report = catalogue.import_report(number)
    assert (report.state, report.reason) == (ImportState.FAILED, "the disk is full")
    assert report.rows == {RowState.STORED: 1, RowState.WAITING: 1}
    catalogue.finish_import(number, ImportState.CANCELLED, "cancelled")
    report = catalogue.import_report(number)
    assert (report.state, report.reason) == (ImportState.FAILED, "the disk is full")


@pytest.mark.parametrize("state", [ImportState.DONE, ImportState.CANCELLED, ImportState.FAILED])
def test_an_import_that_has_ended_ends_in_no_other_way(catalogue: Catalogue, state: ImportState):
    """Neither the import nor one of its rows: what came too late finds all as it was."""
    catalogue.use_spaces([BODY])
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3)])
    catalogue.add(number, [ready(said("one", 2))], [])
    catalogue.finish_import(number, state, "first")
    before = catalogue.import_report(number)
    for late in (ImportState.DONE, ImportState.CANCELLED, ImportState.FAILED):
        catalogue.finish_import(number, late, "later")
        assert catalogue.import_report(number) == before


def test_rows_go_to_another_state_in_short_transactions(catalogue: Catalogue, monkeypatch):
    """However many there are: each statement is bounded, and a state without rows is no fault."""
    monkeypatch.setattr("app.adapters.sql_imports._SETTLED", 2)
    catalogue.use_spaces([BODY])
    rows = [said(f"n{row}", row) for row in range(2, 7)]
    number = catalogue.begin_import("a folder", rows)
    catalogue.add(number, [ready(row) for row in rows[:3]], [])
    catalogue.settle_rows(number, RowState.WAITING, RowState.CANCELLED, "before its turn")
    catalogue.settle_rows(number, RowState.REFUSED, RowState.INDEXED)
    catalogue.finish_import(number, ImportState.DONE)
    assert catalogue.import_report(number).rows == {RowState.INDEXED: 3, RowState.CANCELLED: 2}


def test_rows_are_settled_for_one_version_of_the_catalogue_alone(catalogue: Catalogue):
    """What has been stored since an index was built is none of its rows."""
    catalogue.use_spaces([BODY])
    number = catalogue.begin_import("a folder", [said("one", 2), said("two", 3)])
    catalogue.add(number, [ready(said("one", 2))], [])
    before = catalogue.version()
    catalogue.add(number, [ready(said("two", 3))], [])
    catalogue.settle_rows(number, RowState.STORED, RowState.INDEXED, version=before)
    assert catalogue.import_report(number).rows == {RowState.STORED: 2}
    catalogue.settle_rows(number, RowState.STORED, RowState.INDEXED, version=catalogue.version())
    assert catalogue.import_report(number).rows == {RowState.INDEXED: 2}


def test_cancelled_imports_with_rows_on_their_way_are_found(catalogue: Catalogue):
    """Such as a kill between the cancel and the end of its rows leaves; whatever has ended whole is not among them."""
    catalogue.use_spaces([BODY])
    states = ImportState.CANCELLED, ImportState.CANCELLED, ImportState.FAILED, ImportState.CANCELLED
    numbers = [catalogue.begin_import("a folder", [said(f"n{place}", place)]) for place in range(2, 6)]
    catalogue.add(numbers[1], [ready(said("n3", 3))], [])
    for number, state in zip(numbers, states, strict=True):
        catalogue.finish_import(number, state)
    catalogue.settle_rows(numbers[3], RowState.WAITING, RowState.CANCELLED)
    assert catalogue.rows.unsettled() == numbers[:2]
    catalogue.settle_rows(numbers[0], RowState.WAITING, RowState.CANCELLED)
    catalogue.settle_rows(numbers[1], RowState.STORED, RowState.INDEXED)
    assert catalogue.rows.unsettled() == []


def test_unfinished_imports_are_listed_oldest_first(catalogue: Catalogue):
    """Imports that have not ended are found again after a restart."""
    numbers = [catalogue.begin_import(f"folder {place}", []) for place in range(3)]
    catalogue.finish_import(numbers[1], ImportState.FAILED, "stopped")
    assert catalogue.running_imports() == [numbers[0], numbers[2]]


@pytest.mark.parametrize("number", [99, 0, -1, 2**40, 10**30])
def test_an_unknown_import_is_said_to_be_unknown(catalogue: Catalogue, number: int):
    """No call about an import that does not exist is answered with an empty list."""
    for call in (
        lambda: catalogue.import_report(number),
        lambda: waiting(catalogue, number),
        lambda: catalogue.add(number, [], []),
        lambda: catalogue.finish_import(number, ImportState.DONE),
    ):
        with pytest.raises(UnknownImport):
            call()


# --- what contradicts ---


def conflicts(catalogue: Catalogue, *sightings: Sighting) -> list[tuple[int, str, str]]:
    found = crosscheck(sightings, catalogue.held(sightings), Remembered())
    return [(row.row, column, reason) for row, column, reason in found]


def columns(catalogue: Catalogue, *sightings: Sighting) -> list[tuple[int, str]]:
    return [(row, column) for row, column, _ in conflicts(catalogue, *sightings)]


def test_a_sheet_that_repeats_or_extends_the_catalogue_has_no_conflicts(filled: Catalogue):
    """Known rows, known names and new names are all welcome."""
    new = said("five", 3, individual="whale003", encounter="whale003-000")
    assert columns(filled, said("one", 2), new, said("six", 4)) == []


@pytest.mark.parametrize(
    ("column", "facts"),
    [
        ("viewpoint", {"viewpoint": Viewpoint.LEFT}),
        ("date", {"captured": CaptureDate(datetime(2019, 8, 6, 12), DatePrecision.SECOND)}),
        ("date", {"captured": CaptureDate(datetime(2019, 8, 5, 12), DatePrecision.DAY)}),
        ("whale_id", {"individual": "whale002", "encounter": None}),
        ("encounter_id", {"encounter": "whale001-009"}),
        ("image_id", {"box": Box(0, 0, 5, 5)}),
    ],
)
def test_other_facts_for_a_known_image_id_are_a_conflict(filled: Catalogue, column: str, facts: dict):
    """Each fact that differs from what the catalogue holds is named with row and column."""
    assert columns(filled, said("one", 9, **facts)) == [(9, column)]


def test_facts_that_an_import_would_lose_are_a_conflict(filled: Catalogue):
    """A name for an annotation that has none is reported: an import changes nothing that is held."""
    told = said("four", 3, captured=CaptureDate(), individual="whale001", encounter=None)
    [(row, column, reason)] = conflicts(filled, told)
    assert (row, column) == (3, "whale_id")
    assert "'whale001'" in reason
    assert "'four'" in reason


@pytest.mark.parametrize("name", ["Whale001", " whale001", "whale001 ", "ｗhale001"])
def test_a_name_that_differs_in_form_alone_is_a_conflict(filled: Catalogue, name: str):
    """Case, spaces and Unicode form do not tell animals apart: such a name is most likely a slip."""
    [(row, column, reason)] = conflicts(filled, said("five", 8, individual=name, encounter=None))
    assert (row, column) == (8, "whale_id")
    assert "'whale001'" in reason


def test_conflicts_within_a_sheet_are_found_before_anything_is_stored(catalogue: Catalogue):
    """A sheet can contradict itself: the later row is the one that is named."""
    found = columns(
        catalogue,
        said("one", 2),
        said("one", 3, viewpoint=Viewpoint.LEFT),
        said("two", 4, individual="WHALE001", encounter=None),
        said("three", 5, encounter="Whale001-000"),
        said("four", 6, individual="whale002"),
    )
    assert found == [(3, "image_id"), (4, "whale_id"), (5, "encounter_id"), (6, "encounter_id")]


def test_an_encounter_of_the_catalogue_keeps_its_individual(filled: Catalogue):
    """One encounter name for two individuals is a conflict, and the reason names the first."""
    [(row, column, reason)] = conflicts(filled, said("five", 2, individual="whale002"))
    assert (row, column) == (2, "encounter_id")
    assert "'whale001'" in reason


def test_known_rows_are_those_with_all_their_vectors(filled: Catalogue):
    """What is held with its vectors needs no embedding; other bytes, other facts and new rows do."""
    asked = [
        (said("one", 2), photograph("images/one.jpg").sha256),
        (said("copy", 3), photograph("images/one.jpg").sha256),
        (said("one", 4), photograph("other bytes").sha256),
        (said("new", 5), photograph("new bytes").sha256),
        (said("one", 6, viewpoint=Viewpoint.LEFT), photograph("images/one.jpg").sha256),
        (said("again", 7), photograph("new bytes").sha256),
    ]
    assert filled.known(asked) == {2, 3}
    filled.use_spaces([BODY, BACK])
    assert filled.known(asked) == set()


# --- spaces and vectors ---


def test_vectors_come_back_by_partition(filled: Catalogue):
    """Each partition holds the annotations of one viewpoint and year, ascending, with their vectors as given."""
    ids = filled.annotation_ids(["one", "two", "three", "four"])
    members = {
        Partition("body", Viewpoint.TOP, 2019): [("one", 2), ("three", 4)],
        Partition("body", Viewpoint.LEFT, 2020): [("two", 3)],
        Partition("body", Viewpoint.TOP, 0): [("four", 5)],
    }
    assert filled.signatures().keys() == members.keys()
    for partition, own in members.items():
        numbers, vectors = filled.partition(partition)
        assert numbers.tolist() == [ids[name] for name, _ in own]
        assert (numbers.dtype, vectors.dtype) == (np.int64, np.float32)
        np.testing.assert_array_equal(vectors, [vector(seed) for _, seed in own])


def test_a_partition_without_members_is_empty(filled: Catalogue):
    """An empty partition still says how long its vectors would be."""
    numbers, vectors = filled.partition(Partition("body", Viewpoint.RIGHT, 1999))
    assert (numbers.shape, vectors.shape) == ((0,), (0, 4))


def test_a_space_that_is_not_active_is_refused(filled: Catalogue):
    """Vectors are neither read from nor written to a space that is not in use."""
    for call in (
        lambda: filled.partition(Partition("stray", Viewpoint.TOP, 2019)),
        lambda: filled.missing_vectors("stray", 10),
        lambda: filled.add_vectors("stray", {1: vector(1)}),
    ):
        with pytest.raises(SpaceMismatch):
            call()


def test_a_signature_changes_with_its_partition_alone(filled: Catalogue):
    """A new annotation changes the signature of its own partition and of no other."""
    before = dict(filled.signatures())
    import_all(filled, [ready(said("five", 6))])
    after = dict(filled.signatures())
    changed = {partition for partition in after if after[partition] != before.get(partition)}
    assert changed == {Partition("body", Viewpoint.TOP, 2019)}


def test_a_signature_changes_when_a_vector_is_replaced(filled: Catalogue):
    """The same members with another vector are another partition, and the version rises."""
    partition = Partition("body", Viewpoint.LEFT, 2020)
    number, before, version = filled.annotation_ids(["two"])["two"], filled.signatures()[partition], filled.version()
    filled.add_vectors("body", {number: vector(77)})
    assert filled.signatures()[partition] != before
    assert filled.version() == version + 1
    np.testing.assert_array_equal(filled.partition(partition)[1], [vector(77)])


def test_a_space_serves_its_viewpoints_only(filled: Catalogue):
    """What a new space lacks are the annotations that it serves; filled in, they form its partitions."""
    filled.use_spaces([BODY, BACK])
    lacking = filled.missing_vectors("back", 100)
    assert [found.source_id for found in lacking] == ["one", "three", "four"]
    assert [found.source_id for found in filled.missing_vectors("back", 2)] == ["one", "three"]
    filled.add_vectors("back", {found.annotation_id: vector(1, 3) for found in lacking})
    assert filled.missing_vectors("back", 100) == []
    assert {p for p in filled.signatures() if p.space == "back"} == {
        Partition("back", Viewpoint.TOP, 2019),
        Partition("back", Viewpoint.TOP, 0),
    }


def test_a_vector_of_a_viewpoint_that_is_not_served_is_not_searched(filled: Catalogue):
    """A space that no longer serves a viewpoint keeps the vectors but shows no partition of it."""
    filled.use_spaces([ActiveSpace("body", "body-one", 4, frozenset({Viewpoint.TOP}))])
    assert {partition.viewpoint for partition in filled.signatures()} == {Viewpoint.TOP}
    assert len(filled.partition(Partition("body", Viewpoint.LEFT, 2020))[0]) == 0
    filled.use_spaces([BODY])
    assert {partition.viewpoint for partition in filled.signatures()} == {Viewpoint.TOP, Viewpoint.LEFT}


def test_another_fingerprint_is_another_space(filled: Catalogue):
    """Vectors of two fingerprints never mix: the new space starts empty, the old one comes back when used again."""
    before = dict(filled.signatures())
    version = filled.version()
    filled.use_spaces([ActiveSpace("body", "body-two", 6, frozenset(Viewpoint))])
    assert filled.fingerprints() == {"body": "body-two"}
    assert filled.version() > version
    assert filled.signatures() == {}
    assert len(filled.missing_vectors("body", 100)) == 4
    filled.use_spaces([BODY])
    assert filled.signatures() == before


def test_using_the_same_spaces_again_changes_nothing(filled: Catalogue):
    """Every start says which spaces are in use: only another set of them raises the version."""
    version = filled.version()
    filled.use_spaces([BODY])
    assert filled.version() == version
    filled.use_spaces([BACK])
    assert filled.fingerprints() == {"back": "back-one"}


def test_a_fingerprint_has_one_dimension(filled: Catalogue):
    """The same fingerprint with another dimension is a contradiction, and nothing changes."""
    with pytest.raises(SpaceMismatch):
        filled.use_spaces([BACK, ActiveSpace("body", "body-one", 5, frozenset(Viewpoint))])
    assert filled.fingerprints() == {"body": "body-one"}


def test_importing_again_fills_in_missing_vectors(filled: Catalogue):
    """A known row that comes with vectors of a new space is unchanged, but its vectors are kept."""
    filled.use_spaces([BODY, BACK])
    version = filled.version()
    row = ready(said("one"), body=vector(99), back=vector(8, 3))
    assert import_all(filled, [row]) == {RowState.UNCHANGED: 1}
    assert filled.version() == version + 1
    number = filled.annotation_ids(["one"])["one"]
    numbers, vectors = filled.partition(Partition("back", Viewpoint.TOP, 2019))
    assert numbers.tolist() == [number]
    np.testing.assert_array_equal(vectors, [vector(8, 3)])
    np.testing.assert_array_equal(filled.partition(Partition("body", Viewpoint.TOP, 2019))[1][0], vector(2))


def test_vectors_of_the_wrong_kind_are_refused_whole(filled: Catalogue):
    """A vector of another length, or of an annotation that does not exist, stores none of its batch."""
    version, one = filled.version(), filled.annotation_ids(["one"])["one"]
    with pytest.raises(SpaceMismatch):
        filled.add_vectors("body", {one: vector(1, 5)})
    with pytest.raises(UnknownAnnotation):
        filled.add_vectors("body", {one: vector(1), 999: vector(1)})
    filled.add_vectors("body", {})
    assert filled.version() == version
    np.testing.assert_array_equal(filled.partition(Partition("body", Viewpoint.TOP, 2019))[1][0], vector(2))


# --- reading ---


def test_the_gallery_has_a_row_for_each_annotation(filled: Catalogue):
    """Its columns are sorted by annotation and tell individuals, encounters, photographs, viewpoints and days apart."""
    gallery = filled.gallery()
    ids = filled.annotation_ids(["one", "two", "three", "four"])
    assert gallery.annotation.tolist() == [ids[name] for name in ("one", "two", "three", "four")]
    whales, meetings = filled.keys(individuals=["whale001"], encounters=["whale001-000", "whale001-001"])
    assert np.isin(gallery.individual, list(whales)).tolist() == [True, True, False, False]
    assert np.isin(gallery.encounter, list(meetings)).tolist() == [True, True, False, False]
    assert (gallery.individual[3], gallery.encounter[3]) == (NOBODY, NOBODY)
    assert len(set(gallery.image.tolist())) == 4
    assert [VIEWPOINTS[place] for place in gallery.viewpoint] == [Viewpoint.TOP, Viewpoint.LEFT, *[Viewpoint.TOP] * 2]
    assert gallery.year.tolist() == [2019, 2020, 2019, 0]
    assert gallery.day.tolist() == [
        date(2019, 8, 5).toordinal(),
        date(2020, 5, 1).toordinal(),
        date(2019, 8, 5).toordinal(),
        UNDATED,
    ]
    assert {column.dtype for column in (gallery.annotation, gallery.viewpoint, gallery.day)} == {np.dtype(np.int64)}


def test_an_individual_with_its_annotations_by_date(filled: Catalogue):
    """An individual is found in any spelling; its annotations come in the order in which they were taken."""
    import_all(
        filled,
        [
            ready(said("early", 9, captured=_day(2018, 1, 1), encounter=None)),
            ready(said("undated", 10, captured=CaptureDate())),
        ],
    )
    found, own = filled.individual(" WHALE001")
    assert [annotation.source_id for annotation in own] == ["early", "one", "two", "undated"]
    assert (found.name, found.annotations, found.encounters) == ("whale001", 4, 2)
    assert found.viewpoints == (Viewpoint.TOP, Viewpoint.LEFT)
    assert (found.first_seen, found.last_seen) == (date(2018, 1, 1), date(2020, 5, 1))
    assert found in filled.individuals()


def test_individuals_are_paged_by_name(catalogue: Catalogue):
    """Pages follow each other without gap or overlap, by code point, in every database."""
    catalogue.use_spaces([BODY])
    names = ["Zoe", "anna", "Émile", "b 2", "b-10", "b10", "whale_1"]
    import_all(catalogue, [ready(said(f"n{row}", row, individual=n, encounter=None)) for row, n in enumerate(names)])
    found: list[str] = []
    while page := catalogue.individuals(after=found[-1] if found else "", limit=3):
        assert len(page) <= 3
        found += [individual.name for individual in page]
    assert found == sorted(names)


def test_an_individual_without_dates_has_no_first_day(catalogue: Catalogue):
    """Undated annotations are counted, and no day is invented for them."""
    catalogue.use_spaces([BODY])
    import_all(catalogue, [ready(said("one", captured=CaptureDate(), encounter=None))])
    [found] = catalogue.individuals()
    assert (found.annotations, found.encounters, found.first_seen, found.last_seen) == (1, 0, None, None)


def test_an_image_is_found_by_its_hash(filled: Catalogue):
    """Every photograph that was stored is listed once and can be looked up."""
    shas = list(filled.image_shas())
    assert len(shas) == len(set(shas)) == 4
    assert filled.image(photograph("images/one.jpg").sha256) == photograph("images/one.jpg")


def test_unknown_names_and_ids_are_said_to_be_unknown(filled: Catalogue):
    """What does not exist raises an error of its own: a failure is never an empty list."""
    for number in (999, 0, -1, 2**40, 10**30):
        with pytest.raises(UnknownAnnotation):
            filled.annotation(number)
    with pytest.raises(UnknownIndividual):
        filled.individual("nobody")
    with pytest.raises(UnknownImage):
        filled.image("0" * 64)
    with pytest.raises(UnknownIndividual):
        filled.keys(individuals=["whale001", "nobody"])
    with pytest.raises(BadScope):
        filled.keys(encounters=["never"])
    assert filled.keys() == (set(), set())


def test_writers_and_readers_do_not_disturb_each_other(catalogue: Catalogue):
    """Four imports at once, with readers between them, lose nothing; readers see whole chunks."""
    catalogue.use_spaces([BODY])
    start, chunks, size = catalogue.version(), 6, 5
    done, seen = threading.Event(), []

    def write(writer: int) -> None:
        sightings = [
            said(f"w{writer}-{row}", row, individual=f"whale{row % 3}", encounter=f"whale{row % 3}-{row % 2}")
            for row in range(chunks * size)
        ]
        number = catalogue.begin_import(f"folder {writer}", sightings)
        for first in range(0, len(sightings), size):
            catalogue.add(number, [ready(sighting) for sighting in sightings[first : first + size]], [])
        catalogue.finish_import(number, ImportState.DONE)

    def read() -> None:
        while not done.is_set():
            before, gallery, after = catalogue.version(), catalogue.gallery(), catalogue.version()
            seen.append((before, len(gallery), after))
            catalogue.signatures()
            catalogue.individuals()

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            list(pool.map(write, range(4)))
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert len(catalogue.gallery()) == 4 * chunks * size
    assert catalogue.version() == start + 4 * chunks
    assert all(length % size == 0 for _, length, _ in seen)
    assert all((before - start) * size <= length <= (after - start) * size for before, length, after in seen)
    assert len(catalogue.individuals()) == 3


def test_vectors_of_another_fingerprint_are_not_taken_in(catalogue: Catalogue):
    """A name and a dimension are not enough to be the same space: nothing of the chunk is stored."""
    catalogue.use_spaces([BODY])
    number = catalogue.begin_import("a folder", [said("one")])
    for other in ({"body": "body-two"}, {}, {"body": "body-one", "back": "back-one"}):
        with pytest.raises(SpaceMismatch, match="another ensemble"):
            catalogue.add(number, [ready(said("one"))], [], other)
    assert (len(catalogue.gallery()), len(waiting(catalogue, number))) == (0, 1)
    catalogue.add(number, [ready(said("one"))], [], {"body": "body-one"})
    assert len(catalogue.gallery()) == 1
