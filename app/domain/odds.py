"""Odds: what a calibration says of one answer, candidate by candidate, and of the question as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.domain.calibration_record import Calibrated
from app.domain.catalogue import Viewpoint
from app.domain.meter import Figure, applying
from app.domain.partition import NOBODY, Gallery, Int64, Mask
from app.domain.ranking import first_of_each
from app.domain.trials import SHORTLIST, Float64, Listed, kind_of

OF_SEVERAL = "they are fitted on single photographs, and several together score higher"
UNFITTED = "no calibration fits this ensemble and the settings of this profile; `resight calibrate` makes one"
UNSTORED = "this profile reads photographs, and a calibration ranks stored vectors"
"""Why nothing is said of an answer."""


@dataclass(frozen=True, slots=True)
class Odds:
    """P(same) of each candidate, in order, and P(none of the animals searched); None where nothing was fitted.

    ``error_same`` and ``error_new`` are the expected calibration errors of such statements, ``meter`` the figures
    that apply to the question. ``silent`` is the reason where there is no calibration, otherwise empty.
    """

    same: tuple[float, ...] | None = None
    new: float | None = None
    calibrated: Calibrated | None = None
    error_same: float | None = None
    error_new: float | None = None
    meter: tuple[Figure, ...] = ()
    silent: str = ""


def odds(
    calibrated: Calibrated | None,
    listed: Listed,
    viewpoint: Viewpoint,
    gallery: Gallery,
    searched: Mask,
    found: Int64,
    scores: Float64,
) -> Odds:
    """The odds of one ranked list: gallery rows ``found`` (n), best first, out of those ``searched``, and scores (n).

    Without a calibration nothing is said, except that an empty gallery holds no animal. What is said of the question
    and of the first candidates does not depend on how many there are, once there are SHORTLIST.
    """
    if calibrated is None:
        return Odds(new=None if len(found) else 1.0, silent=UNFITTED)
    kind = kind_of(viewpoint, gallery.viewpoint[searched])
    individuals = gallery.individual[searched]
    named = individuals[individuals != NOBODY]
    count = int(np.count_nonzero(np.bincount(named))) + len(individuals) - len(named)
    same = calibrated.calibration.probability_same(listed, viewpoint, gallery.viewpoint[found], scores)
    return Odds(
        same=None if same is None else tuple(same.tolist()),
        new=calibrated.calibration.probability_new(
            kind, _best_two(gallery.individual[found[:SHORTLIST]], scores[:SHORTLIST]), count
        ),
        calibrated=calibrated,
        error_same=calibrated.error_of(kind, listed),
        error_new=calibrated.error_of(kind, None),
        meter=tuple(applying(calibrated.meter, kind, listed, count)),
    )


def _best_two(individuals: Int64, scores: Float64) -> list[float]:
    """Scores of the two best individuals.

    Where the list shows one alone, the second is at most as good as its last row: that bound stands for it.
    """
    best = scores[first_of_each(individuals, 2)].tolist()
    return [*best, float(scores[-1])] if len(best) == 1 and len(scores) > 1 else best


def percent(probability: float) -> str:
    """A probability as people read it: never 0 % and never 100 %, which no calibration can know."""
    if 0 < probability < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < probability < 1 else f"{probability:.0%}".replace("%", " %")
