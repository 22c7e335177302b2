"""An evaluation as a document."""

import pytest

from app.domain.catalogue import Box, Viewpoint
from app.domain.errors import BadScenario
from app.domain.evaluation import Evaluation, Pinned, Pins
from app.domain.outcomes import Answered, Outcome
from app.domain.slices import Facts

PINS = Pins(3, "grids", "1", "ab", {"body": "f1"}, "contest", {"expand": {"images": 2}}, "cd", "0.1.0")
EVALUATION = Evaluation(
    PINS,
    {"s": 7, "t": 9},
    (
        Outcome("s", "s-1", "ï1", 0.1 + 0.2, Answered(2, 1 / 3, 2), None),
        Outcome("t", "t-1", "i2", None, None, None),
    ),
    {"ï1": "Bébé"},
)


def test_an_evaluation_survives_its_document():
    """Every digit, every name, and figures that follow from it."""
    text = EVALUATION.to_json({"slices": []})
    assert Evaluation.from_json(text) == EVALUATION
    assert text == EVALUATION.to_json({"slices": []})
    assert [(one.name, one.queries, one.gallery) for one in EVALUATION.scores()] == [
        ("s", 1, 7),
        ("t", 1, 9),
        ("pooled", 2, 9),
    ]
    assert EVALUATION.scores()[1].score is None


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 2}', b"\xff"])
def test_anything_else_is_refused(text):
    """A run of another form, or none at all, is told and never half read."""
    with pytest.raises(BadScenario):
        Evaluation.from_json(text)


@pytest.mark.parametrize("box", [None, Box(1, 2, 3, 4)])
def test_pinned_facts_survive_json(box):
    """With and without a box."""
    from dataclasses import asdict

    pinned = Pinned(3, Facts(Viewpoint.LEFT, 2019, 400, "w", None), "ab", box)
    assert Pinned.from_json(asdict(pinned)) == pinned
