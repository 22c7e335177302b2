"""A calibration as it is kept: what it was fitted to, what it may be used for, how honest it is; and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from app.domain.calibration import Calibration, Curve, Novelty
from app.domain.errors import InvalidInput
from app.domain.fitting import Judged
from app.domain.meter import Figure, Verdict, YearGap
from app.domain.profiles import Profile
from app.domain.reliability import Bin, Reliability
from app.domain.trials import Listed, ViewPair


class Source(StrEnum):
    """Whose animals a calibration was fitted to."""

    CATALOGUE = "catalogue"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a calibration may be used for: scores of exactly this ensemble, ordered by exactly this profile."""

    manifest_sha256: str
    profile: str
    profile_sha256: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A fitted calibration with its proof.

    ``catalogue_version`` is that of the catalogue that it was fitted to, None for a release's. ``judged`` is measured
    on animals that were not fitted on, ``meter`` is of the catalogue itself. ``calibration_id`` is 0 until it
    is stored.
    """

    purpose: Purpose
    source: Source
    fitted_on: str
    made: datetime
    catalogue_version: int | None
    queries: int
    encounters: int
    individuals: int
    calibration: Calibration
    judged: tuple[Judged, ...]
    meter: tuple[Figure, ...] = field(default=())
    calibration_id: int = 0

    def error_of(self, kind: ViewPair, listed: Listed | None) -> float | None:
        """The expected calibration error of a kind of list, or of P(new) where ``listed`` is None.

        That of mixed galleries where a kind has none of its own, as with the curves.
        """
        errors = {(one.kind, one.listed): one.reliability.error for one in self.judged}
        return errors.get((kind, listed), errors.get((ViewPair.ANY, listed)))


@lru_cache
def purpose_of(manifest_sha256: str, profile: Profile) -> Purpose:
    """The purpose that scores of an ensemble and a profile have; every setting of every stage counts."""
    settings = json.dumps([profile.name, profile.settings()], separators=(",", ":"))
    return Purpose(manifest_sha256, profile.name, hashlib.sha256(settings.encode()).hexdigest())


def to_json(calibrated: Calibrated) -> str:
    """A calibration as text, without its id."""
    content = asdict(calibrated) | {"made": calibrated.made.isoformat()}
    del content["calibration_id"]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def from_json(text: str, calibration_id: int = 0) -> Calibrated:
    """A calibration from its text; raises InvalidInput for one that is damaged or of another form."""
    try:
        raw: Mapping[str, Any] = json.loads(text)
        given = dict(raw) | {
            "purpose": Purpose(**raw["purpose"]),
            "source": Source(raw["source"]),
            "made": datetime.fromisoformat(raw["made"]),
            "calibration": _calibration(raw["calibration"]),
            "judged": tuple(_judged(one) for one in raw["judged"]),
            "meter": tuple(_figure(one) for one in raw["meter"]),
        }
        return Calibrated(**given, calibration_id=calibration_id)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the calibration cannot be read: {error}") from error


def _calibration(raw: Mapping[str, Any]) -> Calibration:
    return Calibration(
        same={
            Listed(listed): {ViewPair(kind): _curve(curve) for kind, curve in curves.items()}
            for listed, curves in raw["same"].items()
        },
        new={
            ViewPair(kind): Novelty(one["best"], one["lead"], one["size"], _curve(one["curve"]))
            for kind, one in raw["new"].items()
        },
    )


def _curve(raw: Mapping[str, Any]) -> Curve:
    return Curve(tuple(raw["scores"]), tuple(raw["values"]))


def _judged(raw: Mapping[str, Any]) -> Judged:
    bins = tuple(Bin(**one) for one in raw["reliability"]["bins"])
    listed = None if raw["listed"] is None else Listed(raw["listed"])
    return Judged(ViewPair(raw["kind"]), listed, Reliability(**{**raw["reliability"], "bins": bins}))


def _figure(raw: Mapping[str, Any]) -> Figure:
    words = {
        "kind": ViewPair(raw["kind"]),
        "listed": Listed(raw["listed"]),
        "gap": YearGap(raw["gap"]),
        "verdict": Verdict(raw["verdict"]),
    }
    return Figure(**{**raw, **words})
