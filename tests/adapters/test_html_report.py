"""The report as one file of HTML."""

import re
from dataclasses import replace

import pytest

from app.adapters import html_report
from app.adapters.html_report import HtmlReports
from app.domain.comparison import Difference
from app.domain.evaluation import Pins, ScenarioScore
from app.domain.intervals import Interval
from app.domain.open_set import open_set
from app.domain.outcomes import Summary
from app.domain.report import Calibration, Comparison, Example, Picture, Report, ShownCandidate, Truthful
from app.domain.slices import Slice

PINS = Pins(
    3, "grids", "1", "ab" * 32, {"body": "f1"}, "contest", {"expand": {"images": 2}}, "cd" * 32, "0.1.0", "June"
)
SUMMARY = Summary(9, 0.25, 0.5, 0.6, 0.7, 1.0, {"map20": Interval(0.2, 0.3)})
TRUTHFUL = Truthful(9, tuple(range(20)), 0.1, 0.2, tuple(n / 20 for n in range(1, 21)))
WHALE = Picture(b"\xff\xd8jpeg", "i1", "<b>whale</b>", "top", 2019)
STRANGER = Picture(None, "i2", None, "left", 0)
EMPTY = Report(PINS, (ScenarioScore("pooled", 9, 12, None, None),), None, None, {}, (), (), None, None, (), 0, False)
FULL = Report(
    pins=PINS,
    scores=(
        ScenarioScore("scenario01", 9, 12, SUMMARY, None),
        ScenarioScore("within_2019", 9, 12, None, None),
        ScenarioScore("pooled", 9, 12, SUMMARY, SUMMARY),
    ),
    right=TRUTHFUL,
    elsewhere=TRUTHFUL,
    open_sets={"new_versus_known": open_set([0.6, 0.9], [0.5, 0.7])},
    slices=(Slice("year gap", "same year", SUMMARY), Slice("year gap", "1 year", SUMMARY)),
    examples=(
        Example("best", "s", WHALE, 1.0, 1, (ShownCandidate(WHALE, 0.9, right=True, elsewhere=True),), None, 1),
        Example(
            "worst", "s", STRANGER, 0.0, 2, (ShownCandidate(STRANGER, 0.8, right=False, elsewhere=False),), WHALE, 13
        ),
    ),
    calibration=Calibration("June", ((0.1, 0.2), (0.9, 0.8)), 0.05, (("same view", "Look at 9."),)),
    comparison=Comparison(PINS, (Difference("pooled", 9, -0.1, Interval(-0.2, -0.05), 1, 5),), ()),
    unfilled=("lateral_against_top: no individual",),
    unanswered=2,
    synthetic=True,
)


def page(report: Report) -> str:
    return HtmlReports().render(report).decode()


def test_a_report_needs_nothing_beside_itself():
    """No script, no link to anywhere, no style or picture of another file; every id once."""
    text = page(FULL)
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "@import" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_same_report_gives_the_same_bytes():
    """Neither a date nor a random id is in it."""
    assert HtmlReports().render(FULL) == HtmlReports().render(FULL)


def test_names_are_escaped():
    """A sheet may call a whale anything."""
    assert "<b>whale</b>" not in page(FULL)
    assert "&lt;b&gt;whale&lt;/b&gt;" in page(FULL)


def test_everything_that_was_measured_is_told():
    """Scores beside the finalists, curves, open set, calibration, slices, examples, the loss, and pins."""
    text = page(FULL)
    for words in (
        "0.200 to 0.300",
        "0.45",
        "0.50 to 0.68",
        "new_versus_known",
        "Look at 9.",
        "same year",
        "Worst queries",
        "at rank 13",
        "This run loses",
        "−0.100",
        "lateral_against_top: no individual",
        "synthetic",
        PINS.pack_sha256,
        "June",
    ):
        assert words in text, words
    assert text.count("<svg") == 4


def test_a_list_that_folds_is_not_said_to_lose_against_one_that_does_not():
    """Average precision counts each photograph, so that it tells nothing of such two."""
    folding = replace(PINS, settings={"fold": {}, "spread": {}})
    text = page(replace(FULL, pins=folding))
    assert "say nothing of what a reader finds" in text
    assert "This run loses" not in text
    alike = replace(FULL.comparison, against=replace(FULL.comparison.against, settings=folding.settings))
    assert "This run loses" in page(replace(FULL, pins=folding, comparison=alike))


def test_what_was_not_measured_is_left_out_with_a_sentence():
    """A pack without truth, without a calibration and without new animals."""
    text = page(EMPTY)
    assert "it was answered, not scored" in text
    assert "No scenario of this pack asks about animals that are not in its gallery" in text
    assert "No calibration is in force" in text
    assert "<svg" not in text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "share no query"),
        ((Difference("pooled", 9, 0.1, Interval(0.05, 0.2), 5, 1),), "This run wins"),
        ((Difference("pooled", 9, 0.1, None, 5, 1),), "No difference that the number of animals could show"),
    ],
)
def test_a_comparison_is_put_into_words(rows, words):
    """Winning, losing, or not to be told."""
    assert words in page(replace(FULL, comparison=Comparison(PINS, rows, rows)))


def test_pictures_are_left_out_when_the_file_would_grow_too_large(monkeypatch):
    """The figures stay."""
    monkeypatch.setattr(html_report, "MAX_PICTURES", 10)
    assert page(FULL).count("data:image/jpeg") == 1


def test_a_profile_that_folds_is_read_by_ranks():
    """Where one answer stands for several photographs the finalists are no measure, and ranks lead."""
    text = page(replace(FULL, pins=replace(PINS, settings={"spread": {}})))
    assert "inalists" not in text
    assert text.index("right among 20") < text.index("mAP@20<small>")
    assert "first right answer at rank 13" in text
    assert "inalists" in page(FULL)
    lost = replace(FULL, examples=tuple(replace(one, first=None) for one in FULL.examples))
    assert "missed: not among 20" in page(lost)
    assert "no right answer among 20" in page(replace(lost, pins=replace(PINS, settings={"fold": {}})))
