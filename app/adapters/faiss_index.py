"""The VectorIndex port on FAISS: exact flat indexes in memory, kept on disk in immutable generations.

The catalogue is the truth and this is a cache of it: whatever on disk is damaged, missing, stale or foreign is built
again from the catalogue, and nothing is used before its hash was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from app.adapters.faiss_files import IndexFolder
from app.adapters.faiss_manifest import Entry, Manifest, Stamp, StoredFile
from app.adapters.faiss_snapshot import FaissPartition, FaissSnapshot
from app.domain.errors import Corrupt, IndexUnavailable
from app.domain.partition import Gallery, Int64
from app.domain.ports import VectorSource

_ATTEMPTS = 8
_COLUMNS = tuple(column.name for column in fields(Gallery))
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
        # A space may go between the two calls; the version has then changed and everything is read again.
        stamps = [Stamp(p, spaces.get(p.space, ""), signature) for p, signature in source.signatures().items()]
        return _Wanted(version, spaces, tuple(sorted(stamps)))

    def is_met_by(self, manifest: Manifest) -> bool:
        return (manifest.catalogue_version, manifest.spaces, manifest.stamps) == (
            self.version,
            self.spaces,
            frozenset(self.stamps),
        )


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
        with self._folder.writing():
            for _ in range(_ATTEMPTS):
                wanted = _Wanted.by(source)
                file, gallery, partitions = self._collected(source, wanted)
                # Only what was read of one catalogue version may become a generation.
                if source.version() == wanted.version:
                    entries = tuple(partition.entry for partition in partitions)
                    self._swap(Manifest(0, wanted.version, wanted.spaces, file, entries), gallery, partitions)
                    return self.current()
        raise IndexUnavailable("the catalogue kept changing while its index was built; try again")

    def verify(self, source: VectorSource) -> list[str]:
        if not self._folder.exists():
            return ["the index folder is missing"]
        with self._folder.reading():
            return list(self._faults(source))

    def _collected(
        self, source: VectorSource, wanted: _Wanted
    ) -> tuple[StoredFile, Gallery, tuple[FaissPartition, ...]]:
        """Gather a generation: what is intact and current is kept, the rest is built and stored."""
        manifests = [manifest for _, manifest in self._folder.generations() if manifest]
        entries = {entry.stamp: entry for manifest in reversed(manifests) for entry in manifest.partitions}
        kept = {stamp: self._kept(entries.get(stamp)) for stamp in wanted.stamps}
        file = manifests[0].gallery if manifests and wanted.is_met_by(manifests[0]) else None
        gallery = self._kept_gallery(file) if file else None
        if not file or not gallery or any(p is None or not p.belongs(gallery) for p in kept.values()):
            gallery = source.gallery()
            file = self._folder.store(np.asarray(getattr(gallery, name), "<i8") for name in _COLUMNS)
        partitions = tuple(
            partition if partition and partition.belongs(gallery) else self._built(source, stamp)
            for stamp, partition in kept.items()
        )
        return file, gallery, partitions

    def _kept(self, entry: Entry | None) -> FaissPartition | None:
        if entry is None:
            return None
        held = self._current.partition(entry) if self._current else None
        if held and self._folder.fault(entry.file) is None:
            return held
        return self._read(entry)

    def _read(self, entry: Entry) -> FaissPartition | None:
        content = self._folder.load(entry.file)
        return _loaded(entry, content) if content is not None else None

    def _kept_gallery(self, file: StoredFile) -> Gallery | None:
        content = self._folder.load(file)
        if content is None or len(content) % (len(_COLUMNS) * _ID_BYTES):
            return None
        return Gallery(*np.frombuffer(content, dtype="<i8").reshape(len(_COLUMNS), -1))

    def _built(self, source: VectorSource, stamp: Stamp) -> FaissPartition:
        ids, vectors = source.partition(stamp.partition)
        count, dimension = vectors.shape
        if len(ids) != count:
            raise Corrupt(f"{_name(stamp)}: {len(ids)} annotations with {count} vectors")
        ids, vectors = np.asarray(ids, "<i8"), np.ascontiguousarray(vectors, "<f4")
        entry = Entry(stamp, count, dimension, self._folder.store([ids, vectors]))
        return FaissPartition(entry, ids, vectors)

    def _swap(self, draft: Manifest, gallery: Gallery, partitions: tuple[FaissPartition, ...]) -> None:
        """Make a generation durable, then let it answer; the old one serves whoever still holds it.

        What is on disk already keeps its number, anything else takes the next one.
        """
        current = self._current
        newest, known = next(iter(self._folder.generations()), (0, None))
        manifest = replace(draft, generation=newest)
        if manifest != known:
            manifest = replace(draft, generation=max(newest, current.generation if current else 0) + 1)
        if current is None or current.manifest != manifest:
            current = FaissSnapshot(manifest, gallery, partitions, batch_threads=self._batch_threads)
        if manifest != known:
            self._folder.publish(manifest)
        self._current = current
        self._folder.prune()

    def _faults(self, source: VectorSource) -> Iterator[str]:
        generations = self._folder.generations()
        for number, manifest in generations:
            if manifest is None:
                yield f"the manifest of generation {number} is damaged or foreign"
        newest = next((manifest for _, manifest in generations if manifest), None)
        if newest is None:
            yield "the index folder holds no generation that can be used"
            return
        yield from self._stale(newest, _Wanted.by(source))
        if reason := self._folder.fault(newest.gallery):
            yield f"the gallery {reason}"
        gallery = source.gallery()
        for entry in newest.partitions:
            partition = _name(entry.stamp)
            if reason := self._folder.fault(entry.file):
                yield f"{partition} {reason}"
            elif (loaded := self._read(entry)) is None or not loaded.belongs(gallery):
                yield f"{partition} is foreign: its annotations are not those of its viewpoint and year"

    def _stale(self, manifest: Manifest, wanted: _Wanted) -> Iterator[str]:
        if manifest.catalogue_version != wanted.version:
            yield f"the gallery is of catalogue version {manifest.catalogue_version}: stale, it is {wanted.version} now"
        if manifest.spaces != wanted.spaces:
            yield "the generation is foreign: its spaces have other fingerprints than the active ones"
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
