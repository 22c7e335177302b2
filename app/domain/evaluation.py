"""An evaluation: what it was pinned to, what became of every query, and the figures that follow from that."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.catalogue import Box, Viewpoint
from app.domain.comparison import POOLED
from app.domain.errors import BadScenario
from app.domain.intervals import Interval
from app.domain.outcomes import Answered, Outcome, Summary, elsewhere, right, summary
from app.domain.scenario import ScenarioPack
from app.domain.slices import Facts

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Pins:
    """Everything that decides an evaluation's figures: the same pins, the same files, byte for byte.

    ``spaces`` gives each space's fingerprint, ``settings`` those of each stage of the ranking ``profile``;
    ``pack_sha256`` is that of the scenarios with their truths, ``calibration`` says what the report's
    probabilities were fitted on (empty: none), ``release`` is the version of the program.
    """

    catalogue_version: int
    ensemble: str
    ensemble_version: str
    manifest_sha256: str
    spaces: Mapping[str, str]
    profile: str
    settings: Mapping[str, Any]
    pack_sha256: str
    release: str
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A photograph of the pack as the catalogue had it: facts for slices, and where its picture lies."""

    annotation_id: int
    facts: Facts
    sha256: str
    box: Box | None

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Pinned:
        """What ``asdict`` and JSON made of one, back."""
        facts, box = dict(raw["facts"]), raw["box"]
        facts["viewpoint"] = Viewpoint(facts["viewpoint"])
        return Pinned(raw["annotation_id"], Facts(**facts), raw["sha256"], Box(**box) if box else None)


@dataclass(frozen=True, slots=True)
class ScenarioScore:
    """What one scenario, or all pooled, reached; a score is None when the truth that it needs was not given."""

    name: str
    queries: int
    gallery: int
    score: Summary | None
    other_encounter: Summary | None

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> ScenarioScore:
        """What ``asdict`` and JSON made of one, back."""
        sides = {name: _summary(raw[name]) for name in ("score", "other_encounter")}
        return ScenarioScore(raw["name"], raw["queries"], raw["gallery"], **sides)


@dataclass(frozen=True, slots=True)
class Digest:
    """What a list tells of an evaluation: its pins and its scores, without the queries."""

    pins: Pins
    scores: tuple[ScenarioScore, ...]

    def to_json(self) -> bytes:
        """As it is kept beside the documents."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @staticmethod
    def from_json(text: bytes) -> Digest:
        """What ``to_json`` wrote; raises BadScenario for anything else."""
        with readable("the summary of an evaluation"):
            raw = json.loads(text)
            return Digest(Pins(**raw["pins"]), tuple(map(ScenarioScore.from_json, raw["scores"])))


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Raise BadScenario naming what was to be read, where a file does not hold what it should."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadScenario(f"{what} cannot be read: {type(error).__name__} {error}") from error


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What became of every query of a pack; ``individuals`` names the animal of each query's photograph where known."""

    pins: Pins
    galleries: Mapping[str, int]
    outcomes: tuple[Outcome, ...]
    individuals: Mapping[str, str]

    @property
    def groups(self) -> Mapping[str, Hashable]:
        """The animal of each photograph, drawn as one for intervals."""
        return self.individuals

    @property
    def unanswered(self) -> int:
        """How many queries had nothing that they could be compared with; each counts as one without a right answer."""
        return sum(one.best is None for one in self.outcomes)

    def scores(self) -> list[ScenarioScore]:
        """Each scenario in the pack's order, then all pooled."""
        return scenario_scores(self.galleries, self.outcomes, self.groups)

    def digest(self) -> Digest:
        """What a list tells of it."""
        return Digest(self.pins, tuple(self.scores()))

    def to_json(self, extra: Mapping[str, Any]) -> bytes:
        """The document scores.json: pins, figures, ``extra`` (plain values), and one row for each query."""
        document = {"format": FORMAT, "pins": asdict(self.pins)}
        document["scenarios"] = [asdict(score) for score in self.scores()]
        document |= extra
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        rows = ",\n  ".join(json.dumps(self._row(one), ensure_ascii=False) for one in self.outcomes)
        return f'{text[:-2]},\n "queries": [\n  {rows}\n ]\n}}\n'.encode()

    def _row(self, one: Outcome) -> list[Any]:
        sides = [list(asdict(side).values()) if side else None for side in (one.right, one.elsewhere)]
        individual = self.individuals.get(one.image_id)
        return [one.scenario_id, one.query_id, one.image_id, individual, one.best, *sides]

    @staticmethod
    def from_json(text: bytes) -> Evaluation:
        """An evaluation from its scores.json; raises BadScenario for anything else."""
        with readable("scores of an evaluation"):
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise BadScenario(f"scores of the form {raw['format']!r} cannot be read by this version")
            found = tuple(_outcome(row) for row in raw["queries"])
            galleries = {row["name"]: row["gallery"] for row in raw["scenarios"] if row["name"] != POOLED}
            named = {row[2]: row[3] for row in raw["queries"] if row[3] is not None}
            return Evaluation(Pins(**raw["pins"]), galleries, found, named)


def scenario_scores(
    galleries: Mapping[str, int], found: Sequence[Outcome], groups: Mapping[str, Hashable]
) -> list[ScenarioScore]:
    """Each scenario in the order of ``galleries`` (their sizes by scenario id), then all pooled."""
    parts = {name: [one for one in found if one.scenario_id == name] for name in galleries}
    scores = [_score(name, galleries[name], part, groups) for name, part in parts.items()]
    return [*scores, _score(POOLED, max(galleries.values()), found, groups)]


def gallery_sizes(pack: ScenarioPack) -> dict[str, int]:
    """How many photographs each scenario's database lists."""
    return {scenario.scenario_id: len(scenario.gallery) for scenario in pack.scenarios}


def _score(name: str, gallery: int, found: Sequence[Outcome], groups: Mapping[str, Hashable]) -> ScenarioScore:
    both = summary(found, right, groups), summary(found, elsewhere, groups)
    return ScenarioScore(name, len(found), gallery, *both)


def _summary(raw: Mapping[str, Any] | None) -> Summary | None:
    if raw is None:
        return None
    intervals = {name: Interval(**one) if one else None for name, one in raw["intervals"].items()}
    return Summary(**dict(raw) | {"intervals": intervals})


def _outcome(row: Sequence[Any]) -> Outcome:
    scenario_id, query_id, image_id, _, best, *sides = row
    answered = [None if side is None else Answered(*side) for side in sides]
    return Outcome(scenario_id, query_id, image_id, best, *answered)
