"""Scenarios, truths and predictions."""

from dataclasses import replace

import pytest

from app.domain.errors import BadScenario
from app.domain.scenario import (
    MAX_ROWS,
    Prediction,
    Query,
    Scenario,
    ScenarioPack,
    by_query,
    check_pack,
    check_predictions,
)

SCENARIO = Scenario("s1", (Query("s1-a", "a"), Query("s1-b", "b")), ("a", *"cdefghijklmnopqrstuvwxyz"))
OTHER = Scenario("s2", (Query("s2-a", "a"),), ("b",))
PACK = ScenarioPack((SCENARIO, OTHER), {"s1-a": frozenset("cd")}, {"s1-a": frozenset("d")})
ROWS = [Prediction("s1-a", "c", 1.0), Prediction("s1-a", "d", 0.0), Prediction("s1-b", "a", 0.5)]


def test_a_sound_pack_and_its_predictions_pass():
    """Both ends of the score's range, and a database that holds one query's photograph for another, are allowed."""
    check_pack(PACK)
    check_predictions(SCENARIO, ROWS)


def test_a_pack_without_other_encounters_passes():
    """The second truth is optional."""
    check_pack(replace(PACK, other_encounter=None))


@pytest.mark.parametrize(
    ("pack", "reason"),
    [
        (ScenarioPack(()), "no scenario"),
        (ScenarioPack((SCENARIO, SCENARIO)), "scenario 's1' appears more than once"),
        (ScenarioPack((SCENARIO, replace(SCENARIO, scenario_id="s3"))), "query 's1-a' appears more than once"),
        (ScenarioPack((replace(OTHER, queries=()),)), "no queries"),
        (ScenarioPack((replace(OTHER, gallery=()),)), "no database"),
        (ScenarioPack((replace(OTHER, gallery=("b", "b")),)), "s2 database image 'b' appears more than once"),
        (replace(PACK, truth={"s9-a": frozenset("c")}), "names the query 's9-a'"),
        (replace(PACK, truth={"s2-a": frozenset("c")}), "'c', which is not in its database"),
        (replace(PACK, other_encounter={"s2-a": frozenset("c")}), "'c', which is not in its database"),
    ],
)
def test_a_faulty_pack_is_refused(pack, reason):
    """A pack that contradicts itself is named before anything is ranked."""
    with pytest.raises(BadScenario, match=reason):
        check_pack(pack)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([*ROWS, Prediction("s2-a", "c", 0.5)], "unknown query 's2-a'"),
        ([*ROWS, Prediction("s1-a", "a", 0.5)], "self match"),
        ([*ROWS, Prediction("s1-a", "b", 0.5)], "unknown image 'b'"),
        ([*ROWS, Prediction("s1-a", "e", 1.000001)], "outside"),
        ([*ROWS, Prediction("s1-a", "e", -0.1)], "outside"),
        ([*ROWS, Prediction("s1-a", "e", float("nan"))], "outside"),
        ([*ROWS, Prediction("s1-a", "c", 0.9)], "duplicate row: 's1-a', 'c'"),
        (ROWS[:2], r"missing query: 's1-b' has no rows \(1 such\)"),
        ([], r"missing query: 's1-a' has no rows \(2 such\)"),
    ],
)
def test_faulty_predictions_are_refused(rows, reason):
    """What the published script would score all the same is named instead."""
    with pytest.raises(BadScenario, match=reason):
        check_predictions(SCENARIO, rows)


def test_twenty_rows_pass_and_one_more_does_not():
    """The contest takes at most 20 rows a query."""
    rows = [Prediction("s1-b", image, 0.5) for image in SCENARIO.gallery[1:]]
    check_predictions(SCENARIO, [ROWS[0], *rows[:MAX_ROWS]])
    with pytest.raises(BadScenario, match="21 rows for 's1-b'"):
        check_predictions(SCENARIO, [ROWS[0], *rows[: MAX_ROWS + 1]])


def test_rows_are_gathered_in_their_order():
    """Gathering by query keeps each query's rows as they came."""
    assert by_query([ROWS[1], ROWS[2], ROWS[0]]) == {"s1-a": [ROWS[1], ROWS[0]], "s1-b": [ROWS[2]]}
