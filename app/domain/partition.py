"""Which annotations are searched: partitions, the gallery's columns, and the scope that picks from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScope

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

VIEWPOINTS = tuple(Viewpoint)
NOBODY = -1
UNDATED = 0


class Partition(NamedTuple):
    """The annotations of one space, viewpoint and year (0 when undated): the unit of storage and of search."""

    space: str
    viewpoint: Viewpoint
    year: int


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Columns of all annotations of one generation, one row an annotation, sorted by ``annotation``.

    ``annotation``, ``individual``, ``encounter`` and ``image`` are database keys (NOBODY when there is none),
    ``viewpoint`` is a position in VIEWPOINTS, ``year`` is 0 when unknown, ``day`` is an ordinal (``date.toordinal``),
    UNDATED when the date is not known to the day. ``phash`` is the photograph's perceptual hash, 0 when it has none,
    and annotations that show one moment of one animal share a ``fold`` (``app.domain.duplicates``).
    """

    annotation: Int64
    individual: Int64
    encounter: Int64
    image: Int64
    viewpoint: Int64
    year: Int64
    day: Int64
    phash: Int64
    fold: Int64

    def __len__(self) -> int:
        return len(self.annotation)

    def rows_of(self, annotations: Int64) -> Int64:
        """Row of each annotation id, -1 for an id that this generation does not hold."""
        if not len(self):
            return np.full(len(annotations), -1, np.int64)
        rows = np.minimum(np.searchsorted(self.annotation, annotations), len(self) - 1)
        return np.where(self.annotation[rows] == annotations, rows, -1)


@dataclass(frozen=True, slots=True)
class Scope:
    """The rule that picks the gallery; the default searches everything.

    ``years`` leaves out annotations of an unknown year, ``since`` and ``until`` (inclusive) those whose date is not
    known to the day: they are counted as undated. ``only`` lists the annotations that may be searched at all (a
    scenario's database), None for no such list.
    """

    viewpoints: frozenset[Viewpoint] = frozenset(Viewpoint)
    years: frozenset[int] | None = None
    since: date | None = None
    until: date | None = None
    only: frozenset[int] | None = None
    without_encounters: frozenset[int] = frozenset()
    without_individuals: frozenset[int] = frozenset()
    without_annotations: frozenset[int] = frozenset()
    without_images: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Raise BadScope for a scope that can never hold an annotation."""
        if not self.viewpoints:
            raise BadScope("a scope needs at least one viewpoint")
        if self.years is not None and not self.years:
            raise BadScope("a scope with years needs at least one year")
        if self.since and self.until and self.since > self.until:
            raise BadScope(f"the window ends ({self.until}) before it begins ({self.since})")
        window = self.since or self.until
        if window and self.years is not None and not any(self._meets(year) for year in self.years):
            raise BadScope("none of the years lies in the window")

    def excluding(self, *, annotation: int, image: int) -> Scope:
        """This scope without one annotation and every other annotation of its photograph."""
        return replace(
            self,
            without_annotations=self.without_annotations | {annotation},
            without_images=self.without_images | {image},
        )

    def select(self, gallery: Gallery) -> Selection:
        """Apply the filters one after the other: which rows stay, and how many each filter took away."""
        mask = np.ones(len(gallery), dtype=np.bool_)
        removed: dict[str, int] = {}
        for name, keep in self._filters(gallery):
            removed[name] = int(np.count_nonzero(mask & ~keep))
            mask &= keep
        return Selection(mask, removed)

    def _meets(self, year: int) -> bool:
        first, last = (self.since or date.min).year, (self.until or date.max).year
        return first <= year <= last

    def _filters(self, gallery: Gallery) -> Iterator[tuple[str, Mask]]:
        if self.only is not None:
            yield "not_listed", np.isin(gallery.annotation, _ids(self.only))
        if self.viewpoints != frozenset(Viewpoint):
            yield "viewpoint", np.isin(gallery.viewpoint, [VIEWPOINTS.index(v) for v in self.viewpoints])
        if self.years is not None:
            yield "year", np.isin(gallery.year, sorted(self.years))
        if self.since or self.until:
            first, last = (self.since or date.min).toordinal(), (self.until or date.max).toordinal()
            yield "undated", gallery.day != UNDATED
            yield "date", (gallery.day >= first) & (gallery.day <= last)
        for name, column, ids in (
            ("encounter", gallery.encounter, self.without_encounters),
            ("individual", gallery.individual, self.without_individuals),
            ("annotation", gallery.annotation, self.without_annotations),
            ("same_photograph", gallery.image, self.without_images),
        ):
            if ids:
                yield name, ~np.isin(column, _ids(ids))


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a scope picked: ``mask`` over the gallery's rows and, by filter, how many annotations it removed."""

    mask: Mask
    removed: dict[str, int] = field(default_factory=dict)

    def without(self, rows: Int64, reason: str) -> Selection:
        """This selection without some of its rows, counted under ``reason``."""
        mask = self.mask.copy()
        mask[rows] = False
        return Selection(mask, self.removed | {reason: self.removed.get(reason, 0) + len(rows)})

    @property
    def size(self) -> int:
        """How many annotations are searched."""
        return int(np.count_nonzero(self.mask))


def _ids(values: frozenset[int]) -> Int64:
    return np.fromiter(values, dtype=np.int64, count=len(values))
