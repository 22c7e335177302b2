"""Calibrate: fit probabilities and read the missed-match meter on the catalogue as it is ranked now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from app.domain.calibration_record import Calibrated, Purpose, Source, purpose_of
from app.domain.errors import InvalidInput, UnknownCalibration
from app.domain.fitting import Kinds, cross_judge, fit
from app.domain.jobs import JSON, Step
from app.domain.meter import read_meter
from app.domain.ports import Embedder, Snapshot, VectorIndex
from app.domain.ports_calibrations import Calibrations, KnownCalibrations
from app.domain.profiles import REVIEW, Profile, profile_named
from app.domain.trials import ViewPair
from app.services.rank import current_snapshot
from app.services.trials import Trying

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Calibrate:
    """The use case; ``released`` is what the ensemble brings, used until the catalogue has a calibration of its own."""

    embedder: Embedder
    index: VectorIndex
    calibrations: Calibrations
    released: KnownCalibrations

    def __call__(self, profile: Profile = REVIEW, progress: Progress | None = None) -> Calibrated:
        """Fit, judge on animals not fitted on, read the meter and store.

        Every query is asked with its own encounter left out. Raises InvalidInput when the catalogue has too few
        animals seen in several encounters, and Unavailable.
        """
        snapshot, ensemble = current_snapshot(self.index, self.embedder), self.embedder.ensemble
        trials = Trying(snapshot, ensemble, profile)(progress=progress)
        made = calibrated(
            trials,
            purpose_of(ensemble.manifest_sha256, profile),
            Source.CATALOGUE,
            f"catalogue version {snapshot.catalogue_version}",
            snapshot.catalogue_version,
        )
        return self.calibrations.add(made)

    def newest(self, profile: Profile = REVIEW) -> int:
        """The id of the newest calibration of this catalogue for the ensemble in force and a profile, 0 without any."""
        found = self.calibrations.newest(purpose_of(self.embedder.ensemble.manifest_sha256, profile))
        return found.calibration_id if found else 0

    def since(self, profile: Profile, after: int) -> Calibrated | None:
        """A calibration of the catalogue as it is searched now that is newer than ``after``; None without one."""
        found = self.calibrations.newest(purpose_of(self.embedder.ensemble.manifest_sha256, profile))
        version = current_snapshot(self.index, self.embedder).catalogue_version
        return found if found and found.calibration_id > after and found.catalogue_version == version else None

    def current(self, profile: Profile = REVIEW) -> Calibrated:
        """The calibration in force for the ensemble and a profile; raises UnknownCalibration when there is none."""
        purpose = purpose_of(self.embedder.ensemble.manifest_sha256, profile)
        found = self.calibrations.newest(purpose) or self.released.newest(purpose)
        if found is None:
            raise UnknownCalibration(
                f"no calibration fits this ensemble and the profile {profile.name!r}; run `resight calibrate`"
            )
        return found


@dataclass(frozen=True, slots=True)
class CalibrationWork:
    """A calibration as a job, told by its ``profile`` and ``after``, the newest that there was when it was asked for.

    All of it is one step: trials cost too little to be kept. One that was stored before a kill is not made again.
    """

    calibrate: Calibrate
    refresh: Callable[[], Snapshot]
    stopping: Callable[[], bool]
    reached: Progress

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:
        """Calibrate, or leave it to be begun anew; raises InvalidInput for too few animals, Unavailable."""
        profile, after = profile_named(str(arguments["profile"])), arguments["after"]
        self.refresh()
        try:
            made = self.calibrate.since(profile, after if isinstance(after, int) else 0)
            made = made or self.calibrate(profile, self._asked)
        except _Left:
            return Step(seen, 0)
        result: dict[str, JSON] = {"calibration_id": made.calibration_id, "profile": profile.name}
        return Step(made.encounters, made.encounters, finished=True, result=result)

    def _asked(self, done: int, total: int) -> None:
        if self.stopping():
            raise _Left
        self.reached(done, total)


class _Left(Exception):
    """The job is to stop before its step has ended."""


def calibrated(
    trials: Kinds, purpose: Purpose, source: Source, fitted_on: str, catalogue_version: int | None = None
) -> Calibrated:
    """A calibration of trials with its proof; raises InvalidInput when they suffice for no curve."""
    calibration = fit(trials)
    if not any(calibration.same.values()):
        raise InvalidInput(
            "too few animals were seen in several encounters to calibrate probabilities: 20 encounters must find "
            "their animal again in another one"
        )
    everything = trials[ViewPair.ANY]
    return Calibrated(
        purpose=purpose,
        source=source,
        fitted_on=fitted_on,
        made=datetime.now(UTC).replace(microsecond=0),
        catalogue_version=catalogue_version,
        queries=len(everything),
        encounters=len(np.unique(everything.encounter)),
        individuals=len(np.unique(everything.individual)),
        calibration=calibration,
        judged=tuple(cross_judge(trials)),
        meter=tuple(figure for kind, asked in trials.items() for figure in read_meter(kind, asked)),
    )
