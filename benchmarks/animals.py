"""Ranking by individual, several photographs as one query, local features: tables of benchmarks.ranking."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from app.domain.marks import fit_logistic, verified
from app.domain.occasions import day_of
from app.domain.partition import VIEWPOINTS, Int64, Mask
from app.domain.profiles import COSINE, REVIEW, VERIFIED, Profile, Verify
from app.domain.ranking import Answers
from app.domain.rerank import mean_direction
from app.domain.scenario import Scenario
from app.services.match import Match
from app.services.rank import Questions, listed_together
from benchmarks.pages import table
from benchmarks.stored import Stored

SAMPLE = 110
FIRST = (1, 5, 10, 20)


def asked(stored: Stored, scenarios: Sequence[Scenario], most: int | None = SAMPLE) -> Iterator[tuple[int, Mask, Mask]]:
    """At most ``most`` queries of each scenario: the row, its gallery, and that without the query's encounter."""
    columns = stored.snapshot.gallery
    for scenario in scenarios:
        mask = np.isin(columns.annotation, [stored.ids[name] for name in scenario.gallery])
        numbers = np.array([stored.ids[query.image_id] for query in scenario.queries], np.int64)
        rows = np.random.default_rng(1).permutation(columns.rows_of(numbers))[:most]
        for row in rows.tolist():
            kept = mask & (columns.image != columns.image[row])
            yield row, kept, kept & (columns.encounter != columns.encounter[row])


def answers(stored: Stored, rows: Sequence[int], mask: Mask, profile: Profile, k: int = 20) -> Answers:
    """What the photographs of these gallery rows find together."""
    columns, spaces = stored.snapshot.gallery, stored.ensemble.spaces
    questions = []
    for side in dict.fromkeys(columns.viewpoint[list(rows)].tolist()):
        viewpoint = VIEWPOINTS[side]
        same = columns.annotation[[row for row in rows if columns.viewpoint[row] == side]]
        vectors = {
            space.name: mean_direction(stored.snapshot.vectors(space.name, same))
            for space in spaces
            if viewpoint in space.viewpoints
        }
        day = day_of(columns.day[columns.rows_of(same)].tolist())
        questions.append(Questions(viewpoint, vectors, day=np.array([day])))
    return listed_together(stored.snapshot, stored.ensemble, questions, mask, k, profile)


def by_individual(stored: Stored, scenarios: Sequence[Scenario]) -> str:
    """Each animal by its best annotation or the mean of its best ones: where the right one stands."""
    columns = stored.snapshot.gallery
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row, *masks in asked(stored, scenarios):
        for truth, mask in zip(("any", "other"), masks, strict=True):
            if not (mask & (columns.individual == columns.individual[row])).any():
                continue
            found = answers(stored, [row], mask, COSINE, k=int(mask.sum()))
            owners = columns.individual[columns.rows_of(found.annotations)]
            for best in (1, 2, 3, 5):
                scores = {one: found.likeness[owners == one][:best].mean() for one in np.unique(owners).tolist()}
                right = scores[int(columns.individual[row])]
                places[truth, best].append(sum(score > right for score in scores.values()))
    return _shares("mean of the best", places)


def together(stored: Stored, scenarios: Sequence[Scenario]) -> str:
    """Photographs of one encounter and view as one query, against one of them, in the profile for reviewers."""
    columns = stored.snapshot.gallery
    groups: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for row, *_ in asked(stored, scenarios, None):
        key = (columns.individual[row], columns.encounter[row], columns.viewpoint[row])
        groups[tuple(int(part) for part in key)].add(row)
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (individual, encounter, _), rows in sorted(groups.items()):
        for size in (2, 3, 4):
            chosen = sorted(rows)[:size]
            for truth, left_out in (
                ("any", np.zeros(len(columns), np.bool_)),
                ("other", columns.encounter == encounter),
            ):
                mask = ~np.isin(columns.image, columns.image[chosen]) & ~left_out
                if len(chosen) == size and (mask & (columns.individual == individual)).any():
                    for count in (1, size):
                        place = _place(stored, answers(stored, chosen[:count], mask, REVIEW), individual)
                        places[f"{truth}, {count} of {size}", size].append(place)
    return _shares("photographs", places)


def marks(stored: Stored, scenarios: Sequence[Scenario], match: Match) -> str:
    """Local features over the shortlist of the profile for reviewers, with each share and the fit of both curves."""
    columns, stage = stored.snapshot.gallery, VERIFIED.stage(Verify) or Verify()
    places: dict[tuple[str, float], list[int]] = defaultdict(list)
    likeness, counts, same, spent = [], [], [], []
    for row, *masks in asked(stored, scenarios):
        individual = int(columns.individual[row])
        for truth, mask in zip(("any", "other"), masks, strict=True):
            if not (mask & (columns.individual == individual)).any():
                continue
            found = answers(stored, [row], mask, REVIEW)
            first = found.first(stage.shortlist).annotations
            known = match.catalogue.annotations([int(columns.annotation[row]), *first.tolist()])
            query, shown = known[int(columns.annotation[row])], [known[one] for one in first.tolist()]
            for one in shown:
                match.vet.marks(one)
            started = time.thread_time()
            agreeing = match.vet([], [query], shown)
            spent.append(time.thread_time() - started)
            likeness.append(found.likeness[: len(first)])
            counts.append(agreeing)
            same.append(columns.individual[columns.rows_of(first)] == individual)
            for share in (0.0, 0.3, 0.5, 0.7, 1.0):
                settings = Verify(stage.shortlist, stage.whole, stage.parts, share)
                places[truth, share].append(_place(stored, verified(found, agreeing, settings), individual))
    curves = [fit_logistic(values, np.concatenate(same)) for values in (np.concatenate(likeness), _counted(counts))]
    told = [" and ".join(f"{number:.2f}" for number in curve) for curve in curves]
    return (
        f"{_shares('share of the features', places)}\n\nIntercept and slope fitted here: likeness {told[0]}, features "
        f"{told[1]}. Comparing {stage.shortlist} candidates took {np.mean(spent) * 1e3:.0f} ms of processor time."
    )


def _counted(counts: Sequence[Int64]) -> np.ndarray:
    return np.log1p(np.concatenate(counts))


def _place(stored: Stored, found: Answers, individual: int) -> int:
    columns = stored.snapshot.gallery
    right = np.flatnonzero(columns.individual[columns.rows_of(found.annotations)] == individual)
    return int(right[0]) if len(right) else len(columns)


def _shares(title: str, places: dict[tuple[str, int], list[int]] | dict[tuple[str, float], list[int]]) -> str:
    rows = [
        (str(kind), truth, len(found), *(float(np.mean(np.array(found) < count)) for count in FIRST))
        for (truth, kind), found in sorted(places.items())
    ]
    return table((title, "truth", "queries", *(f"in {count}" for count in FIRST)), rows)
