"""What became of queries, and figures over them."""

import pytest

from app.domain.outcomes import Answered, Outcome, elsewhere, histogram, match_curve, outcomes, right, summary
from app.domain.scenario import Prediction, Query, Scenario, by_query

SCENARIO = Scenario("s", (Query("a", "qa"), Query("b", "qb"), Query("c", "qc")), tuple("vwxyz"))
ROWS = [
    Prediction("a", "v", 0.2),
    Prediction("a", "x", 0.9),
    Prediction("b", "v", 0.8),
    Prediction("b", "y", 0.7),
    Prediction("c", "z", 0.5),
]
TRUTH = {"a": frozenset("x"), "b": frozenset("yz")}
FOUND = outcomes(SCENARIO, by_query(ROWS), TRUTH, {"a": frozenset("x")})


def test_each_query_has_its_outcome():
    """The best score, and under each truth the matches, the precision and the rank of the first right row."""
    assert [
        Outcome("s", "a", "qa", 0.9, Answered(1, 1.0, 1), Answered(1, 1.0, 1)),
        Outcome("s", "b", "qb", 0.8, Answered(2, 0.25, 2), None),
        Outcome("s", "c", "qc", 0.5, None, None),
    ] == FOUND


def test_a_query_without_rows_has_no_best_score():
    """It counts as zero where there is a match."""
    (only,) = outcomes(Scenario("s", (Query("a", "qa"),), ("x",)), {}, TRUTH, {})
    assert (only.best, only.right) == (None, Answered(1, 0.0, None))


def test_the_summary_is_over_the_queries_with_a_match():
    """Scenarios weigh by their queries (micro-average), the first row is the one with the best score."""
    mine = summary([*FOUND, *outcomes(SCENARIO, {}, {"c": frozenset("x")}, {})], right, {})
    assert (mine.queries, mine.map20) == (3, pytest.approx((1.0 + 0.25 + 0.0) / 3))
    assert (mine.top1, mine.top20) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (mine.top5, mine.top10) == (mine.top20, mine.top20)
    assert mine.intervals["map20"].low <= mine.map20 <= mine.intervals["map20"].high
    assert summary(FOUND[2:], right, {}) is None


def test_one_animal_has_no_interval():
    """Both queries show the same one: there is nothing to resample."""
    assert summary(FOUND, right, {"qa": "whale", "qb": "whale"}).intervals["map20"] is None


def test_no_match_is_no_figure():
    """None, not a zero."""
    assert summary(FOUND[2:], right, {}) is None
    assert match_curve(FOUND[2:], elsewhere) == []
    assert histogram(FOUND[2:], right, 4) == [0, 0, 0, 0]


def test_distributions_count_every_query():
    """The last step of the histogram holds a precision of 1; the curve grows with the depth."""
    assert histogram(FOUND, right, 4) == [0, 1, 0, 1]
    assert match_curve(FOUND, right, 3) == pytest.approx([0.5, 1.0, 1.0])
