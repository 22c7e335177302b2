"""Vectors kept beside a piece of work, in one file that vouches for itself, and searched as the index searches."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from app.adapters.faiss_manifest import Entry, Manifest, Stamp, StoredFile
from app.adapters.faiss_snapshot import FaissPartition, FaissSnapshot
from app.disk import disk_errors, sync_folder
from app.domain.ensemble import Float32
from app.domain.errors import Unavailable
from app.domain.frozen import Frozen
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Partition

_DIGEST = 32
_HEAD = "head"


class FaissFrozen:
    """The FrozenVectors port; ``batch_threads`` serve each search of many queries."""

    def __init__(self, *, batch_threads: int = 1) -> None:
        self._batch_threads = batch_threads

    def write(self, path: Path, frozen: Frozen) -> None:
        head = {"version": frozen.catalogue_version, "spaces": dict(frozen.fingerprints)}
        arrays: dict[str, npt.NDArray[Any]] = {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)}
        arrays |= {f"gallery.{column.name}": getattr(frozen.gallery, column.name) for column in fields(Gallery)}
        for space, (ids, vectors) in frozen.vectors.items():
            arrays |= {f"ids.{space}": ids, f"vectors.{space}": vectors}
        part = path.with_name(f"{path.name}.partial")
        with _translated():
            try:
                with part.open("w+b") as file:
                    file.write(bytes(_DIGEST))
                    np.savez(file, allow_pickle=False, **arrays)
                    file.seek(_DIGEST)
                    digest = hashlib.file_digest(file, "sha256").digest()
                    file.seek(0)
                    file.write(digest)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
                sync_folder(path.parent)
            finally:
                part.unlink(missing_ok=True)

    def read(self, path: Path) -> Frozen | None:
        with _translated():
            if not path.is_file():
                return None
            with path.open("rb") as file:
                expected = file.read(_DIGEST)
                if hashlib.file_digest(file, "sha256").digest() != expected:
                    return None
                file.seek(_DIGEST)
                return _loaded(file)

    def snapshot(self, frozen: Frozen) -> FaissSnapshot:
        partitions = [part for space in frozen.fingerprints for part in _partitions(frozen, space)]
        manifest = Manifest(1, frozen.catalogue_version, frozen.fingerprints, "", tuple(p.entry for p in partitions))
        return FaissSnapshot(manifest, frozen.gallery, partitions, batch_threads=self._batch_threads)


def _loaded(file: BinaryIO) -> Frozen:
    with np.load(file, allow_pickle=False) as arrays:
        head = json.loads(arrays[_HEAD].tobytes())
        gallery = Gallery(**{column.name: arrays[f"gallery.{column.name}"] for column in fields(Gallery)})
        vectors = {space: (arrays[f"ids.{space}"], arrays[f"vectors.{space}"]) for space in head["spaces"]}
    return Frozen(head["version"], head["spaces"], gallery, vectors)


def _partitions(frozen: Frozen, space: str) -> list[FaissPartition]:
    """One index for each viewpoint and year of a space, as in the index."""
    ids, vectors = frozen.vectors[space]
    rows = frozen.gallery.rows_of(ids)
    places = np.stack([frozen.gallery.viewpoint[rows], frozen.gallery.year[rows]], axis=1)
    found = []
    for viewpoint, year in np.unique(places, axis=0).tolist():
        own = np.flatnonzero((places == (viewpoint, year)).all(axis=1))
        partition = Partition(space, VIEWPOINTS[viewpoint], year)
        found.append(_partition(Stamp(partition, frozen.fingerprints[space], ""), ids[own], vectors[own]))
    return found


def _partition(stamp: Stamp, ids: Int64, vectors: Float32) -> FaissPartition:
    return FaissPartition(
        Entry(stamp, len(ids), vectors.shape[1], StoredFile("", 0)), ids, np.ascontiguousarray(vectors)
    )


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk is full: the vectors were not kept",
        lambda why: Unavailable(f"the folder of vectors does not answer: {why}"),
    )
