"""The reference index (brute force in numpy, nothing on disk) and a source of vectors that a test can edit."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Float32
from app.domain.errors import IndexUnavailable, SpaceMismatch
from app.domain.occasions import DaySums
from app.domain.partition import NOBODY, VIEWPOINTS, Gallery, Int64, Mask, Partition
from app.domain.ports import Neighbours, VectorSource


@dataclass
class Shown:
    """One annotation of a FakeSource; a space that is not in ``vectors`` does not serve it."""

    annotation: int
    vectors: dict[str, Float32]
    viewpoint: Viewpoint = Viewpoint.TOP
    year: int = 2020
    individual: int = NOBODY


@dataclass
class FakeSource:
    """A catalogue's vectors in memory: the VectorSource port, with edits that each raise the version."""

    spaces: dict[str, str] = field(default_factory=lambda: {"body": "f1"})
    shown: dict[int, Shown] = field(default_factory=dict)
    edits: int = 0
    reads: list[Partition] = field(default_factory=list)

    def put(self, *shown: Shown) -> None:
        self.shown |= {one.annotation: one for one in shown}
        self.edits += 1

    def remove(self, *annotations: int) -> None:
        for annotation in annotations:
            del self.shown[annotation]
        self.edits += 1

    def move(self, annotation: int, viewpoint: Viewpoint, year: int) -> None:
        old = self.shown[annotation]
        self.put(Shown(annotation, old.vectors, viewpoint, year, old.individual))

    def at_once(self) -> AbstractContextManager["FakeSource"]:
        return nullcontext(self)

    def version(self) -> int:
        return self.edits

    def fingerprints(self) -> Mapping[str, str]:
        return dict(self.spaces)

    def signatures(self) -> Mapping[Partition, str]:
        partitions = {Partition(s, one.viewpoint, one.year) for one in self.shown.values() for s in self._of(one)}
        return {partition: self._signature(partition) for partition in partitions}

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        self.reads.append(partition)
        return self._rows(partition)

    def gallery(self) -> Gallery:
        shown = [self.shown[annotation] for annotation in sorted(self.shown)]
        ids = np.array([one.annotation for one in shown], dtype=np.int64)
        years = np.array([one.year for one in shown], dtype=np.int64)
        return Gallery(
            annotation=ids,
            individual=np.array([one.individual for one in shown], dtype=np.int64),
            encounter=ids // 3,
            image=ids,
            viewpoint=np.array([VIEWPOINTS.index(one.viewpoint) for one in shown], dtype=np.int64),
            year=years,
            day=years * 365,
            phash=ids * 0,
            fold=ids,
        )

    def _of(self, shown: Shown) -> Iterable[str]:
        return shown.vectors.keys() & self.spaces.keys()

    def _rows(self, partition: Partition) -> tuple[Int64, Float32]:
        space, viewpoint, year = partition
        ids = sorted(
            one.annotation
            for one in self.shown.values()
            if space in one.vectors and (one.viewpoint, one.year) == (viewpoint, year)
        )
        vectors = np.array([self.shown[annotation].vectors[space] for annotation in ids], dtype=np.float32)
        return np.array(ids, dtype=np.int64), vectors if ids else np.zeros((0, 0), np.float32)

    def _signature(self, partition: Partition) -> str:
        ids, vectors = self._rows(partition)
        return hashlib.sha256(ids.tobytes() + vectors.tobytes()).hexdigest()


def unit_vectors(count: int, dimension: int, seed: int = 0) -> Float32:
    """Random unit vectors, (count, dimension)."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def made_source(count: int = 60, dimension: int = 8, years: int = 3, seed: int = 0) -> FakeSource:
    """Annotations 10, 20, 30 ... over all viewpoints and some years; every fifth has no vector."""
    rng = np.random.default_rng(seed)
    source = FakeSource()
    source.put(
        *(
            Shown(
                annotation=10 * (i + 1),
                vectors={} if i % 5 == 4 else {"body": vector},
                viewpoint=VIEWPOINTS[int(rng.integers(len(VIEWPOINTS)))],
                year=int(rng.choice([0, *range(2019, 2019 + years - 1)])),
                individual=int(rng.integers(-1, 9)),
            )
            for i, vector in enumerate(unit_vectors(count, dimension, seed))
        )
    )
    return source


class NumpySnapshot:
    """The Snapshot port by brute force: every cosine is computed, the best are sorted out."""

    def __init__(self, generation: int, source: VectorSource) -> None:
        with source.at_once() as state:
            self._read(generation, state)

    def _read(self, generation: int, source: VectorSource) -> None:
        self.generation = generation
        self.catalogue_version = source.version()
        self.gallery = source.gallery()
        self.fingerprints = dict(source.fingerprints())
        self.signatures = dict(source.signatures())
        self._held: dict[str, dict[int, Float32]] = {space: {} for space in self.fingerprints}
        for partition in self.signatures:
            ids, vectors = source.partition(partition)
            self._held[partition.space] |= dict(zip(ids.tolist(), vectors, strict=True))
        self.days = DaySums()

    def search(self, space: str, queries: Float32, mask: Mask, k: int) -> Neighbours:
        held = self._space(space)
        if held and queries.shape[1] != len(next(iter(held.values()))):
            raise SpaceMismatch(f"queries of {queries.shape[1]} numbers")
        ids = [annotation for annotation in self.gallery.annotation[mask].tolist() if annotation in held]
        cosines = queries @ self.vectors(space, np.array(ids, dtype=np.int64)).T if ids else np.zeros((len(queries), 0))
        found = np.full((len(queries), k), -1, dtype=np.int64)
        best = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, scores in enumerate(cosines):
            order = np.lexsort((ids, -scores))[:k]
            found[row, : len(order)] = np.array(ids, dtype=np.int64)[order]
            best[row, : len(order)] = scores[order]
        return Neighbours(found, best)

    def held(self, space):
        return np.isin(self.gallery.annotation, list(self._space(space)))

    def vectors(self, space: str, annotations: Int64) -> Float32:
        held = self._space(space)
        dimension = len(next(iter(held.values()))) if held else 0
        rows = [held.get(annotation, np.zeros(dimension, np.float32)) for annotation in annotations.tolist()]
        return np.array(rows, dtype=np.float32).reshape(len(annotations), dimension)

    def _space(self, space: str) -> dict[int, Float32]:
        if space not in self._held:
            raise SpaceMismatch(f"no space {space!r}")
        return self._held[space]


class NumpyIndex:
    """The VectorIndex port in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: NumpySnapshot | None = None

    def current(self) -> NumpySnapshot:
        if self._current is None:
            raise IndexUnavailable("no index generation is ready yet")
        return self._current

    def refresh(self, source: VectorSource) -> NumpySnapshot:
        with self._lock:
            if self._current is None or self.verify(source):
                self._current = NumpySnapshot(self._current.generation + 1 if self._current else 1, source)
            return self._current

    def verify(self, source: VectorSource) -> list[str]:
        if self._current is None:
            return ["there is no generation yet"]
        held = self.current()
        mine = (held.catalogue_version, held.fingerprints, held.signatures)
        if mine != (source.version(), source.fingerprints(), source.signatures()):
            return ["the generation is stale"]
        return []
