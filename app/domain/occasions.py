"""Occasions: what the photographs of one survey day share beside the animals in them, and what the day itself tells.

Photographs of one day and viewpoint have light, water, drone and height in common, and their vectors show it.
Arrays in, arrays out; sums run along one row at a time, as in ``rerank``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Float32
from app.domain.partition import UNDATED, VIEWPOINTS, Gallery, Int64, Mask
from app.domain.profiles import Centre, Occasion, Profile

Float64 = npt.NDArray[np.float64]

# The sum of a smaller day is found as quickly as it is remembered. So what is remembered of a generation stays a small
# part of its vectors.
_REMEMBERED = 16
# A vector of which less is left after centring points nowhere: rounding is not to be made a direction.
_NOTHING = 1e-4


class Stored(Protocol):
    """The part of a generation that sums are made of, as ``Snapshot`` has it."""

    @property
    def gallery(self) -> Gallery:
        """Its columns."""

    def held(self, space: str) -> Mask:
        """Which gallery rows have a vector in this space."""

    def vectors(self, space: str, annotations: Int64) -> Float32:
        """Stored unit vectors (n, d)."""


@dataclass(frozen=True, slots=True, eq=False)
class DaySums:
    """Sums of the vectors of one generation by space, viewpoint and day, kept from when they are first asked for."""

    _found: dict[tuple[str, int, int], Float64] = field(default_factory=dict)
    _orders: dict[str, tuple[Int64, Int64]] = field(default_factory=dict)

    def total(self, stored: Stored, space: str, viewpoint: int, day: int, mask: Mask) -> tuple[Float64, int]:
        """Sum (d) and number of the vectors of one view (a position in VIEWPOINTS) and day among the rows in ``mask``.

        ``stored`` is always the same generation. From all of the day by subtraction where that takes fewer.
        """
        rows = self._rows(stored, space, viewpoint, day)
        kept, gone = rows[mask[rows]], rows[~mask[rows]]
        if len(gone) >= len(kept) or len(rows) < _REMEMBERED:
            return _sum(stored, space, kept), len(kept)
        key = (space, viewpoint, day)
        # Two threads may find the same sum at once: both find the very same.
        if key not in self._found:
            self._found[key] = _sum(stored, space, rows)
        whole = self._found[key]
        return (whole - _sum(stored, space, gone) if len(gone) else whole), len(kept)

    def _rows(self, stored: Stored, space: str, viewpoint: int, day: int) -> Int64:
        """The gallery rows of one view and day that have a vector, ascending."""
        if space not in self._orders:
            held = np.flatnonzero(stored.held(space))
            keys = _key(stored.gallery.viewpoint[held], stored.gallery.day[held])
            order = np.argsort(keys, kind="stable")
            self._orders[space] = (keys[order], held[order])
        keys, rows = self._orders[space]
        first, behind = np.searchsorted(keys, _key(viewpoint, day) + np.arange(2))
        return rows[first:behind]


def shared(total: Float64, count: int, stage: Centre) -> Float32:
    """What ``count`` photographs have in common by the sum (d) of their vectors: weight x total / (count + prior).

    None have nothing in common: zeros.
    """
    return np.asarray(total * (stage.weight / (count + stage.prior)) if count else total * 0.0, np.float32)


def centred(vectors: Float32, look: Float32) -> Float32:
    """Unit vectors (n, d) without what the photographs of their days share (n, d): unit(v - look).

    A joined one that lacks the vector of a space is shorter, and stays as long as it was: it is not to gain by that.
    Where nothing is shared a vector stays as it is, to the last bit; one of which nothing is left becomes zeros.
    """
    rest = vectors - look
    before, after = _lengths(vectors), _lengths(rest)
    scale = np.where(after > _NOTHING, before / np.maximum(after, _NOTHING), np.float32(0.0))
    rest *= np.where(look.any(axis=1, keepdims=True), scale, np.float32(1.0))
    return rest


def raised(likeness: Float64, same: Mask, stage: Occasion) -> Float64:
    """Likenesses (m) in [-1, 1] with the bonus of the query's day: l + min(gain, (1 - l) / 2) where ``same`` (m).

    Never above 1, and the order among those of the day stays: a bonus that were cut off at 1 would tie the best ones.
    """
    return np.where(same, likeness + np.minimum(stage.gain, (1.0 - likeness) / 2.0), likeness)


def day_of(days: Iterable[int]) -> int:
    """The one day of several photographs (ordinals), UNDATED where they are of several or one is not known."""
    found = set(days)
    return found.pop() if len(found) == 1 else UNDATED


def idle(profile: Profile, viewpoint: Viewpoint, day: int, *, several: bool) -> str:
    """Why stages that need the day of a query did nothing for its photographs of a viewpoint; empty where they ran."""
    needing = [type(one).__name__.lower() for one in profile.stages if isinstance(one, Centre | Occasion)]
    if needing and day == UNDATED:
        unknown = f"photographs from {viewpoint} are not known to be of one day" if several else "its day is not known"
        return f"{' and '.join(needing)} did nothing: {unknown}"
    if viewpoint is Viewpoint.UNKNOWN and profile.stage(Centre):
        return "centre did nothing: its viewpoint is not known"
    return ""


def _sum(stored: Stored, space: str, rows: Int64) -> Float64:
    vectors = stored.vectors(space, stored.gallery.annotation[rows])
    return np.asarray(vectors.sum(axis=0, dtype=np.float64), np.float64)


def _lengths(vectors: Float32) -> Float32:
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=1, keepdims=True)), np.float32)


def _key(viewpoint: Int64 | int, day: Int64 | int) -> Int64:
    return np.asarray(day, np.int64) * len(VIEWPOINTS) + viewpoint
