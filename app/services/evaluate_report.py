"""What the report of an evaluation says: distributions, slices, open set, and queries to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from app.domain.calibration_record import Calibrated
from app.domain.comparison import differences
from app.domain.evaluation import Evaluation, Pinned
from app.domain.meter import YearGap
from app.domain.open_set import OpenSet, open_set
from app.domain.outcomes import Answered, Outcome, Side, elsewhere, histogram, match_curve, right
from app.domain.report import Calibration, Comparison, Example, Picture, Report, ShownCandidate, Truthful, folds
from app.domain.scenario import Prediction, ScenarioPack
from app.domain.scenario_kinds import known_and_new
from app.domain.slices import Known, Slice, slices
from app.domain.survey import SYNTHETIC
from app.domain.trials import Listed, ViewPair

_SHOWN = 3
_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """What scores.json holds beside the scores of scenarios, and the report draws."""

    right: Truthful | None
    elsewhere: Truthful | None
    open_sets: Mapping[str, OpenSet]
    slices: tuple[Slice, ...]
    comparison: Comparison | None

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Album:
    """Where the pictures of a report come from: ``thumbnail`` gives a small JPEG, or None."""

    pack: ScenarioPack
    rows: Mapping[str, Sequence[Prediction]]
    photographs: Mapping[str, Pinned]
    thumbnail: Callable[[str], bytes | None]

    def picture(self, image_id: str) -> Picture:
        """A photograph with what is known of it."""
        facts = self.photographs[image_id].facts
        return Picture(self.thumbnail(image_id), image_id, facts.individual, facts.viewpoint.value, facts.year)


def figures(
    pack: ScenarioPack, evaluation: Evaluation, photographs: Mapping[str, Pinned], against: Evaluation | None
) -> Figures:
    """Everything that follows from the outcomes of an evaluation, and from an earlier one to compare with."""
    found = evaluation.outcomes
    facts = {name: one.facts for name, one in photographs.items()}
    groups = {name: one.individual for name, one in facts.items() if one.individual is not None}
    return Figures(
        right=_truthful(found, right),
        elsewhere=_truthful(found, elsewhere),
        open_sets=dict(_open_sets(pack, found)),
        slices=tuple(slices(found, right, Known(facts, pack.truth, groups))),
        comparison=_comparison(evaluation, against) if against else None,
    )


def report(
    parts: Figures,
    evaluation: Evaluation,
    album: Album,
    unfilled: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> Report:
    """The report of an evaluation."""
    return Report(
        pins=evaluation.pins,
        scores=tuple(evaluation.scores()),
        right=parts.right,
        elsewhere=parts.elsewhere,
        open_sets=parts.open_sets,
        slices=parts.slices,
        examples=tuple(_examples(evaluation.outcomes, album, by_rank=folds(evaluation.pins))),
        calibration=calibration,
        comparison=parts.comparison,
        unfilled=unfilled,
        unanswered=evaluation.unanswered,
        synthetic=any(name.startswith(SYNTHETIC) for name in album.photographs),
    )


def shown(calibrated: Calibrated | None) -> Calibration | None:
    """What a report shows of a calibration: how honest P(same) is, and how deep to look by kind of question."""
    if calibrated is None:
        return None
    same = [one for one in calibrated.judged if (one.kind, one.listed) == (ViewPair.ANY, Listed.ANNOTATION)]
    meter: dict[tuple[str, float], str] = {}
    for figure in calibrated.meter:
        if (figure.listed, figure.gap) == (Listed.INDIVIDUAL, YearGap.ANY):
            # The first one is of the whole gallery; those of parts of it follow.
            meter.setdefault((figure.kind.value.replace("_", " "), figure.missed), figure.sentence)
    return Calibration(
        fitted_on=f"{calibrated.fitted_on}, {calibrated.made:%Y-%m-%d %H:%M}",
        bins=tuple((part.stated, part.true) for one in same for part in one.reliability.bins),
        error=same[0].reliability.error if same else None,
        meter=tuple((kind, sentence) for (kind, _), sentence in meter.items()),
    )


def _truthful(found: Sequence[Outcome], side: Side) -> Truthful | None:
    values = [answered.precision for one in found if (answered := side(one))]
    if not values:
        return None
    return Truthful(
        queries=len(values),
        histogram=tuple(histogram(found, side)),
        perfect=sum(value > 1 - 1e-9 for value in values) / len(values),
        nothing=sum(value == 0 for value in values) / len(values),
        match_curve=tuple(match_curve(found, side)),
    )


def _open_sets(pack: ScenarioPack, found: Sequence[Outcome]) -> Iterator[tuple[str, OpenSet]]:
    """For each scenario that holds both: how well the best score tells known animals from new ones."""
    best = {one.query_id: one.best for one in found}
    for scenario in pack.scenarios if pack.truth else ():
        known, new = ([best[one] or 0.0 for one in ids] for ids in known_and_new(scenario, pack.truth))
        if overlap := open_set(known, new):
            yield scenario.scenario_id, overlap


def _comparison(mine: Evaluation, theirs: Evaluation) -> Comparison:
    both = (tuple(differences(mine.outcomes, theirs.outcomes, side, mine.groups)) for side in (right, elsewhere))
    return Comparison(theirs.pins, *both)


def _examples(found: Sequence[Outcome], album: Album, *, by_rank: bool) -> Iterator[Example]:
    """The best, the median and the worst queries, each time of several animals, by precision or by the first rank."""
    counted = [(one, one.right) for one in found if one.right]

    def goodness(answered: Answered) -> float:
        if by_rank:
            return -float(answered.first or inf)
        return answered.precision

    ranked = sorted(counted, key=lambda pair: (goodness(pair[1]), -pair[1].matches, pair[0].query_id))
    near = ranked[len(ranked) // 2 :]
    # Best first: many matches, all of them found, say more than one that happened to be near.
    best = sorted(counted, key=lambda pair: (-goodness(pair[1]), -pair[1].matches, pair[0].query_id))
    shown: set[str | None] = set()
    for title, choice in (("best", best), ("median", near), ("worst", ranked)):
        for one in _of_several(choice, album, shown):
            yield _example(title, one, album)


def _of_several(ranked: Sequence[tuple[Outcome, Any]], album: Album, shown: set[str | None]) -> Iterator[Outcome]:
    """The first few of a list, no animal twice."""
    count = 0
    for one, _ in ranked:
        individual = album.photographs[one.image_id].facts.individual or one.image_id
        if individual not in shown and count < _SHOWN:
            shown.add(individual)
            count += 1
            yield one


def _example(title: str, one: Outcome, album: Album) -> Example:
    matches = album.pack.truth[one.query_id]
    others = (album.pack.other_encounter or {}).get(one.query_id, frozenset())
    listed = sorted(album.rows.get(one.query_id, ()), key=lambda row: -row.score)
    rows = listed[:_CANDIDATES]
    seen = [
        ShownCandidate(album.picture(r.image_id), r.score, r.image_id in matches, r.image_id in others) for r in rows
    ]
    first = next((place for place, row in enumerate(listed, start=1) if row.image_id in matches), None)
    deeper = listed[first - 1].image_id if first else min(matches)
    missed = None if any(row.right for row in seen) else album.picture(deeper)
    precision = one.right.precision if one.right else 0.0
    return Example(
        title, one.scenario_id, album.picture(one.image_id), precision, len(matches), tuple(seen), missed, first
    )
