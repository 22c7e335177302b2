"""Records of a comma-separated file."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import BadRows, Fault
from app.domain.records import MAX_LINE, columns, missing_columns, ragged, records


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_newlines_and_chunks_do_not_matter(newline, size):
    """Any newline, cut at any byte, gives the same records with the same lines."""
    raw = newline.join(["a,b", "ü,2", "", '"x, ""y""",4', ""]).encode()
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert list(records(chunks)) == [(1, ["a", "b"]), (2, ["ü", "2"]), (4, ['x, "y"', "4"])]


def test_a_cell_over_several_lines_counts_from_its_first():
    """A record is named by the line on which it begins."""
    raw = b'a,b\n"one\ntwo",2\n3,4\n'
    assert list(records([raw])) == [(1, ["a", "b"]), (2, ["one\ntwo", "2"]), (4, ["3", "4"])]


def test_a_byte_order_mark_is_not_part_of_the_first_name():
    """UTF-8 with a mark, as spreadsheets write it, reads like UTF-8 without."""
    assert list(records([b"\xef\xbb\xbfa,b\n1,2\n"])) == [(1, ["a", "b"]), (2, ["1", "2"])]


def test_rows_without_any_text_are_left_out():
    """The empty rows that spreadsheets leave behind are nobody's."""
    assert [row for row, _ in records([b"a,b\n,\n , \n1,2\n,,,\n"])] == [1, 4]


@pytest.mark.parametrize(
    ("raw", "row", "reason"),
    [
        ("a,b\n1,2\n".encode("utf-16"), 1, "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-be"), 1, "NUL"),
        (b"a,b\n1,\xe9\n", 2, "0xe9 is not UTF-8"),
        (b"a,b\n1,2\n3,\0\n", 3, "NUL"),
        (b'a,b\n1,"2\n3,4\n', 2, "unexpected end of data"),
        (b'a,b\n1,"2"x\n', 2, "expected after"),
        (b"a,b\n" + b"x" * 200_000 + b",2\n", 2, "field larger than field limit"),
        (b"a,b\n" + b"x," * MAX_LINE, 2, "longer than"),
    ],
    ids=["utf-16", "utf-16 without mark", "latin-1", "nul", "open quote", "quote", "huge cell", "huge line"],
)
def test_what_is_not_such_text_is_named_by_its_line(raw, row, reason):
    """Another encoding, a binary file, broken quotes and endless lines end the reading with one fault."""
    with pytest.raises(BadRows, match=reason) as error:
        list(records([raw]))
    assert [fault.row for fault in error.value.faults] == [row]


def test_an_endless_line_is_not_held_in_memory():
    """Reading stops soon after the limit, however much the line still holds."""
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 65_536

    with pytest.raises(BadRows):
        list(records(endless()))
    assert taken * 65_536 < 2 * MAX_LINE


def test_columns_are_found_by_name():
    """Names lose case and outer spaces; nameless columns are nobody's."""
    assert columns([" Image_ID", "", "path ", ""]) == {"image_id": 0, "path": 2}


def test_a_name_that_appears_twice_is_refused():
    """A column named twice would leave open which one counts."""
    with pytest.raises(BadRows, match="more than once") as error:
        columns(["path", "date", "PATH", "date"])
    assert [fault.column for fault in error.value.faults] == ["path", "date"]


def test_too_many_columns_are_refused():
    """Ten thousand columns are not a sheet."""
    with pytest.raises(BadRows, match="10000 columns"):
        columns([f"c{number}" for number in range(10_000)])


def test_another_separator_is_suspected():
    """Semicolons in a name explain why every column is missing."""
    assert missing_columns({"a;b"}, ["a"]) == [
        Fault(1, "a", "the column is missing; columns are separated by commas, not semicolons")
    ]


def test_ragged_rows_name_the_column_where_they_break():
    """A short row ends before a column, a long one behind the last."""
    assert ragged(3, ["1"], ["a", "b"]) == Fault(3, "b", "1 cells where the header has 2 columns")
    assert ragged(3, ["1", "2", "3"], ["a", "b"]) == Fault(3, "b", "3 cells where the header has 2 columns")
    assert ragged(3, ["1", "2"], ["a", "b"]) is None


@given(raw=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_records_or_bad_rows(raw):
    """No content of a file raises anything but BadRows."""
    with suppress(BadRows):
        assert all(any(cells) for _, cells in records([raw]))
