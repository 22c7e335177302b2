"""One generation of the index in memory: a flat inner-product index per partition, never added to once searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from app.adapters.faiss_manifest import Entry, Manifest
from app.domain.ensemble import Float32
from app.domain.errors import Corrupt, SpaceMismatch
from app.domain.occasions import DaySums
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Mask
from app.domain.ports import Neighbours

# Measured on one thread with 10,000 x 1,024: from about 8 queries on multiplying matrices is the faster way, with 32 it
# takes a seventh of the time. FAISS would begin at queries x dimension = 128,000; its number is the whole process's.
_BATCH = 8
faiss.cvar.distance_compute_blas_threshold = _BATCH * 1024


class FaissPartition:
    """One partition: position i of the index is the vector of annotation ``ids[i]``; shared by generations."""

    def __init__(self, entry: Entry, ids: Int64, vectors: Float32) -> None:
        self.entry = entry
        self.ids = ids
        self._index = faiss.IndexFlatIP(entry.dimension)
        self._index.add(vectors)

    def belongs(self, gallery: Gallery) -> bool:
        """Whether the gallery holds every annotation, each with this partition's viewpoint and year."""
        _, viewpoint, year = self.entry.stamp.partition
        rows = gallery.rows_of(self.ids)
        return bool(
            np.all(rows >= 0)
            and np.all(gallery.viewpoint[rows] == VIEWPOINTS.index(viewpoint))
            and np.all(gallery.year[rows] == year)
        )

    def search(self, queries: Float32, picked: Mask, k: int) -> tuple[Float32, Int64]:
        """Cosines and annotation ids, each (n, min(k, picked)), of the best picked positions; id -1 fills up."""
        count = int(np.count_nonzero(picked))
        k = min(k, count)
        if count == len(picked):
            cosines, found = self._index.search(queries, k)
        elif len(queries) < _BATCH:
            # The parameters point at the selector and it at the bits without owning them: all live in names here.
            bits = np.packbits(picked, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters()
            parameters.sel = selector
            cosines, found = self._index.search(queries, k, params=parameters)
        else:
            # With a selector FAISS takes one vector at a time: for a batch, copying the picked ones is cheaper.
            positions = np.flatnonzero(picked)
            aside = faiss.IndexFlatIP(self.entry.dimension)
            aside.add(self._index.reconstruct_batch(positions))
            cosines, found = aside.search(queries, k)
            found = np.where(found < 0, -1, positions[found])
        # A vector that is not a number is never found: FAISS gives position -1 instead.
        missing = found < 0
        return np.where(missing, np.float32(-np.inf), cosines), np.where(missing, -1, self.ids[found])

    def vectors(self, positions: Int64) -> Float32:
        """The vectors at these positions, (n, d)."""
        vectors: Float32 = self._index.reconstruct_batch(positions)
        return vectors


@dataclass(frozen=True, slots=True, eq=False)
class _Shelf:
    """The partitions of one space; a gallery row's vector lies at ``position`` of partition ``number``, -1 without."""

    dimension: int | None
    partitions: tuple[FaissPartition, ...]
    rows: tuple[Int64, ...]
    number: Int64
    position: Int64


class FaissSnapshot:
    """The Snapshot port. Raises Corrupt for partitions that contradict the gallery, SpaceMismatch for each other."""

    def __init__(
        self, manifest: Manifest, gallery: Gallery, partitions: Sequence[FaissPartition], *, batch_threads: int
    ) -> None:
        self.manifest = manifest
        self._partitions = {partition.entry: partition for partition in partitions}
        self._gallery = gallery
        self._batch_threads = batch_threads
        self._days = DaySums()
        self._shelves = {
            space: _shelf(space, gallery, [p for p in partitions if p.entry.stamp.partition.space == space])
            for space in manifest.spaces
        }

    @property
    def generation(self) -> int:
        return self.manifest.generation

    @property
    def catalogue_version(self) -> int:
        return self.manifest.catalogue_version

    @property
    def fingerprints(self) -> Mapping[str, str]:
        return self.manifest.spaces

    @property
    def gallery(self) -> Gallery:
        return self._gallery

    @property
    def days(self) -> DaySums:
        return self._days

    def partition(self, entry: Entry) -> FaissPartition | None:
        """The partition that was loaded or built for exactly this entry."""
        return self._partitions.get(entry)

    def search(self, space: str, queries: Float32, mask: Mask, k: int) -> Neighbours:
        shelf = self._shelf_of(space)
        _, dimension = queries.shape
        if shelf.dimension not in {None, dimension}:
            raise SpaceMismatch(f"space {space!r} has vectors of {shelf.dimension} numbers, not of {dimension}")
        if mask.shape != (len(self._gallery),) or k < 0:
            raise ValueError(f"a mask of {len(self._gallery)} rows and k from 0 are needed, not {mask.shape} and {k}")
        # OpenMP keeps this number per calling thread, so it is set by each: a second thread makes one query slower.
        faiss.omp_set_num_threads(self._batch_threads if len(queries) >= _BATCH else 1)
        wanted = np.ascontiguousarray(queries, dtype=np.float32)
        cosines = [np.full((len(queries), k), -np.inf, dtype=np.float32)]
        ids = [np.full((len(queries), k), -1, dtype=np.int64)]
        for partition, rows in zip(shelf.partitions, shelf.rows, strict=True):
            picked = mask[rows]
            if k and picked.any():
                best, found = partition.search(wanted, picked, k)
                cosines.append(best)
                ids.append(found)
        return _merged(np.concatenate(cosines, axis=1), np.concatenate(ids, axis=1), k)

    def held(self, space: str) -> Mask:
        return self._shelf_of(space).number >= 0

    def vectors(self, space: str, annotations: Int64) -> Float32:
        shelf = self._shelf_of(space)
        found = np.zeros((len(annotations), shelf.dimension or 0), dtype=np.float32)
        rows = self._gallery.rows_of(annotations)
        known = np.flatnonzero(rows >= 0)
        numbers = np.full(len(annotations), -1, dtype=np.int64)
        numbers[known] = shelf.number[rows[known]]
        for number in np.unique(numbers[numbers >= 0]):
            here = numbers == number
            found[here] = shelf.partitions[number].vectors(shelf.position[rows[here]])
        return found

    def _shelf_of(self, space: str) -> _Shelf:
        if space not in self._shelves:
            raise SpaceMismatch(f"generation {self.generation} holds no space {space!r}")
        return self._shelves[space]


def _shelf(space: str, gallery: Gallery, partitions: Sequence[FaissPartition]) -> _Shelf:
    filled = tuple(partition for partition in partitions if len(partition.ids))
    dimensions = {partition.entry.dimension for partition in filled}
    if len(dimensions) > 1:
        raise SpaceMismatch(f"space {space!r} has vectors of several dimensions: {sorted(dimensions)}")
    number = np.full(len(gallery), -1, dtype=np.int64)
    position = np.full(len(gallery), -1, dtype=np.int64)
    rows = tuple(gallery.rows_of(partition.ids) for partition in filled)
    for i, (partition, at) in enumerate(zip(filled, rows, strict=True)):
        if not partition.belongs(gallery):
            raise Corrupt(f"partition {partition.entry.stamp.partition} and the gallery contradict each other")
        number[at], position[at] = i, np.arange(len(at))
    return _Shelf(dimensions.pop() if dimensions else None, filled, rows, number, position)


def _merged(cosines: Float32, ids: Int64, k: int) -> Neighbours:
    best = np.lexsort((ids, -cosines), axis=1)[:, :k]
    return Neighbours(np.take_along_axis(ids, best, axis=1), np.take_along_axis(cosines, best, axis=1))
