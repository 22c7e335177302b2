"""Calibrations in memory, and trials that a test can make up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from app.domain.calibration_record import Calibrated, Purpose
from app.domain.catalogue import Viewpoint
from app.domain.errors import UnknownCalibration
from app.domain.partition import VIEWPOINTS
from app.domain.trials import SHORTLIST, Listed, Listing, Trials


@dataclass
class FakeCalibrations:
    """The Calibrations port: a list, newest last."""

    held: list[Calibrated] = field(default_factory=list)

    def newest(self, purpose: Purpose) -> Calibrated | None:
        return next((one for one in reversed(self.held) if one.purpose == purpose), None)

    def add(self, calibrated: Calibrated) -> Calibrated:
        self.held.append(replace(calibrated, calibration_id=len(self.held) + 1))
        return self.held[-1]

    def get(self, calibration_id: int) -> Calibrated:
        if not 0 < calibration_id <= len(self.held):
            raise UnknownCalibration(f"no calibration has the id {calibration_id}")
        return self.held[calibration_id - 1]

    def listed(self, limit: int, offset: int = 0) -> list[Calibrated]:
        return self.held[::-1][offset : offset + limit]


def made_trials(
    animals: int = 80, encounters: int = 3, *, skill: float = 1.0, new: float = 0.3, seed: int = 0
) -> Trials:
    """Trials of animals with as many encounters each: a right candidate scores ``skill`` standard deviations more.

    A share ``new`` of the animals has no other encounter.
    """
    drawn = np.random.default_rng(seed)
    count = animals * encounters
    individual = np.repeat(np.arange(animals), encounters)
    known = individual >= round(new * animals)
    searched = 3 * SHORTLIST
    scores = 0.6 + 0.05 * drawn.standard_normal((count, searched))
    scores[:, 0] += np.where(known, 0.05 * skill, 0)
    same = np.zeros((count, searched), np.bool_)
    same[:, 0] = known
    order = np.argsort(-scores, axis=1)
    scores, same = np.take_along_axis(scores, order, 1), np.take_along_axis(same, order, 1)
    place = np.where(known, same.argmax(axis=1) + 1, 0)
    top = np.full((count, SHORTLIST), VIEWPOINTS.index(Viewpoint.TOP))
    listing = Listing(scores[:, :SHORTLIST], same[:, :SHORTLIST], top, place)
    return Trials(
        individual=individual,
        encounter=np.arange(count),
        viewpoint=top[:, 0],
        known=known,
        years=np.where(known, drawn.integers(0, 3, count), -1),
        searched=np.full(count, searched),
        lists=dict.fromkeys(Listed, listing),
    )
