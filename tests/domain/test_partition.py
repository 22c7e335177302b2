"""Which annotations are searched."""

from datetime import date

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScope
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Gallery, Scope


def column(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


TOP, LEFT = VIEWPOINTS.index(Viewpoint.TOP), VIEWPOINTS.index(Viewpoint.LEFT)
DAYS = [date(2017, 8, 1).toordinal(), date(2018, 8, 1).toordinal(), date(2019, 8, 1).toordinal()]
GALLERY = Gallery(
    annotation=column(10, 20, 30, 40, 50),
    individual=column(1, 1, 2, NOBODY, 3),
    encounter=column(100, 101, 102, NOBODY, 103),
    image=column(7, 8, 8, 9, 6),
    viewpoint=column(TOP, TOP, LEFT, LEFT, TOP),
    year=column(2017, 2018, 2018, 0, 2019),
    day=column(DAYS[0], DAYS[1], DAYS[1], UNDATED, DAYS[2]),
    phash=column(0, 0, 0, 0, 0),
    fold=column(10, 20, 30, 40, 50),
)
EMPTY = Gallery(*[column()] * 9)


def picked(scope: Scope) -> list[int]:
    return GALLERY.annotation[scope.select(GALLERY).mask].tolist()


def test_the_default_scope_searches_everything():
    """Nothing is left out, and no filter is counted, that nobody asked for."""
    selection = Scope().select(GALLERY)
    assert (selection.size, selection.removed) == (5, {})


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (Scope(viewpoints=frozenset({Viewpoint.TOP})), [10, 20, 50]),
        (Scope(years=frozenset({2017, 2019})), [10, 50]),
        (Scope(years=frozenset({0})), [40]),
        (Scope(since=date(2018, 8, 1)), [20, 30, 50]),
        (Scope(until=date(2018, 8, 1)), [10, 20, 30]),
        (Scope(since=date(2018, 8, 1), until=date(2018, 8, 1)), [20, 30]),
        (Scope(only=frozenset({40, 10, 99})), [10, 40]),
        (Scope(only=frozenset()), []),
        (Scope(without_individuals=frozenset({1})), [30, 40, 50]),
        (Scope(without_encounters=frozenset({100, 103})), [20, 30, 40]),
        (Scope(without_annotations=frozenset({10})), [20, 30, 40, 50]),
        (Scope(without_images=frozenset({8})), [10, 40, 50]),
    ],
)
def test_each_filter(scope, left):
    """Every filter leaves exactly what it should; a window of days is inclusive and leaves out the undated."""
    assert picked(scope) == left


def test_filters_count_what_each_took_in_turn():
    """A receipt's numbers add up: what one filter removed is not counted again by the next."""
    scope = Scope(
        viewpoints=frozenset({Viewpoint.TOP}), years=frozenset({2018, 2019}), without_individuals=frozenset({1, 2})
    )
    selection = scope.select(GALLERY)
    assert selection.removed == {"viewpoint": 2, "year": 1, "individual": 1}
    assert selection.size + sum(selection.removed.values()) == len(GALLERY)
    assert picked(scope) == [50]


def test_excluding_a_query_leaves_out_its_photograph():
    """A query never finds itself, nor another animal's crop of the same photograph."""
    scope = Scope(without_annotations=frozenset({50})).excluding(annotation=20, image=8)
    assert picked(scope) == [10, 40]
    assert scope.select(GALLERY).removed == {"annotation": 2, "same_photograph": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        {"viewpoints": frozenset()},
        {"years": frozenset()},
        {"since": date(2019, 8, 2), "until": date(2019, 8, 1)},
    ],
)
def test_a_scope_that_can_hold_nothing_is_refused(arguments):
    """An empty answer is never the quiet result of a contradiction."""
    with pytest.raises(BadScope):
        Scope(**arguments)


def test_a_date_that_is_not_known_to_the_day_is_counted_as_undated():
    """A window cannot tell whether such an annotation lies in it, and says so instead of guessing."""
    chosen = Scope(since=date(1990, 1, 1)).select(GALLERY)
    assert chosen.removed["undated"] == int(np.count_nonzero(GALLERY.day == UNDATED)) > 0
    assert chosen.removed["date"] == 0


def test_years_outside_the_window_are_a_contradiction():
    """A scope that can never hold an annotation is refused, not answered with an empty list."""
    with pytest.raises(BadScope, match="none of the years"):
        Scope(years=frozenset({2017}), since=date(2018, 1, 1))
    assert Scope(years=frozenset({2017, 2018}), since=date(2018, 6, 1), until=date(2018, 7, 1)).years


def test_rows_of_annotations():
    """Ids are found wherever they stand; unknown ones, also beyond both ends, are -1."""
    assert GALLERY.rows_of(column(50, 10, 5, 35, 99)).tolist() == [4, 0, -1, -1, -1]


def test_an_empty_gallery():
    """Before the first import nothing is found, and nothing fails."""
    assert len(EMPTY) == 0
    assert EMPTY.rows_of(column(1, 2)).tolist() == [-1, -1]
    assert Scope(since=date(2018, 1, 1), only=frozenset({1})).select(EMPTY).size == 0
