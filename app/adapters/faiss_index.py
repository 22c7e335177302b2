"""The VectorIndex port on FAISS: exact flat indexes in memory, kept on disk in immutable generations.

The catalogue is the truth and this is a cache of it: whatever on disk is damaged, missing, stale or foreign is built
again from the catalogue, and nothing is used before its hash was checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from app.adapters.faiss_files import IndexFolder
from app.adapters.faiss_manifest import Entry, Manifest, Stamp
from app.adapters.faiss_snapshot import FaissPartition, FaissSnapshot
from app.domain.errors import Corrupt, IndexUnavailable
from app.domain.partition import Gallery, Int64
from app.domain.ports import VectorSource
from app.failpoints import reach

_ID_BYTES, _NUMBER_BYTES = 8, 4


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the catalogue says that an index should hold now."""

    version: int
    spaces: Mapping[str, str]
    stamps: tuple[Stamp, ...]

    @staticmethod
    def by(source: VectorSource) -> _Wanted:
        version, spaces = source.version(), dict(source.fingerprints())
        stamps = [Stamp(p, spaces[p.space], signature) for p, signature in source.signatures().items()]
        return _Wanted(version, spaces, tuple(sorted(stamps)))


class FaissIndex:
    """Flat FAISS indexes below ``folder``; ``batch_threads`` serve each search of many queries, one each single one.

    Several processes may share the folder: one at a time writes, each answers from its own memory.
    """

    def __init__(self, folder: Path, *, batch_threads: int = 1) -> None:
        self._folder = IndexFolder(folder)
        self._batch_threads = batch_threads
        self._current: FaissSnapshot | None = None

    def current(self) -> FaissSnapshot:
        if self._current is None:
            raise IndexUnavailable("no index generation is ready yet")
        return self._current

    def refresh(self, source: VectorSource) -> FaissSnapshot:
        asked, before = source.version(), self._current
        with self._folder.writing():
            current = self._current
            # While this one waited another refresh may have begun and ended: then it holds all that was there to hold.
            if current is not None and current is not before and current.catalogue_version >= asked:
                return current
            with source.at_once() as state:
                wanted, gallery = _Wanted.by(state), state.gallery()
                partitions = self._partitions(state, wanted, gallery)
            return self._swapped(wanted, gallery, partitions)

    def verify(self, source: VectorSource) -> list[str]:
        if not self._folder.exists():
            return ["the index folder is missing"]
        with self._folder.reading(), source.at_once() as state:
            return list(self._faults(state))

    def _partitions(self, source: VectorSource, wanted: _Wanted, gallery: Gallery) -> tuple[FaissPartition, ...]:
        """Keep what is intact and current, in memory or on disk; build and store the rest."""
        manifests = [manifest for _, manifest in self._folder.generations() if manifest]
        entries = {entry.stamp: entry for manifest in reversed(manifests) for entry in manifest.partitions}
        return tuple(self._kept(entries.get(stamp), gallery) or self._built(source, stamp) for stamp in wanted.stamps)

    def _kept(self, entry: Entry | None, gallery: Gallery) -> FaissPartition | None:
        if entry is None:
            return None
        held = self._current.partition(entry) if self._current else None
        if held is None or not self._folder.untouched(entry.file):
            held = self._read(entry)
        return held if held and held.belongs(gallery) else None

    def _read(self, entry: Entry) -> FaissPartition | None:
        content = self._folder.load(entry.file)
        return None if content is None else _loaded(entry, content)

    def _built(self, source: VectorSource, stamp: Stamp) -> FaissPartition:
        ids, vectors = source.partition(stamp.partition)
        count, dimension = vectors.shape
        if len(ids) != count:
            raise Corrupt(f"{_name(stamp)}: {len(ids)} annotations with {count} vectors")
        ids, vectors = np.asarray(ids, "<i8"), np.ascontiguousarray(vectors, "<f4")
        entry = Entry(stamp, count, dimension, self._folder.store([ids, vectors]))
        return FaissPartition(entry, ids, vectors)

    def _swapped(self, wanted: _Wanted, gallery: Gallery, partitions: tuple[FaissPartition, ...]) -> FaissSnapshot:
        """Make a generation durable, then let it answer; the old one serves whoever still holds it.

        What is on disk already keeps its number, anything else takes the next one.
        """
        current = self._current
        newest, known = next(iter(self._folder.generations()), (0, None))
        entries = tuple(partition.entry for partition in partitions)
        manifest = Manifest(newest, wanted.version, wanted.spaces, _digest(gallery), entries)
        if manifest != known:
            manifest = replace(manifest, generation=max(newest, current.generation if current else 0) + 1)
        if current is None or current.manifest != manifest:
            current = FaissSnapshot(manifest, gallery, partitions, batch_threads=self._batch_threads)
        if manifest != known:
            self._folder.publish(manifest)
        self._current = current
        reach("index.swapped")
        self._folder.prune()
        reach("index.pruned")
        return current

    def _faults(self, source: VectorSource) -> Iterator[str]:
        generations = self._folder.generations()
        for number, manifest in generations:
            if manifest is None:
                yield f"the manifest of generation {number} is damaged or foreign"
        newest = next((manifest for _, manifest in generations if manifest), None)
        if newest is None:
            yield "the index folder holds no generation that can be used"
            return
        wanted, gallery = _Wanted.by(source), source.gallery()
        if (newest.catalogue_version, newest.gallery) != (wanted.version, _digest(gallery)):
            yield f"generation {newest.generation} is stale: its gallery is not the catalogue's"
        if newest.spaces != wanted.spaces:
            yield f"generation {newest.generation} is foreign: its spaces have other fingerprints than the active ones"
        yield from _stale(newest, wanted)
        for entry in newest.partitions:
            partition = _name(entry.stamp)
            if reason := self._folder.fault(entry.file):
                yield f"{partition} {reason}"
            elif (loaded := self._read(entry)) is None or not loaded.belongs(gallery):
                yield f"{partition} is foreign: its annotations are not those of its viewpoint and year"
            elif entry.stamp in wanted.stamps and _others(loaded, source):
                yield f"{partition} is foreign: it holds other annotations than the catalogue"


def _stale(manifest: Manifest, wanted: _Wanted) -> Iterator[str]:
    held = {stamp.partition: stamp for stamp in manifest.stamps}
    for stamp in wanted.stamps:
        mine = held.pop(stamp.partition, None)
        if mine is None:
            yield f"{_name(stamp)} is missing"
        elif mine.fingerprint != stamp.fingerprint:
            yield f"{_name(stamp)} is foreign: its vectors have another fingerprint"
        elif mine != stamp:
            yield f"{_name(stamp)} is stale: the catalogue has changed since"
    yield from (f"{_name(stamp)} is stale: the catalogue holds nothing there now" for stamp in held.values())


def _others(partition: FaissPartition, source: VectorSource) -> bool:
    """Whether its annotations are not exactly those that the catalogue has there."""
    return not np.array_equal(partition.ids, source.partition(partition.entry.stamp.partition)[0])


def _digest(gallery: Gallery) -> str:
    digest = hashlib.sha256()
    for column in fields(Gallery):
        digest.update(np.asarray(getattr(gallery, column.name), "<i8").tobytes())
    return digest.hexdigest()


def _loaded(entry: Entry, content: bytes) -> FaissPartition | None:
    """A partition from bytes whose hash was checked, None when they are no rows of its count and dimension."""
    ids_end = entry.count * _ID_BYTES
    if ids_end + entry.count * entry.dimension * _NUMBER_BYTES != len(content) or entry.count < 0:
        return None
    ids: Int64 = np.frombuffer(content, dtype="<i8", count=entry.count).copy()
    vectors = np.frombuffer(content, dtype="<f4", offset=ids_end).reshape(entry.count, entry.dimension)
    return FaissPartition(entry, ids, vectors)


def _name(stamp: Stamp) -> str:
    space, viewpoint, year = stamp.partition
    return f"partition {space}/{viewpoint}/{year or 'undated'}"
