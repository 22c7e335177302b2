"""The calibration that a released ensemble brings: calibration.json beside its manifest, sealed by its own hash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import structlog

from app.domain.calibration_record import Calibrated, Purpose, from_json, to_json
from app.domain.ensemble import sealed
from app.domain.errors import InvalidInput

NAME = "calibration.json"


class JsonCalibrations:
    """The KnownCalibrations port over a release's folder, read once; a damaged file is told in the log and not used."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._read = False
        self._held: dict[Purpose, Calibrated] = {}

    def newest(self, purpose: Purpose) -> Calibrated | None:
        if not self._read:
            self._held, self._read = self._load(), True
        return self._held.get(purpose)

    def _load(self) -> dict[Purpose, Calibrated]:
        try:
            raw = json.loads(self._file.read_text("utf-8"))
            if sealed(raw)["sha256"] != raw["sha256"]:
                raise InvalidInput("it does not match its own SHA-256")
            found = [from_json(json.dumps(one)) for one in raw["calibrations"]]
        except FileNotFoundError:
            return {}
        except (OSError, InvalidInput, KeyError, TypeError, ValueError, AttributeError) as error:
            structlog.get_logger().warning("release's calibration not used", file=str(self._file), reason=str(error))
            return {}
        return {one.purpose: one for one in found}


def write_calibrations(folder: Path, calibrations: list[Calibrated]) -> Path:
    """Seal calibrations beside a manifest, without their meters: how long a list must be is each catalogue's own."""
    file = folder / NAME
    content = sealed({"calibrations": [json.loads(to_json(replace(one, meter=()))) for one in calibrations]})
    file.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    return file
