"""Fitting a calibration to trials, and the error that it has on animals that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from app.domain.calibration import Calibration, Curve, Novelty, fit_curve, lead_of
from app.domain.partition import VIEWPOINTS, Int64
from app.domain.reliability import Reliability, reliability
from app.domain.trials import Float64, Listed, Trials, ViewPair

LEAST = 20
"""Encounters that a curve needs on either side: right and wrong, known and new."""

FOLDS = 5
_SEED = 20_170_803
_RIDGE = 1e-3
# Parts of the individuals that are left in the gallery, so that P(new) learns what its size does to the best score.
_SIZES = (1.0, 0.5, 0.25)

Kinds = Mapping[ViewPair, Trials]


@dataclass(frozen=True, slots=True)
class Judged:
    """The reliability of one curve: of P(same) in lists of one kind, or of P(new) where ``listed`` is None."""

    kind: ViewPair
    listed: Listed | None
    reliability: Reliability


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Statements: numbers to judge from (n, columns), whether they were right, and what they weigh."""

    features: Float64
    right: Float64
    weights: Float64
    individual: Int64

    @property
    def enough(self) -> bool:
        """Whether there are LEAST encounters on either side."""
        hits = float((self.weights * self.right).sum())
        return min(hits, float(self.weights.sum()) - hits) >= LEAST


def fit(trials: Kinds) -> Calibration:
    """Fit every curve that the trials suffice for: LEAST encounters on either side."""
    same: dict[Listed, dict[ViewPair, Curve]] = {listed: {} for listed in Listed}
    new: dict[ViewPair, Novelty] = {}
    for kind, asked in trials.items():
        for listed in Listed:
            pairs = _candidates(asked, listed)
            if _encounters_found(asked, listed) >= LEAST and pairs.enough:
                same[listed][kind] = fit_curve(pairs.features[:, 0], pairs.right, pairs.weights)
        questions = _questions(asked, _SIZES)
        if _questions(asked, (1.0,)).enough:
            new[kind] = _fit_novelty(questions)
    return Calibration(same, new)


def judge(calibration: Calibration, trials: Kinds) -> list[Judged]:
    """How reliable the curves of a calibration are on trials, which should be of other animals than it was fitted on.

    A kind without a curve of its own is judged by the one that stands for it.
    """
    found = []
    for kind, asked in trials.items():
        for listed in Listed:
            said, pairs = _said(calibration, asked, listed), _candidates(asked, listed)
            if said is not None and len(pairs.right):
                found.append(Judged(kind, listed, _judged(said, pairs)))
        novelty = calibration.new.get(kind) or calibration.new.get(ViewPair.ANY)
        questions = _questions(asked, (1.0,))
        if novelty and len(questions.right):
            found.append(Judged(kind, None, _judged(novelty(*questions.features.T), questions, new=True)))
    return found


def cross_judge(trials: Kinds, folds: int = FOLDS) -> list[Judged]:
    """The reliability of each curve of ``fit`` on animals that were not fitted on.

    Individuals, not photographs, are dealt into folds; each fold's probabilities come from a fit to the others, and
    all folds are judged together. A kind that no fold could be fitted for is left out.
    """
    individuals = np.unique(np.concatenate([asked.individual for asked in trials.values()]))
    dealt = np.random.default_rng(_SEED).permutation(len(individuals)) % folds
    stated: dict[tuple[ViewPair, Listed | None], list[tuple[Float64, _Pairs]]] = {}
    for fold in range(folds):
        own = individuals[dealt == fold]
        fitted = fit({kind: asked.take(~np.isin(asked.individual, own)) for kind, asked in trials.items()})
        for kind, asked in trials.items():
            held = asked.take(np.isin(asked.individual, own))
            for listed in Listed:
                if kind in fitted.same[listed] and (said := _said(fitted, held, listed)) is not None:
                    stated.setdefault((kind, listed), []).append((said, _candidates(held, listed)))
            if novelty := fitted.new.get(kind):
                questions = _questions(held, (1.0,))
                stated.setdefault((kind, None), []).append((novelty(*questions.features.T), questions))
    return [
        Judged(kind, listed, _judged(np.concatenate([p for p, _ in parts]), _together(parts), new=listed is None))
        for (kind, listed), parts in stated.items()
    ]


def _together(parts: list[tuple[Float64, _Pairs]]) -> _Pairs:
    fields = ("features", "right", "weights", "individual")
    return _Pairs(*(np.concatenate([getattr(pairs, name) for _, pairs in parts]) for name in fields))


def _judged(stated: Float64, pairs: _Pairs, *, new: bool = False) -> Reliability:
    right = 1 - pairs.right if new else pairs.right
    return reliability(stated, right, pairs.weights, len(np.unique(pairs.individual)))


def _said(calibration: Calibration, trials: Trials, listed: Listed) -> Float64 | None:
    """P(same) of every candidate that a person would be shown, as a match says it of whole lists.

    None where it says nothing of a list.
    """
    listing, found = trials.lists[listed], [np.zeros(0)]
    for row, shown in enumerate(np.isfinite(listing.scores)):
        query, others = VIEWPOINTS[trials.viewpoint[row]], listing.viewpoints[row][shown]
        said = calibration.probability_same(listed, query, others, listing.scores[row][shown])
        if said is None:
            return None
        found.append(said)
    return np.concatenate(found)


def _candidates(trials: Trials, listed: Listed) -> _Pairs:
    """Every candidate that a person would be shown: the first SHORTLIST of each list."""
    listing = trials.lists[listed]
    shown = np.isfinite(listing.scores)
    trial = np.nonzero(shown)[0]
    return _Pairs(
        listing.scores[shown][:, None],
        listing.same[shown].astype(np.float64),
        trials.weights[trial],
        trials.individual[trial],
    )


def _encounters_found(trials: Trials, listed: Listed) -> float:
    """Encounters with a right candidate in the list: many right ones of one encounter are one piece of evidence."""
    return float(trials.weights[trials.lists[listed].same.any(axis=1)].sum())


def _questions(trials: Trials, sizes: tuple[float, ...]) -> _Pairs:
    """Best score, lead and size of the gallery of each question, also with a part of the individuals left out.

    The query's own individual stays when it is in the gallery: how often animals are new must not depend on the size.
    """
    listing, drawn = trials.lists[Listed.INDIVIDUAL], np.random.default_rng(_SEED)
    features = []
    for size in sizes:
        kept = listing.same | (drawn.random(listing.scores.shape) < size)
        left = np.sort(np.where(kept, listing.scores, -np.inf), axis=1)[:, ::-1]
        searched = np.maximum(1, np.rint(size * trials.searched))
        features.append(np.stack([left[:, 0], lead_of(left), searched], axis=1))
    asked = np.concatenate(features)
    answered = np.isfinite(asked[:, 0])
    repeated = (np.tile(column, len(sizes))[answered] for column in (trials.known, trials.weights, trials.individual))
    known, weights, individual = repeated
    return _Pairs(asked[answered], known.astype(np.float64), weights / len(sizes), individual)


def _fit_novelty(questions: _Pairs) -> Novelty:
    """Logistic regression with coefficients that cannot be negative, then an isotonic curve over its evidence."""
    columns = questions.features * [1, 1, -1]
    columns[:, 2] = -np.log2(questions.features[:, 2])
    scale = np.maximum(columns.std(axis=0), 1e-6)
    unit = (columns - columns.mean(axis=0)) / scale
    weights = questions.weights / questions.weights.sum()

    def loss(given: Float64) -> tuple[float, Float64]:
        z = unit @ given[1:] + given[0]
        slope = weights * (expit(z) - questions.right)
        value = float((weights * (np.logaddexp(0, z) - questions.right * z)).sum() + _RIDGE * (given[1:] ** 2).sum())
        return value, np.concatenate([[slope.sum()], unit.T @ slope + 2 * _RIDGE * given[1:]])

    bounds = [(None, None), (0, None), (0, None), (0, None)]
    best, lead, size = minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=bounds).x[1:] / scale
    # A best score that did not tell known animals from new ones still orders them: the curve needs one direction.
    novelty = Novelty(float(best), float(lead), float(size), Curve((0.0,), (0.5,)))
    evidence = novelty.evidence(*questions.features.T)
    return Novelty(novelty.best, novelty.lead, novelty.size, fit_curve(evidence, questions.right, questions.weights))
