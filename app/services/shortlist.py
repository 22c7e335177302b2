"""The gallery as a query sees it: the spaces that compare both views joined into one, searched and read by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, Space
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Mask
from app.domain.ports import Snapshot
from app.domain.profiles import Augment
from app.domain.rerank import augment, likeness

# Searched deeper than asked: the query's own photograph is passed over, and answers whose cosines differ by a rounding
# are sorted out by their exact ones. The number is fixed, so that no query depends on what is asked beside it.
_SPARE = 16
# So many annotations are surveyed at once, which bounds the numbers in flight, and so many are remembered: a gallery of
# any size costs a bounded memory, and one that fits is surveyed once.
_BLOCK, _KEPT = 256, 65536


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Gallery rows (``mask``) whose views the same ``spaces`` can compare with the query's.

    A joined vector holds the vectors of all spaces, scaled so that an inner product is the weighted mean of cosines.
    """

    snapshot: Snapshot
    spaces: tuple[Space, ...]
    mask: Mask
    _shortlisted: list[tuple[Int64, Float32]] = field(default_factory=list)
    _near: dict[int, Int64] = field(default_factory=dict)
    _moved: dict[int, Float32] = field(default_factory=dict)
    _movers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def join(self, vectors: Mapping[str, Float32]) -> Float32:
        """Joined vectors (n, d) from vectors by space."""
        if len(self.spaces) == 1:
            return vectors[self.spaces[0].name]
        total = sum(space.weight for space in self.spaces)
        parts = [vectors[space.name] * np.float32(np.sqrt(space.weight / total)) for space in self.spaces]
        return np.concatenate(parts, axis=1)

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

    def augmented(self, annotations: Int64, stage: Augment, passed: Int64) -> Float32:
        """Joined vectors (n, d) moved towards their neighbours; ``passed`` (the query's own photograph) are no one's.

        What does not depend on ``passed`` is computed once.
        """
        if not len(annotations):
            return self.vectors(annotations)
        self.survey(annotations, stage)
        out = np.stack([self._moved[one] for one in annotations.tolist()])
        movers = [mover for one in passed.tolist() for mover in self._movers.get(one, ())]
        touched = np.isin(annotations, np.array(movers, np.int64)) if movers else np.zeros(len(annotations), np.bool_)
        if touched.any():
            out[touched] = self._augment(annotations[touched], stage, passed)
        return out

    def survey(self, annotations: Int64, stage: Augment) -> None:
        """Find the nearest others of annotations, best first, ties by id, and move each towards its own.

        Asked for many at once this is several times as quick. What is found is kept, up to a bound, as long as the
        ground lasts: always with the same stage.
        """
        new = np.array([one for one in annotations.tolist() if one not in self._near], np.int64)
        if len(new) and len(new) + len(self._near) > _KEPT:
            self._near.clear()
            self._moved.clear()
            self._movers.clear()
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
            for other in others[order][: stage.neighbours].tolist():
                self._movers[other].append(one)
        self._moved.update(zip(new.tolist(), self._augment(new, stage, np.zeros(0, np.int64)), strict=True))

    def _augment(self, annotations: Int64, stage: Augment, passed: Int64) -> Float32:
        chosen = np.full((len(annotations), stage.neighbours), -1, np.int64)
        for row, annotation in enumerate(annotations.tolist()):
            near = self._near[annotation]
            near = (near[~np.isin(near, passed)] if len(passed) else near)[: stage.neighbours]
            chosen[row, : len(near)] = near
        known, at = np.unique(chosen, return_inverse=True)
        return augment(self.vectors(annotations), self.vectors(known)[at.reshape(chosen.shape)], stage)


def grounds(
    snapshot: Snapshot, ensemble: Ensemble, viewpoint: Viewpoint, mask: Mask, given: Collection[str] | None = None
) -> Iterator[Ground]:
    """The rows of ``mask`` that can be compared with a query of one viewpoint, by the spaces that compare them.

    With ``given`` only these spaces count: those that could embed the query.
    """
    for spaces, part in _groups(snapshot.gallery, ensemble, viewpoint, mask):
        usable = tuple(space for space in spaces if given is None or space.name in given)
        if usable:
            yield Ground(snapshot, usable, part)


def _groups(
    gallery: Gallery, ensemble: Ensemble, viewpoint: Viewpoint, mask: Mask
) -> Iterator[tuple[tuple[Space, ...], Mask]]:
    grouped: dict[tuple[Space, ...], list[int]] = defaultdict(list)
    for position, other in enumerate(VIEWPOINTS):
        grouped[ensemble.spaces_for(viewpoint, other)].append(position)
    for spaces, positions in grouped.items():
        part = mask & np.isin(gallery.viewpoint, positions)
        if spaces and part.any():
            yield spaces, part
