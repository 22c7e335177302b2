"""Cells of a sheet."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Viewpoint
from app.domain.cells import finer, parse_box, parse_date, parse_name, parse_path, parse_side, parse_viewpoint, shown

DAY = CaptureDate(datetime(2019, 8, 5), DatePrecision.DAY)
SECOND = CaptureDate(datetime(2019, 8, 5, 16, 49, 13), DatePrecision.SECOND)


@pytest.mark.parametrize(
    ("text", "viewpoint"),
    [("top", "top"), ("TOP", "top"), ("up", "top"), ("Left", "left"), ("right", "right"), ("", "unknown")],
)
def test_viewpoint_spellings(text, viewpoint):
    """Case does not matter, up is top, and nothing is unknown."""
    assert parse_viewpoint(text) is Viewpoint(viewpoint)


@pytest.mark.parametrize("text", ["down", "topp", "t", "left,right", "0"])
def test_other_viewpoints_are_refused(text):
    """A viewpoint that is not on the list is never guessed."""
    with pytest.raises(ValueError, match="is not a viewpoint"):
        parse_viewpoint(text)


@pytest.mark.parametrize(
    ("text", "taken", "precision"),
    [
        ("2019", datetime(2019, 1, 1), "year"),
        ("2019-08", datetime(2019, 8, 1), "month"),
        ("2019-08-05", datetime(2019, 8, 5), "day"),
        ("2020-02-29", datetime(2020, 2, 29), "day"),
        ("2019-08-05 16:49:13", datetime(2019, 8, 5, 16, 49, 13), "second"),
        ("2019-08-05T16:49:13.250", datetime(2019, 8, 5, 16, 49, 13), "second"),
        ("2019-08-05T16:49", datetime(2019, 8, 5, 16, 49), "second"),
        ("2019-08-05 00:00:00", datetime(2019, 8, 5), "day"),
        ("2019-08-05 00:00:01", datetime(2019, 8, 5, 0, 0, 1), "second"),
        ("1900-01-01", datetime(1900, 1, 1), "day"),
    ],
)
def test_date_spellings(text, taken, precision):
    """A date is known as exactly as it is written, and midnight stands for an unknown time."""
    assert parse_date(text) == CaptureDate(taken, DatePrecision(precision))


def test_no_date_is_unknown():
    """An empty date is an unknown one."""
    assert parse_date("") == CaptureDate()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("05/08/2019", "is not a date"),
        ("20190805", "is not a date"),
        ("2019-8-5", "is not a date"),
        ("2019-W32", "is not a date"),
        ("٢٠١٩-08-05", "is not a date"),
        ("2019-08-05 4pm", "is not a date"),
        ("2019-13-01", "not in the calendar"),
        ("2019-02-29", "not in the calendar"),
        ("2019-08-05 24:00:00", "not in the calendar"),
        ("2019-00", "not in the calendar"),
        ("1899-12-31", "before 1900"),
        ("0000", "before 1900"),
        ("2019-08-05T16:49:13Z", "time zone"),
        ("2019-08-05 16:49:13+02:00", "time zone"),
    ],
)
def test_other_dates_are_refused(text, reason):
    """A date that could be read in two ways, or not at all, is refused with its reason."""
    with pytest.raises(ValueError, match=reason):
        parse_date(text)


def test_the_finer_of_two_dates_counts():
    """A date and a timestamp that agree give the more exact of both, in either order."""
    month = CaptureDate(datetime(2019, 8, 1), DatePrecision.MONTH)
    assert finer(DAY, SECOND) == SECOND
    assert finer(SECOND, month) == SECOND
    assert finer(CaptureDate(), DAY) == DAY
    assert finer(DAY, CaptureDate()) == DAY


@pytest.mark.parametrize(
    "other", [datetime(2019, 8, 6), datetime(2019, 9, 5), datetime(2018, 8, 5), datetime(2019, 8, 5, 16, 49, 14)]
)
def test_dates_that_contradict_are_refused(other):
    """Two dates of one photograph must be the same as far as both are known."""
    exact = CaptureDate(other, DatePrecision.SECOND if other.hour else DatePrecision.DAY)
    with pytest.raises(ValueError, match="contradicts"):
        finer(SECOND, exact)


@pytest.mark.parametrize(
    "text",
    ["[10, 20, 30, 40]", "10,20,30,40", "(10; 20; 30; 40)", "10 20 30 40", "[10.0  20.0 30. 40]", " [10,20,30,40] "],
)
def test_box_spellings(text):
    """Lists, tuples, arrays and bare numbers are all boxes."""
    assert parse_box(text) == Box(10, 20, 30, 40)


def test_a_fractional_box_keeps_its_edges():
    """Edges are rounded, not sizes: a box does not grow by rounding both."""
    assert parse_box("[0.4, 0.4, 10.2, 10.0]") == Box(0, 0, 11, 10)


@pytest.mark.parametrize("text", ["", "[]", "( )"])
def test_no_box_is_the_whole_photograph(text):
    """An empty box is none."""
    assert parse_box(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "[1,2,3,nan]",
        "[1,2,3,inf]",
        "[-1,2,3,4]",
        "[1,2,0,4]",
        "[0,0,0.3,9]",
        "1e9 0 1 1",
    ],
)
def test_other_boxes_are_refused(text):
    """A box needs four finite numbers and an area inside the quadrant of the photograph."""
    with pytest.raises(ValueError, match="box"):
        parse_box(text)


@pytest.mark.parametrize("text", ["whale 001", "Ünal", "クジラ-1", "=1+1", "x" * 200])
def test_names(text):
    """Any visible text is a name."""
    assert parse_name(text) == text


@pytest.mark.parametrize("text", ["", "a\tb", "a\nb", "a\x7fb", "a\u200bb", "a\u202eb", "a\xa0b", "x" * 201])
def test_names_with_invisible_parts_are_refused(text):
    """Two names that look the same must be the same."""
    with pytest.raises(ValueError, match=r"empty|invisible|more than 200"):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("a.jpg", "a.jpg"), ("./images//a b.jpg", "images/a b.jpg"), ("images/..a.jpg", "images/..a.jpg")],
)
def test_paths(text, path):
    """A relative path loses its empty parts and nothing else."""
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "/",
        "/etc/passwd",
        "../a.jpg",
        "images/../../a.jpg",
        "a/..",
        "C:/a.jpg",
        "images\\a.jpg",
        "a\0b",
        "a" * 1001,
    ],
)
def test_paths_that_leave_their_folder_are_refused(text):
    """No path of a sheet names anything outside its folder."""
    with pytest.raises(ValueError, match=r"empty|leaves|absolute|backslash|control|more than"):
        parse_path(text)


def test_a_shown_value_is_short_and_inert():
    """What a message quotes of a cell is escaped and cut."""
    assert shown("a\x1b[31m") == "'a\\x1b[31m'"
    assert len(shown("x" * 10_000)) < 100


@pytest.mark.parametrize("parse", [parse_box, parse_date, parse_name, parse_path, parse_viewpoint])
@given(text=st.text(max_size=60) | st.from_regex(r"[\[(0-9.,;:+ T/\-eZ]{0,40}", fullmatch=True))
def test_any_text_is_a_value_or_a_value_error(parse, text):
    """No cell raises anything but the error that names its fault."""
    with suppress(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "viewpoint"),
    [("up", "top"), ("LEFT", "left"), ("", "unknown"), ("frontleft", "unknown"), ("down", "unknown")],
)
def test_sides_of_other_systems(text, viewpoint):
    """A side that is none of ours is held as unknown by rule; what is no side at all is refused."""
    assert parse_side(text) == viewpoint
    with pytest.raises(ValueError, match="not a viewpoint"):
        parse_side("sideways")
