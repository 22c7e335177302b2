"""The finalists' averages by scenario."""

import pytest

from app.domain.published import finalists


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        ("scenario01", "0.45"),
        ("scenario9", "0.22"),
        ("scenario11", ""),
        ("pooled", "0.492"),
        ("new_individuals", "0.50"),
        ("within_2018", "0.50 to 0.68"),
        ("2019_against_2017", "0.57 to 0.62"),
        ("lateral_against_top", "0.22"),
        ("across_encounters", ""),
        ("ours", ""),
    ],
)
def test_a_scenario_stands_beside_its_like(scenario, text):
    """By the contest's number or by the name of a built kind; nothing for what the contest did not ask."""
    assert finalists(scenario) == text
