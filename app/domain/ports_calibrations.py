"""The ports of stored calibrations; the others stand in ``ports.py``."""

from __future__ import annotations

from typing import Protocol

from app.domain.calibration_record import Calibrated, Purpose


class KnownCalibrations(Protocol):
    """Where calibrations can be looked up."""

    def newest(self, purpose: Purpose) -> Calibrated | None:
        """The newest calibration for exactly this purpose; None when there is none.

        Raises CatalogueUnavailable.
        """


class Calibrations(KnownCalibrations, Protocol):
    """Calibrations of a catalogue, kept with it; none is ever changed or removed."""

    def add(self, calibrated: Calibrated) -> Calibrated:
        """Store a calibration, durable before this returns; gives it with its id.

        Raises CatalogueUnavailable, StorageFull.
        """

    def get(self, calibration_id: int) -> Calibrated:
        """One calibration; raises UnknownCalibration, CatalogueUnavailable."""

    def listed(self, limit: int, offset: int = 0) -> list[Calibrated]:
        """At most ``limit`` calibrations for any purpose, newest first; raises CatalogueUnavailable."""
