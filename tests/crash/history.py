"""Whether a history of writes and matches could have come from one catalogue that does one thing after the other.

After Jepsen's set-full and register checks. Every photograph is written by one client alone, so that its states have
an order: absent, then what each write made of it. A write that was answered has happened when its answer was read; one
whose answer never came may have happened at any later time, or never. A match sees one state between its question and
its answer, and never an older one than a match that ended before it began. That is all that linearisable means here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class State(NamedTuple):
    """Where a photograph is in the gallery: its partition."""

    viewpoint: str
    year: int


ABSENT: State | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A photograph was put into a state; ``ended`` is infinite when nobody knows whether, or since when."""

    key: str
    began: float
    ended: float
    state: State | None


@dataclass(frozen=True, slots=True)
class Read:
    """A match with a photograph itself, within ``viewpoints`` (all when empty): how often it was among its candidates.

    ``state`` is what the candidate said of itself, None for a match within some viewpoints only. ``versions`` are the
    catalogue version and the generation of the receipt.
    """

    key: str
    began: float
    ended: float
    times: int
    viewpoints: frozenset[str] = frozenset()
    state: State | None = None
    versions: tuple[int, int] = (0, 0)

    def sees(self, state: State | None) -> bool:
        """Whether this is what a catalogue with the photograph in that state would have answered."""
        inside = state is not None and (not self.viewpoints or state.viewpoint in self.viewpoints)
        return bool(self.times) == inside and (self.state is None or self.state == state)


class Anomaly(NamedTuple):
    """What cannot have come from one catalogue."""

    kind: str
    read: Read
    why: str


def anomalies(writes: Iterable[Write], reads: Iterable[Read]) -> list[Anomaly]:
    """Every read that no order of events explains; ``kind`` is stale, ghost, twice, inversion, unknown or version."""
    of_key: dict[str, list[Write]] = {}
    for write in writes:
        of_key.setdefault(write.key, []).append(write)
    asked: dict[str, list[Read]] = {}
    for read in reads:
        asked.setdefault(read.key, []).append(read)
    found = [one for key in sorted(asked) for one in _of_photograph(of_key.get(key, []), asked[key])]
    return [*found, *_versions([read for own in asked.values() for read in own])]


def _of_photograph(writes: Sequence[Write], reads: Sequence[Read]) -> list[Anomaly]:
    """Give each read the earliest state that fits: if that fails, nothing later would have helped."""
    states = [ABSENT, *(write.state for write in writes)]
    floor = _Floor()
    found = []
    for read in sorted(reads, key=lambda one: one.began):
        if read.times > 1:
            found.append(Anomaly("twice", read, f"{read.times} candidates show the same photograph"))
            continue
        # The states that may be in force: from the last write that was answered to the last one that had begun.
        oldest = max((n for n, write in enumerate(writes, 1) if write.ended < read.began), default=0)
        newest = max((n for n, write in enumerate(writes, 1) if write.began < read.ended), default=0)
        least = max(oldest, floor.at(read.began))
        fitting = [n for n in range(least, newest + 1) if read.sees(states[n])]
        if fitting:
            floor.rises(read.ended, fitting[0])
        else:
            found.append(_explained(read, states, oldest, least, newest))
    return found


def _explained(read: Read, states: Sequence[State | None], oldest: int, least: int, newest: int) -> Anomaly:
    earlier = [n for n in range(oldest) if read.sees(states[n])]
    between = [n for n in range(oldest, least) if read.sees(states[n])]
    must = states[least : newest + 1]
    if between:
        return Anomaly("inversion", read, f"an earlier match had seen a newer state: {must}")
    if earlier:
        kind = "ghost" if read.times and must == [ABSENT] else "stale"
        return Anomaly(kind, read, f"the state had become {must} before the question")
    kind = "ghost" if read.times and must == [ABSENT] else "unknown"
    return Anomaly(kind, read, f"no write made what was seen; it should be {must}")


def _versions(reads: Sequence[Read]) -> list[Anomaly]:
    """Receipts whose versions are older than those of a receipt that was read before the question."""
    found = []
    for which, name in enumerate(("catalogue version", "generation")):
        floor = _Floor()
        for read in sorted(reads, key=lambda one: one.began):
            least = floor.at(read.began)
            if read.versions[which] < least:
                found.append(Anomaly("version", read, f"the {name} is {read.versions[which]} after {least}"))
            floor.rises(read.ended, read.versions[which])
    return found


class _Floor:
    """The highest number that was known at a time; asked with times that never go back."""

    def __init__(self) -> None:
        self._height = 0
        self._coming: list[tuple[float, int]] = []

    def rises(self, when: float, number: int) -> None:
        self._coming.append((when, number))

    def at(self, when: float) -> int:
        self._height = max([self._height, *(number for ended, number in self._coming if ended < when)])
        self._coming = [one for one in self._coming if one[0] >= when]
        return self._height
