"""Local features of photographs, and what their agreement says beside the likeness of whole photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from app.domain.ensemble import Float32
from app.domain.partition import Int64
from app.domain.profiles import Verify
from app.domain.ranking import Answers

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Local features of one animal: positions (n, 2) in pixels and descriptors (n, d) as bytes."""

    positions: Float32
    descriptors: npt.NDArray[np.uint8]


def fused(likeness: Float64, agreeing: Int64, stage: Verify) -> Float64:
    """Likenesses (m) in [-1, 1] of likenesses and counts (m) of features that agree in place and look.

    Both are brought to the scale of a probability by their own logistic curve, as fitted on validation pairs, and
    averaged with ``stage.share`` for the features. Source: Cermak et al., WildFusion (2024), s. 3.2.
    """
    whole = _logistic(stage.whole[0] + stage.whole[1] * likeness)
    parts = _logistic(stage.parts[0] + stage.parts[1] * np.log1p(agreeing))
    return np.asarray(2.0 * ((1.0 - stage.share) * whole + stage.share * parts) - 1.0, np.float64)


def verified(found: Answers, agreeing: Int64, stage: Verify) -> Answers:
    """A ranked list whose first answers, as many as there are counts (m), stand in their fused order.

    The rest stays behind them in its order: it keeps its likenesses, squeezed below the last of the first.
    """
    count = len(agreeing)
    first = fused(found.likeness[:count], agreeing, stage)
    floor = first.min(initial=1.0)
    rest = floor - (1.0 + floor) * (1.0 - found.likeness[count:]) / 2.0
    order = np.concatenate([np.argsort(-first, kind="stable"), np.arange(count, len(found.annotations))])
    return Answers(
        found.annotations[order],
        np.concatenate([first, rest])[order],
        found.bridges[order],
        tuple(found.folded[place] for place in order.tolist()),
    )


def fit_logistic(values: Float64, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of the logistic curve that says best which values (n) are of the same animal.

    Maximum likelihood with a weak pull towards 0, so that it is total where the two kinds do not overlap.
    """
    signs = np.where(right, 1.0, -1.0)

    def loss(given: Float64) -> float:
        misses = np.logaddexp(0.0, -signs * (given[0] + given[1] * values))
        return float(misses.sum() + 1e-3 * (given @ given))

    found = minimize(loss, np.zeros(2), method="BFGS").x
    return float(found[0]), float(found[1])


def _logistic(values: Float64) -> Float64:
    return np.asarray(1.0 / (1.0 + np.exp(-values)), np.float64)
