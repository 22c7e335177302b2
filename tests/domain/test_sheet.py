"""A metadata sheet."""

from datetime import date, datetime

import pytest

from app.domain import sheet
from app.domain.catalogue import Box, CaptureDate, DatePrecision, Sighting, Viewpoint
from app.domain.errors import BadRows, Fault
from app.domain.formats import SheetFormat
from app.domain.sheet import MAX_FAULTS, read_sightings, sheet_layout, stream_sightings

HEADER = "image_id,path,height,width,viewpoint,date,timestamp,whale_id,encounter_id"
GOOD = "i1,images/i1.jpg,192,81,top,2019-08-05,2019-08-05 16:49:13,whale001,whale001-000"
TODAY = date(2026, 11, 22)


def read(*lines: str, absent=lambda path: None) -> list[Sighting]:
    return read_sightings(["\n".join(lines).encode()], absent=absent, today=TODAY)


def faults(*lines: str, absent=lambda path: None) -> list[tuple[int, str, str]]:
    with pytest.raises(BadRows) as error:
        read(*lines, absent=absent)
    assert error.value.total == len(error.value.faults)
    return [(fault.row, fault.column, fault.reason) for fault in error.value.faults]


def test_a_contest_row():
    """The contest's training columns become one sighting with all it says."""
    captured = CaptureDate(datetime(2019, 8, 5, 16, 49, 13), DatePrecision.SECOND)
    assert read(HEADER, GOOD) == [
        Sighting("i1", "images/i1.jpg", Viewpoint.TOP, captured, "whale001", "whale001-000", None, 2)
    ]


def test_a_contest_row_without_individual():
    """The contest's test metadata names no whale: that is an unknown individual, not a fault."""
    assert read("image_id,path,height,width,viewpoint,date", "i1,i1.jpg,9,9,left,2019-08-05") == [
        Sighting("i1", "i1.jpg", Viewpoint.LEFT, CaptureDate(datetime(2019, 8, 5), DatePrecision.DAY), row=2)
    ]


def test_a_wildlife_datasets_row():
    """The columns of wildlife-datasets: identity, orientation (up is top) and bbox."""
    lines = ("image_id,identity,path,date,orientation,bbox", '7,Nanuk,a/b.jpg,2019,up,"[1, 2, 3, 4]"')
    captured = CaptureDate(datetime(2019, 1, 1), DatePrecision.YEAR)
    assert read(*lines) == [Sighting("7", "a/b.jpg", Viewpoint.TOP, captured, "Nanuk", None, Box(1, 2, 3, 4), 2)]


@pytest.mark.parametrize("identity", ["unknown", "Unknown", ""])
def test_an_unknown_identity_is_nobody(identity):
    """All the unknown animals of a sheet are not one animal named unknown."""
    assert read("image_id,identity,path", f"1,{identity},a.jpg")[0].individual is None


def test_columns_that_no_dialect_knows_are_left_alone():
    """A sheet may say more than Resight asks."""
    assert len(read("notes," + HEADER, "anything," + GOOD)) == 1


@pytest.mark.parametrize(
    ("header", "kind", "whale", "ignored"),
    [
        (HEADER, SheetFormat.CONTEST, "whale_id", ("height", "width")),
        ("image_id,identity,path,species,Split", SheetFormat.WILDLIFE, "identity", ("species", "Split")),
        ("theta,viewpoint,name,species,file_path,x,y,w,h", SheetFormat.MIEWID, "name", ("theta", "species")),
        (
            "Encounter.mediaAsset0,Encounter.mediaAsset0.quality,Encounter.year,MarkedIndividual.individualID",
            SheetFormat.WILDBOOK,
            "MarkedIndividual.individualID",
            ("Encounter.mediaAsset0.quality",),
        ),
    ],
)
def test_the_format_follows_from_the_header(header, kind, whale, ignored):
    """Each kind is recognised by its own columns; what is left alone is named as the sheet spells it."""
    layout = sheet_layout([header.encode()])
    assert (layout.format, layout.column("whale_id"), layout.ignored) == (kind, whale, ignored)
    assert sheet_layout([header.encode()], kind) == layout


def test_a_format_that_was_asked_for_is_held_against_the_header():
    """Whoever says what a sheet is gets told what it lacks for that, not what it could be instead."""
    with pytest.raises(BadRows) as error:
        sheet_layout([HEADER.encode()], SheetFormat.MIEWID)
    assert {"file_path", "name"} <= {fault.column for fault in error.value.faults}
    with pytest.raises(BadRows, match="mediaAsset0"):
        sheet_layout([HEADER.encode()], SheetFormat.WILDBOOK)


def test_a_header_that_mixes_dialects_is_refused():
    """Two columns for one thing leave open which counts."""
    with pytest.raises(BadRows, match="two dialects"):
        sheet_layout([f"{HEADER},identity".encode()])


def test_rows_come_one_by_one():
    """A sheet is never held whole: the first row is there before the last one was read."""

    def endless():
        yield f"{HEADER}\n{GOOD}\n".encode() * 3
        while True:
            yield b"i2,../b.jpg,1,1,top,2019,,,\n" * 3_000

    rows = stream_sightings(endless(), absent=lambda path: None, today=TODAY)
    assert isinstance(next(rows), Sighting)
    assert any(isinstance(next(rows), Fault) for _ in range(9))


def test_a_miewid_row():
    """Box, viewpoint ("up" is top), name and path; the annotation is named by its path and box."""
    lines = (
        "theta,viewpoint,name,species,file_path,x,y,w,h",
        "0.1,up,Nanuk,beluga,a/b.jpg,1,2,3,4",
        "0,backleft,,beluga,c.jpg,,,,",
    )
    assert read(*lines) == [
        Sighting("a/b.jpg#1 2 3 4", "a/b.jpg", Viewpoint.TOP, CaptureDate(), "Nanuk", None, Box(1, 2, 3, 4), 2),
        Sighting("c.jpg", "c.jpg", Viewpoint.UNKNOWN, CaptureDate(), row=3),
    ]
    named = ("annot_uuid,viewpoint,name,file_path,x,y,w,h", "u-1,left,Nanuk,a.jpg,0,0,9,9")
    assert read(*named)[0].source_id == "u-1"
    assert faults(lines[0], "0,sideways,N,beluga,a.jpg,1,2,3,x") == [
        (2, "viewpoint", "'sideways' is not a viewpoint: top, left, right or unknown"),
        (2, "x", "'1 2 3 x' is not a box: four numbers [x, y, width, height]"),
    ]


def test_a_hash_is_read_where_a_sheet_gives_one():
    """In any case of letters; what is no SHA-256 is a fault."""
    header = HEADER + ",sha256"
    assert read(header, f"{GOOD},{'AB' * 32}", GOOD.replace("i1", "i2") + ",")[0].sha256 == "ab" * 32
    assert faults(header, GOOD + ",abc")[0][:2] == (2, "sha256")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_spreadsheet_is_told_how_to_come_back(start):
    """A workbook is not guessed at: the reason says what to do."""
    with pytest.raises(BadRows, match="save it as CSV UTF-8"):
        sheet_layout([start + b"rest"])


def test_missing_columns_are_all_named():
    """Every column that is required and not there is a fault of row 1."""
    assert [fault[:2] for fault in faults("image_id,height", "1,2")] == [(1, "path"), (1, "viewpoint"), (1, "date")]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("image_id", "", "empty"),
        ("image_id", "a\x07b", "invisible"),
        ("image_id", "x" * 201, "more than 200"),
        ("path", "", "empty"),
        ("path", "/images/i1.jpg", "absolute"),
        ("path", "../i1.jpg", "leaves the folder"),
        ("path", "images\\i1.jpg", "backslashes"),
        ("viewpoint", "front", "not a viewpoint"),
        ("date", "5.8.2019", "not a date"),
        ("date", "2026-11-23", "future"),
        ("date", "2027", "future"),
        ("date", "1899-08-05", "before 1900"),
        ("timestamp", "2019-08-06 00:00:00", "contradicts"),
        ("timestamp", "2019-08-05 25:00:00", "calendar"),
        ("whale_id", "a\u200bb", "invisible"),
        ("encounter_id", "x" * 201, "more than 200"),
    ],
)
def test_a_faulty_cell_is_named_by_row_and_column(column, value, reason):
    """Each fault says where it stands and what is wrong."""
    cells = GOOD.split(",")
    cells[HEADER.split(",").index(column)] = value
    ((row, where, why),) = faults(HEADER, GOOD.replace("i1", "i0"), ",".join(cells))
    assert (row, where) == (3, column)
    assert reason in why


def test_all_faults_of_a_sheet_are_collected():
    """One reading finds every fault, several in one row included."""
    found = faults(HEADER, "i1,../a,1,1,front,5.8.2019,,,", GOOD, "i1,b.jpg,1,1,top,2019,,Whale001,", "i3,c.jpg,1")
    assert [(row, column) for row, column, _ in found] == [
        (2, "path"),
        (2, "viewpoint"),
        (2, "date"),
        (4, "image_id"),
        (4, "whale_id"),
        (5, "width"),
    ]


def test_a_name_that_differs_only_in_spelling_is_refused():
    """whale001 and Whale001 would become two animals, or one: the sheet has to say."""
    other = GOOD.replace("i1", "i2").replace("whale001,", "Whale001,")
    ((row, column, reason),) = faults(HEADER, GOOD, other)
    assert (row, column) == (3, "whale_id")
    assert "differs from 'whale001' only in case" in reason


def test_photographs_that_are_absent_are_faults():
    """A row whose photograph cannot be used is named before anything is written."""
    assert faults(HEADER, GOOD, absent=lambda path: "cannot be found") == [
        (2, "path", "'images/i1.jpg' cannot be found")
    ]


def test_faults_before_unreadable_text_are_kept():
    """A sheet that breaks off in the middle still tells what was found until there."""
    raw = f"{HEADER}\n{GOOD.replace('top', 'front')}\n".encode() + b"\xff\xff\n"
    with pytest.raises(BadRows) as error:
        read_sightings([raw], absent=lambda path: None, today=TODAY)
    assert [(fault.row, fault.column) for fault in error.value.faults] == [(2, "viewpoint"), (3, "")]


def test_many_faults_are_counted_and_the_first_kept():
    """A million faults are not a million messages."""
    with pytest.raises(BadRows) as error:
        read(HEADER, *(f"i{number},a.jpg,1,1,front,2019,,," for number in range(1_500)))
    assert error.value.total == 1_500
    assert [fault.row for fault in error.value.faults] == list(range(2, MAX_FAULTS + 2))


def test_a_sheet_has_a_limit_of_rows(monkeypatch):
    """What goes on for ever is cut off and named."""
    monkeypatch.setattr(sheet, "MAX_ROWS", 3)
    rows = [GOOD.replace("i1", f"i{number}") for number in range(4)]
    assert len(read(HEADER, *rows[:3])) == 3
    assert faults(HEADER, *rows) == [(5, "", "more than 3 rows")]


@pytest.mark.parametrize("lines", [[""], ["", "  "], [HEADER], [HEADER, "", ",,,,,,,,"]])
def test_a_sheet_without_rows_is_refused(lines):
    """An import of nothing is a mistake, not a success."""
    ((row, _, reason),) = faults(*lines)
    assert row == 1
    assert "empty" in reason or "no rows" in reason


def test_the_belugas(belugas):
    """The contest's own sheet reads whole; its midnight placeholders are known by day."""
    found = read_sightings([(belugas / "metadata.csv").read_bytes()], absent=lambda path: None, today=TODAY)
    assert len(found) == 4_400
    assert len({sighting.individual for sighting in found}) == 629
    assert sum(sighting.captured.precision is DatePrecision.DAY for sighting in found) == 40
