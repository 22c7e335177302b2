"""What the photographs of each day share in one view of a gallery, joined over spaces as its vectors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.domain.ensemble import Float32, Space
from app.domain.occasions import Float64, centred, shared
from app.domain.partition import UNDATED, Int64, Mask
from app.domain.ports import Snapshot
from app.domain.profiles import Centre

# So many vectors are centred at once.
_FEW = 32


def joined(spaces: Sequence[Space], vectors: Mapping[str, Float32]) -> Float32:
    """Vectors (n, d) by space as one (n, sum of d), scaled so that an inner product is the weighted mean of cosines."""
    if len(spaces) == 1:
        return vectors[spaces[0].name]
    total = sum(space.weight for space in spaces)
    parts = [vectors[space.name] * np.float32(np.sqrt(space.weight / total)) for space in spaces]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Takes out of joined vectors what their days share among the gallery rows in ``mask``, all of one ``view``.

    ``passed`` are annotations that take no part for one query: those of its own photograph.
    """

    snapshot: Snapshot
    spaces: tuple[Space, ...]
    view: int
    mask: Mask
    stage: Centre
    _totals: dict[tuple[str, int], tuple[Float64, int]] = field(default_factory=dict)
    _known: dict[int, Float32] = field(default_factory=dict)

    def without(self, vectors: Float32, annotations: Int64, passed: Int64) -> Float32:
        """Joined vectors (n, d) of annotations as the stage makes them; a part that none is stored of stays zeros."""
        if not len(annotations):
            return vectors
        rows = self.snapshot.gallery.rows_of(annotations)
        days = np.where(rows < 0, UNDATED, self.snapshot.gallery.day[rows])
        held = np.stack([self.snapshot.held(space.name)[rows] for space in self.spaces], axis=1)
        sizes, out = [space.dimension for space in self.spaces], np.empty_like(vectors)
        shared_by, at = self._of(days, passed)
        # What lies in the processor's cache is read several times as quickly.
        for part in (slice(start, start + _FEW) for start in range(0, len(vectors), _FEW)):
            looks = shared_by[at[part]]
            if not held[part].all():
                looks = np.where(np.repeat(held[part], sizes, axis=1), looks, np.float32(0.0))
            out[part] = centred(vectors[part], looks)
        return out

    def asked(self, query: Float32, day: int, passed: Int64) -> Float32:
        """A joined query (d) of a day as the stage makes it."""
        return centred(query[None], self._of(np.array([day]), passed)[0]).ravel()

    def touched(self, annotations: Int64, passed: Int64) -> Mask:
        """Which of the annotations (n) are of a day that ``passed`` would have had a part in."""
        days = self.snapshot.gallery.day
        rows = self.snapshot.gallery.rows_of(annotations)
        return (rows >= 0) & np.isin(days[rows], days[self._own(passed)])

    def _of(self, days: Int64, passed: Int64) -> tuple[Float32, Int64]:
        """What each day that occurs shares (k, d), and which of them is that of each of ``days`` (n)."""
        known, at = np.unique(days, return_inverse=True)
        own = self._own(passed)
        return np.stack([self._look(day, own) for day in known.tolist()]), at

    def _look(self, day: int, own: Int64) -> Float32:
        own = own[self.snapshot.gallery.day[own] == day]
        if len(own):
            return self._shared(day, own)
        if day not in self._known:
            self._known[day] = self._shared(day, own)
        return self._known[day]

    def _shared(self, day: int, own: Int64) -> Float32:
        parts = {}
        for space in self.spaces:
            total, count = self._total(space.name, day)
            # What is held is asked of the whole gallery, so only for the few days of the query's own photograph.
            if len(own):
                gone = own[self.snapshot.held(space.name)[own]]
                vectors = self.snapshot.vectors(space.name, self.snapshot.gallery.annotation[gone])
                total, count = total - vectors.sum(axis=0, dtype=np.float64), count - len(gone)
            parts[space.name] = shared(total, count, self.stage)[None]
        return joined(self.spaces, parts).ravel()

    def _total(self, space: str, day: int) -> tuple[Float64, int]:
        if (space, day) not in self._totals:
            # Whose day is not known shares nothing.
            mask = self.mask if day != UNDATED else np.zeros_like(self.mask)
            self._totals[space, day] = self.snapshot.days.total(self.snapshot, space, self.view, day, mask)
        return self._totals[space, day]

    def _own(self, passed: Int64) -> Int64:
        """The rows of ``passed`` that would take part: those of an unknown day are no part of any."""
        rows = self.snapshot.gallery.rows_of(passed)
        dated = self.snapshot.gallery.day[rows] != UNDATED
        return np.asarray(rows[(rows >= 0) & self.mask[rows] & dated], np.int64)
