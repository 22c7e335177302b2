"""Ranking animals by a pooling that was learned, against the best and the mean of the best annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from app.domain.partition import Int64, Mask
from app.domain.profiles import COSINE
from app.domain.rerank import Float64
from app.domain.scenario import Scenario
from benchmarks.animals import answers, asked
from benchmarks.chosen import halves
from benchmarks.pages import table
from benchmarks.stored import Stored

BEST = (1, 2, 3, 5)
FIRST = (1, 5, 20)
_RIDGE = 1e-2
# So many photographs of animals that the nets were trained on are asked, too.
_TRAINED = 300


@dataclass(frozen=True, eq=False)
class Question:
    """One query: ``features`` (m, 5) of each animal, which of them is the right one, and the query's own animal.

    Features are the means of its 1, 2, 3 and 5 best cosines, as many as there are, and the logarithm of how many
    photographs it has.
    """

    features: Float64
    right: int
    whale: int

    def place(self, weights: Float64) -> int:
        """How many animals stand before the right one."""
        scores = self.features @ weights
        return int((scores > scores[self.right]).sum())


def learned(stored: Stored, scenarios: Sequence[Scenario]) -> str:
    """The table: animals of other encounters, by fixed poolings, and by weights fitted to trained and to other animals.

    The weights say best which animal is right (softmax over all animals of a gallery, which is a logistic curve for
    each pair of them), with a weak pull towards 0. A pooling that was chosen or fitted on half of the animals is
    measured on the other half, both ways, twenty times.
    """
    every = [
        one
        for truth in (0, 1)
        for one in [_questions(stored, [(row, masks[truth]) for row, *masks in asked(stored, scenarios)])]
    ]
    trained = _questions(stored, _trained(stored, scenarios))
    fitted = fit(trained)
    rows: list[tuple[object, ...]] = []
    for truth, questions in zip(("any", "other"), every, strict=True):
        fixed = [np.eye(len(BEST) + 1)[number] for number in range(len(BEST))]
        for best, weights in zip(BEST, fixed, strict=True):
            rows.append((f"mean of the best {best}", truth, *_shares([one.place(weights) for one in questions])))
        rows.append(
            (
                f"learned on {len(trained)} photographs of training animals",
                truth,
                *_shares([one.place(fitted) for one in questions]),
            )
        )
        whales = np.array([one.whale for one in questions])
        by_choice, by_fit = [], []
        for half in halves(whales):
            own = [one for one, inside in zip(questions, half, strict=True) if inside]
            others = [one for one, inside in zip(questions, half, strict=True) if not inside]
            best_one = max(fixed, key=lambda weights: np.mean([one.place(weights) < 5 for one in others]))
            by_choice += [one.place(best_one) for one in own]
            weights = fit(others)
            by_fit += [one.place(weights) for one in own]
        rows.append(("the best of these for 5, chosen on other animals", truth, *_shares(by_choice)))
        rows.append(("learned on other animals of val", truth, *_shares(by_fit)))
    return table(("animals by", "truth", *(f"in {count}" for count in FIRST)), rows)


def fit(questions: Sequence[Question]) -> Float64:
    """Weights (5) that make the right animals likely among those of their galleries."""

    def loss(weights: Float64) -> tuple[float, Float64]:
        total, slope = _RIDGE * float(weights @ weights), 2 * _RIDGE * weights
        for one in questions:
            scores = one.features @ weights
            norm = logsumexp(scores)
            total += float(norm - scores[one.right])
            slope = slope + np.exp(scores - norm) @ one.features - one.features[one.right]
        return total, slope

    start = np.zeros(len(BEST) + 1)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B").x, np.float64)


def _shares(places: Sequence[int]) -> list[float]:
    return [float(np.mean(np.array(places) < count)) for count in FIRST]


def _trained(stored: Stored, scenarios: Sequence[Scenario]) -> Iterable[tuple[int, Mask]]:
    """Photographs of animals that no scenario asks about, in a gallery of those, without their encounter."""
    columns = stored.snapshot.gallery
    numbers = [stored.ids[query.image_id] for scenario in scenarios for query in scenario.queries]
    part = ~np.isin(columns.individual, columns.individual[columns.rows_of(np.array(numbers, np.int64))])
    for row in np.random.default_rng(1).permutation(np.flatnonzero(part))[:_TRAINED].tolist():
        yield row, part & (columns.encounter != columns.encounter[row])


def _questions(stored: Stored, given: Iterable[tuple[int, Mask]]) -> list[Question]:
    columns, found = stored.snapshot.gallery, []
    for row, mask in given:
        own = int(columns.individual[row])
        if (mask & (columns.individual == own)).any():
            answer = answers(stored, [row], mask, COSINE, k=int(mask.sum()))
            owners = columns.individual[columns.rows_of(answer.annotations)]
            animals, features = pooled(owners, answer.likeness)
            found.append(Question(features, int(np.flatnonzero(animals == own)[0]), own))
    return found


def pooled(owners: Int64, likeness: Float64) -> tuple[Int64, Float64]:
    """Animals (m) and their features (m, 5), from the owners and cosines of annotations, best first."""
    order = np.argsort(owners, kind="stable")
    animals, starts, counts = np.unique(owners[order], return_index=True, return_counts=True)
    sums = np.concatenate([[0.0], np.cumsum(likeness[order])])
    columns = []
    for best in BEST:
        many = np.minimum(counts, best)
        columns.append((sums[starts + many] - sums[starts]) / many)
    return animals, np.stack([*columns, np.log(counts)], axis=1)
