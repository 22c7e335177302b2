"""Paired differences of two runs."""

from dataclasses import replace

from app.domain.comparison import differences
from app.domain.outcomes import Answered, Outcome, right


def run(shift: float, *, scenario: str = "s", start: int = 0) -> list[Outcome]:
    """Twenty queries of as many animals, each better by ``shift`` than without."""
    return [
        Outcome(scenario, f"{scenario}{n}", f"i{n}", 0.5, Answered(1, 0.3 + n / 100 + shift, 1), None)
        for n in range(start, start + 20)
    ]


def test_a_run_that_is_worse_everywhere_loses():
    """By scenario and pooled, with the queries that changed."""
    found = differences(run(-0.1) + run(-0.2, scenario="t"), run(0) + run(0, scenario="t"), right, {})
    assert [(one.name, one.queries, one.better, one.worse) for one in found] == [
        ("s", 20, 0, 20),
        ("t", 20, 0, 20),
        ("pooled", 40, 0, 40),
    ]
    assert [round(one.mean, 6) for one in found] == [-0.1, -0.2, -0.15]
    assert all(one.loses for one in found)


def test_a_difference_that_may_be_chance_does_not_lose():
    """The interval reaches over zero."""
    mixed = run(-0.1)[:10] + run(0.1)[10:]
    assert not differences(mixed, run(0), right, {})[-1].loses


def test_one_animal_cannot_lose():
    """Without an interval nothing is known."""
    groups = {f"i{n}": "whale" for n in range(20)}
    (scenario, _) = differences(run(-0.1), run(0), right, groups)
    assert (scenario.interval, scenario.loses) == (None, False)


def test_only_what_was_asked_alike_is_compared():
    """The same name for another photograph, or with other matches to find, is another question."""
    other = [replace(one, image_id="another") for one in run(0)[:10]]
    grown = [replace(one, right=replace(one.right, matches=2)) for one in run(0)[10:15]]
    assert differences(run(0), [*other, *grown, *run(0)[15:]], right, {})[-1].queries == 5


def test_only_queries_of_both_runs_are_compared():
    """Others are passed over; no common query is no difference."""
    assert differences(run(0), run(0, start=15), right, {})[-1].queries == 5
    assert differences(run(0), run(0, start=50), right, {}) == []
    assert differences([Outcome("s", "s0", "i0", None, None, None)], run(0), right, {}) == []
