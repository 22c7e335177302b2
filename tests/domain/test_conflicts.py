"""What contradicts what: the rules that every catalogue shares."""

from dataclasses import replace
from datetime import datetime

import pytest

from app.domain.catalogue import Annotation, Box, CaptureDate, DatePrecision, Image, Sighting, Viewpoint
from app.domain.conflicts import Held, KnownNames, Ledger, Remembered, contradictions, crosscheck
from app.domain.ingestion import RowState

DAY = CaptureDate(datetime(2019, 8, 5), DatePrecision.DAY)
SAID = Sighting("one", "one.jpg", Viewpoint.TOP, DAY, "whale001", "e1", Box(0, 0, 5, 5), 2)
HELD = Annotation(1, "one", Image("a" * 64, "JPEG", 9, 9, 99), Viewpoint.TOP, DAY, "whale001", "e1", Box(0, 0, 5, 5))
NOTHING = Held([], KnownNames({}, {}, {}))
NAMES = KnownNames({"whale001": "whale001"}, {"e1": "e1"}, {"e1": "whale001"})


def test_the_same_facts_do_not_contradict():
    """A row that repeats an annotation, in any spelling of its names, contradicts nothing."""
    assert contradictions(SAID, HELD) == []
    assert contradictions(replace(SAID, individual="WHALE001 "), HELD) == []


def test_silence_does_not_contradict():
    """What a row leaves open may be known already."""
    silent = Sighting("one", "one.jpg", Viewpoint.UNKNOWN, CaptureDate(), box=SAID.box)
    assert contradictions(silent, HELD) == []


def test_a_new_fact_contradicts_silence():
    """What is held as unknown is not filled in by an import, so saying it is a contradiction."""
    unknown = replace(HELD, viewpoint=Viewpoint.UNKNOWN, captured=CaptureDate(), individual=None, encounter=None)
    found = contradictions(SAID, unknown)
    assert [column for column, _ in found] == ["viewpoint", "date", "whale_id", "encounter_id"]
    assert all("unknown" in reason for _, reason in found)


def test_every_contradiction_names_both_sides():
    """The reason quotes what is said, what is held, and for which image_id."""
    [(column, reason)] = contradictions(
        replace(SAID, captured=CaptureDate(datetime(2020, 1, 1), DatePrecision.YEAR)), HELD
    )
    assert column == "date"
    assert "'2020-01-01 00:00:00 (year)'" in reason
    assert "'2019-08-05 00:00:00 (day)'" in reason
    assert "'one'" in reason


@pytest.mark.parametrize(
    ("said", "sha256", "state", "twin"),
    [
        (SAID, "a" * 64, RowState.UNCHANGED, HELD),
        (replace(SAID, source_id="copy"), "a" * 64, RowState.UNCHANGED, HELD),
        (replace(SAID, source_id="two"), "b" * 64, RowState.STORED, None),
        (replace(SAID, source_id="two", box=None), "a" * 64, RowState.STORED, None),
        (SAID, "b" * 64, RowState.REFUSED, None),
        (replace(SAID, box=None), "a" * 64, RowState.REFUSED, None),
        (replace(SAID, viewpoint=Viewpoint.LEFT), "a" * 64, RowState.REFUSED, None),
        (replace(SAID, source_id="two", individual="whale002"), "b" * 64, RowState.REFUSED, None),
    ],
)
def test_every_row_gets_one_verdict(said, sha256, state, twin):
    """A row is new, known or refused by its photograph, its box and its facts; a refusal has a reason."""
    verdict = Ledger([HELD], NAMES).judge(said, sha256)
    assert (verdict.state, verdict.twin) == (state, twin)
    assert (verdict.reason is not None) == (state is RowState.REFUSED)


def test_the_ledger_remembers_the_rows_before():
    """Rows are judged against those before them: the first one wins, and a refused one leaves no trace."""
    ledger = Ledger([], KnownNames({}, {}, {}))
    states = [
        ledger.judge(SAID, "a" * 64).state,
        ledger.judge(SAID, "a" * 64).state,
        ledger.judge(replace(SAID, source_id="two", individual="whale002"), "b" * 64).state,
        ledger.judge(replace(SAID, source_id="two", individual="whale002", encounter="e2"), "b" * 64).state,
    ]
    assert states == [RowState.STORED, RowState.UNCHANGED, RowState.REFUSED, RowState.STORED]


def test_the_first_spelling_is_the_measure():
    """Every later spelling of a name is reported against the first, not against each other."""
    names = enumerate(["Ana", "ana", "ANA", "Ana"])
    rows = [replace(SAID, source_id=str(n), individual=name, encounter=None, row=n) for n, name in names]
    whole = crosscheck(rows, NOTHING, Remembered())
    memory = Remembered()
    apart = [fault for row in rows for fault in crosscheck([row], NOTHING, memory)]
    assert whole == apart
    assert [(row.row, column) for row, column, _ in whole] == [(1, "whale_id"), (2, "whale_id")]
    assert all("'Ana'" in reason for _, _, reason in whole)
    assert (memory.count("whale_id"), memory.count("image_id"), memory.count("else")) == (1, 4, 0)


def test_an_id_is_given_once():
    """The second row of an id is at fault and names the first, whatever else it says."""
    memory = Remembered()
    assert crosscheck([SAID], NOTHING, memory) == []
    again = replace(SAID, row=9, line=9, viewpoint=Viewpoint.LEFT)
    assert crosscheck([again], NOTHING, memory) == [(again, "image_id", "'one' appears already in row 2")]


def test_what_the_catalogue_holds_goes_first():
    """Rows are held against its annotations, its spellings and its encounters."""
    held = Held([HELD], NAMES)
    rows = [
        replace(SAID, viewpoint=Viewpoint.LEFT),
        replace(SAID, source_id="two", row=3, individual="Whale001", encounter="E1"),
        replace(SAID, source_id="three", row=4, individual="whale002"),
    ]
    found = crosscheck(rows, held, Remembered())
    assert [(row.row, column) for row, column, _ in found] == [
        (2, "viewpoint"),
        (3, "whale_id"),
        (3, "encounter_id"),
        (4, "encounter_id"),
    ]


def test_accepted_rows_are_held():
    """A row that an earlier part of a sheet brought counts as held."""
    ledger = Ledger([], KnownNames({}, {}, {}))
    ledger.accept(SAID, "a" * 64)
    assert ledger.judge(replace(SAID, source_id="copy"), "a" * 64).state is RowState.UNCHANGED
