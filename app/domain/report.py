"""What the report of an evaluation says, before anybody draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.comparison import Difference
from app.domain.evaluation import Pins, ScenarioScore
from app.domain.open_set import OpenSet
from app.domain.slices import Slice


@dataclass(frozen=True, slots=True)
class Picture:
    """A small JPEG (None when the original could not be read) and what is known of the photograph."""

    jpeg: bytes | None
    image_id: str
    individual: str | None
    viewpoint: str
    year: int


@dataclass(frozen=True, slots=True)
class ShownCandidate:
    """One row of an answer: ``right`` when it shows the same animal, ``elsewhere`` when from another encounter."""

    picture: Picture
    score: float
    right: bool
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its first candidates; ``matches`` counts the right answers that there are.

    ``missed`` is a right answer that is not among the candidates, where there is none among them; ``first`` the rank
    of the first right answer in the whole list, None when it holds none.
    """

    title: str
    scenario: str
    query: Picture
    precision: float
    matches: int
    candidates: tuple[ShownCandidate, ...]
    missed: Picture | None
    first: int | None


@dataclass(frozen=True, slots=True)
class Truthful:
    """Distributions under one truth: average precisions in equal steps of [0, 1], shares of right answers by rank."""

    queries: int
    histogram: tuple[int, ...]
    perfect: float
    nothing: float
    match_curve: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the calibration in force said: (stated, came true) in bins with its expected error, and the meter.

    ``meter`` holds a kind of question and a sentence each.
    """

    fitted_on: str
    bins: tuple[tuple[float, float], ...]
    error: float | None
    meter: tuple[tuple[str, str], ...]

    @staticmethod
    def from_json(raw: Mapping[str, Any] | None) -> Calibration | None:
        """What ``asdict`` and JSON made of one, back."""
        if raw is None:
            return None
        pairs = {name: tuple((one, other) for one, other in raw[name]) for name in ("bins", "meter")}
        return Calibration(**dict(raw) | pairs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run against an earlier one, on the queries of both."""

    against: Pins
    right: tuple[Difference, ...]
    elsewhere: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page; a part that is None or empty is left out with a sentence."""

    pins: Pins
    scores: tuple[ScenarioScore, ...]
    right: Truthful | None
    elsewhere: Truthful | None
    open_sets: Mapping[str, OpenSet]
    slices: tuple[Slice, ...]
    examples: tuple[Example, ...]
    calibration: Calibration | None
    comparison: Comparison | None
    unfilled: Sequence[str]
    unanswered: int
    synthetic: bool

    @property
    def folds(self) -> bool:
        """Whether one answer may stand for several photographs, so that average precisions say little."""
        return folds(self.pins)

    @property
    def unlike(self) -> bool:
        """Whether only one of the two runs compared folds: their average precisions then count different lists."""
        return self.comparison is not None and folds(self.comparison.against) != self.folds


def folds(pins: Pins) -> bool:
    """Whether the profile of a run folds moments or meetings into one answer."""
    return not {"fold", "spread"}.isdisjoint(pins.settings)
