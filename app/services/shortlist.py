"""The gallery as a query sees it: the spaces that compare both views joined into one, searched and read by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, Space
from app.domain.partition import VIEWPOINTS, Int64, Mask
from app.domain.ports import Snapshot
from app.domain.profiles import Augment, Centre
from app.domain.rerank import Float64, augment, likeness
from app.services.looks import Looks, joined

# Searched deeper than asked: the query's own photograph is passed over, and answers whose cosines differ by a rounding
# are sorted out by their exact ones. The number is fixed, so that no query depends on what is asked beside it.
_SPARE = 16
# So many annotations are surveyed at once, which bounds the numbers in flight, and so many are remembered: a gallery of
# any size costs a bounded memory, and one that fits is surveyed once.
_BLOCK, _KEPT = 256, 65536
# So many are moved towards their neighbours at once.
_FEW = 16


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Gallery rows (``mask``) whose views the same ``spaces`` can compare with the query's.

    A joined vector holds the vectors of all spaces, scaled so that an inner product is the weighted mean of cosines.
    With ``looks`` they are compared without what their days share; they are searched as they are stored.
    """

    snapshot: Snapshot
    spaces: tuple[Space, ...]
    mask: Mask
    looks: Looks | None = None
    _shortlisted: list[tuple[Int64, Float32]] = field(default_factory=list)
    _near: dict[int, Int64] = field(default_factory=dict)
    _moved: dict[int, tuple[Float32, float]] = field(default_factory=dict)
    _chosen: dict[int, Int64] = field(default_factory=dict)

    def join(self, vectors: Mapping[str, Float32]) -> Float32:
        """Joined vectors (n, d) from vectors by space."""
        return joined(self.spaces, vectors)

    def asked(self, query: Float32, day: int, passed: Int64) -> Float32:
        """A joined query (d) of a day as it is compared; ``passed`` are the annotations of its own photograph."""
        return self.looks.asked(query, day, passed) if self.looks else query

    def seen(self, annotations: Int64, passed: Int64) -> Float32:
        """Joined vectors (n, d) of annotations as they are compared with a query whose own photograph is ``passed``."""
        vectors = self.vectors(annotations)
        return self.looks.without(vectors, annotations, passed) if self.looks else vectors

    def vectors(self, annotations: Int64) -> Float32:
        """Joined vectors (n, d) of annotations; those shortlisted last are not read again."""
        for ids, vectors in self._shortlisted:
            at = np.minimum(np.searchsorted(ids, annotations), len(ids) - 1)
            if np.array_equal(ids[at], annotations):
                return vectors[at]
        return self.join({space.name: self.snapshot.vectors(space.name, annotations) for space in self.spaces})

    def shortlist(self, annotations: Int64) -> Float32:
        """Joined vectors (n, d) of annotations, n > 0, ascending, that are kept until the next ones are shortlisted."""
        self._shortlisted[:] = [(annotations, self.vectors(annotations))]
        return self._shortlisted[0][1]

    def search(self, queries: Float32, depth: int) -> list[Int64]:
        """For each joined query (n, d) the annotations, ascending, that a space likes best: ``depth`` and more."""
        ends = np.cumsum([space.dimension for space in self.spaces])[:-1]
        parts = np.split(queries, ends, axis=1)
        found = [
            self.snapshot.search(space.name, part, self.mask, depth + _SPARE).annotations
            for space, part in zip(self.spaces, parts, strict=True)
        ]
        return [np.unique(row[row >= 0]) for row in np.concatenate(found, axis=1)]

    def augmented(self, annotations: Int64, stage: Augment, passed: Int64) -> tuple[Float32, Float64]:
        """Joined vectors (n, d) moved towards their neighbours, and their crowds (n), as ``rerank.augment`` has them.

        ``passed`` (the query's own photograph) are no one's. What does not depend on them is computed once.
        """
        if not len(annotations):
            return self.vectors(annotations), np.zeros(0)
        self.survey(annotations, stage)
        moved, met = zip(*(self._moved[one] for one in annotations.tolist()), strict=True)
        vectors, crowds, touched = np.stack(moved), np.array(met), self._touched(annotations, passed)
        if touched.any():
            vectors[touched], crowds[touched] = self._augment(annotations[touched], stage, passed)
        return vectors, crowds

    def _touched(self, annotations: Int64, passed: Int64) -> Mask:
        """Which of them ``passed`` would have moved, as a neighbour or by what the photographs of a day share."""
        around = np.column_stack([annotations, np.stack([self._chosen[one] for one in annotations.tolist()])])
        touched = np.isin(around, passed)
        if self.looks:
            touched |= self.looks.touched(around, passed)
        return np.asarray(touched.any(axis=1), np.bool_)

    def survey(self, annotations: Int64, stage: Augment) -> None:
        """Find the nearest others of annotations, best first, ties by id, and move each towards its own.

        Asked for many at once this is several times as quick. What is found is kept, up to a bound, as long as the
        ground lasts: always with the same stage.
        """
        new = np.array([one for one in annotations.tolist() if one not in self._near], np.int64)
        if len(new) and len(new) + len(self._near) > _KEPT:
            self._near.clear()
            self._moved.clear()
            self._chosen.clear()
            new = np.unique(annotations)
        for start in range(0, len(new), _BLOCK):
            self._surveyed(new[start : start + _BLOCK], stage)

    def _surveyed(self, new: Int64, stage: Augment) -> None:
        vectors = self.vectors(new)
        found = self.search(vectors, stage.neighbours + 1)
        known = np.unique(np.concatenate(found))
        around = self.vectors(known)
        for one, vector, row in zip(new.tolist(), vectors, found, strict=True):
            others = row[row != one]
            order = np.lexsort((others, -likeness(vector, around[np.searchsorted(known, others)])))
            self._near[one] = others[order]
            self._chosen[one] = self._first(one, stage, np.zeros(0, np.int64))
        vectors, crowds = self._augment(new, stage, np.zeros(0, np.int64))
        self._moved.update(zip(new.tolist(), zip(vectors, crowds.tolist(), strict=True), strict=True))

    def _augment(self, annotations: Int64, stage: Augment, passed: Int64) -> tuple[Float32, Float64]:
        chosen = np.stack([self._first(one, stage, passed) for one in annotations.tolist()])
        known, at = np.unique(chosen, return_inverse=True)
        vectors, near, places = self.seen(annotations, passed), self.seen(known, passed), at.reshape(chosen.shape)
        # What lies in the processor's cache is read several times as quickly.
        parts = [slice(start, start + _FEW) for start in range(0, len(annotations), _FEW)]
        moved, crowds = zip(*(augment(vectors[part], near[places[part]], stage) for part in parts), strict=True)
        return np.concatenate(moved), np.concatenate(crowds)

    def _first(self, annotation: int, stage: Augment, passed: Int64) -> Int64:
        """The neighbours (stage.neighbours) of an annotation that was surveyed; -1 where there are fewer."""
        near = self._near[annotation]
        near = (near[~np.isin(near, passed)] if len(passed) else near)[: stage.neighbours]
        return np.append(near, np.full(stage.neighbours - len(near), -1))


def grounds(
    snapshot: Snapshot,
    ensemble: Ensemble,
    viewpoint: Viewpoint,
    mask: Mask,
    given: Collection[str] | None = None,
    centre: Centre | None = None,
) -> Iterator[Ground]:
    """The rows of ``mask`` that can be compared with a query of one viewpoint, by the spaces that compare them.

    With ``given`` only these spaces count: those that could embed the query. With ``centre`` the rows of the query's
    own view, where that is known, are a ground of their own, compared without what their days share.
    """
    view = VIEWPOINTS.index(viewpoint)
    for spaces, positions in _groups(ensemble, viewpoint):
        usable = tuple(space for space in spaces if given is None or space.name in given)
        apart = centre is not None and viewpoint is not Viewpoint.UNKNOWN and view in positions
        for part in ([view], [one for one in positions if one != view]) if apart else (positions,):
            rows = mask & np.isin(snapshot.gallery.viewpoint, part)
            if usable and rows.any():
                looks = Looks(snapshot, usable, view, rows, centre) if centre and apart and part == [view] else None
                yield Ground(snapshot, usable, rows, looks)


def _groups(ensemble: Ensemble, viewpoint: Viewpoint) -> Iterator[tuple[tuple[Space, ...], list[int]]]:
    """Viewpoints, by their place in VIEWPOINTS, that the same spaces compare with one."""
    grouped: dict[tuple[Space, ...], list[int]] = defaultdict(list)
    for position, other in enumerate(VIEWPOINTS):
        grouped[ensemble.spaces_for(viewpoint, other)].append(position)
    yield from grouped.items()
