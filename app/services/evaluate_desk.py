"""What lies open while an evaluation is worked off, so that no step reads again what the one before has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.evaluation import Pinned, Pins
from app.domain.ports import Snapshot
from app.domain.report import Calibration
from app.domain.scenario import ScenarioPack


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What the first step froze: pins, photographs by their image ids, the calibration and the vectors.

    ``snapshot`` is None until a scenario is ranked.
    """

    pins: Pins
    photographs: Mapping[str, Pinned]
    calibration: Calibration | None
    snapshot: Snapshot | None = None


@dataclass(slots=True, eq=False)
class Desk:
    """The pack and the bench of one evaluation, the one worked on last, whatever there are.

    A bench is known by the text of its pins: vectors that were frozen again belong to another.
    """

    _pack: tuple[str, ScenarioPack] | None = None
    _bench: tuple[bytes, Bench] | None = None

    def pack(self, run_id: str) -> ScenarioPack | None:
        """The pack of an evaluation, None when it does not lie here."""
        held = self._pack
        return held[1] if held and held[0] == run_id else None

    def bench(self, pins: bytes) -> Bench | None:
        """What belongs to the pins with this text, None when it does not lie here."""
        held = self._bench
        return held[1] if held and held[0] == pins else None

    def open(self, run_id: str, pack: ScenarioPack) -> ScenarioPack:
        """Lay a pack down in place of the one before."""
        self._pack = run_id, pack
        return pack

    def lay(self, pins: bytes, bench: Bench) -> Bench:
        """Lay down what belongs to pins in place of what lay there."""
        self._bench = pins, bench
        return bench

    def clear(self) -> None:
        """Put everything away."""
        self._pack = self._bench = None
