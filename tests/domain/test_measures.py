"""Measures of a ranking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from app.domain.measures import average_precision, average_precision_at_20
from app.domain.scenario import MAX_ROWS, Prediction

ranked = st.lists(st.tuples(st.integers(0, 8).map(lambda tenth: tenth / 8), st.booleans()), min_size=1, max_size=20)


def rows(query: str, images: str, scores: list[float] | None = None) -> list[Prediction]:
    values = scores or [1 - 0.01 * place for place in range(len(images))]
    return [Prediction(query, image, value) for image, value in zip(images, values, strict=True)]


@given(ranked.filter(lambda pairs: any(right for _, right in pairs)))
def test_average_precision_is_scikit_learns(pairs):
    """The contest's scorer calls scikit-learn; ties, which share one threshold there, included."""
    scores, right = zip(*pairs, strict=True)
    assert average_precision(scores, right) == pytest.approx(average_precision_score(right, scores), abs=1e-12)


@given(ranked)
def test_average_precision_does_not_depend_on_the_order_of_rows(pairs):
    """Only scores rank: a file sorted otherwise has the same score."""
    scores, right = zip(*pairs, strict=True)
    turned = average_precision(scores[::-1], right[::-1])
    assert turned == pytest.approx(average_precision(scores, right), abs=1e-12)
    assert 0.0 <= turned <= 1.0


def test_no_right_row_is_zero():
    """A ranking without a hit has no precision anywhere."""
    assert average_precision([0.9, 0.8], [False, False]) == 0.0


@pytest.mark.parametrize(
    ("images", "matches", "value"),
    [
        ("abc", "a", 1.0),
        ("xa", "a", 1 / 2),
        ("ab", "abcd", 1.0 * 2 / 4),
        ("xab", "ab", (1 / 2 + 2 / 3) / 2),
        ("xyz", "a", 0.0),
        ("", "a", 0.0),
    ],
)
def test_average_precision_at_20_counts_what_was_not_returned(images, matches, value):
    """Precision over the rows returned, times the share of the matches that they hold."""
    assert average_precision_at_20(rows("q", images), frozenset(matches)) == pytest.approx(value)


def test_more_than_twenty_matches_ask_for_twenty():
    """A whale with 30 photographs can be answered fully with 20 rows."""
    names = [chr(0x4E00 + number) for number in range(30)]
    found = rows("q", "".join(names[:MAX_ROWS]))
    assert average_precision_at_20(found, frozenset(names)) == pytest.approx(1.0)


def test_a_query_without_a_match_has_no_precision():
    """It is left out of the mean, not counted as zero or as one."""
    with pytest.raises(ValueError, match="without a match"):
        average_precision_at_20([], frozenset())


def test_scores_of_single_precision_are_compared_as_they_are():
    """Arrays of float32 rank as their values do, without rounding two into one."""
    close = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    assert average_precision(close, [False, True]) == 1.0
