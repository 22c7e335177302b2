"""Extract: write the vectors that are searched now into a file, with what is known of each annotation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Annotation
from app.domain.ensemble import Float32, Space
from app.domain.ports import Catalogue, Embedder, Snapshot, VectorIndex
from app.domain.vector_table import VectorTable
from app.services.rank import current_snapshot

# As many annotations are read from the catalogue at once.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Extract:
    """The use case; ``write`` keeps named arrays in one file, complete or not at all."""

    catalogue: Catalogue
    embedder: Embedder
    index: VectorIndex
    write: Callable[[Path, Mapping[str, npt.NDArray[Any]]], None]

    def __call__(self, path: Path) -> VectorTable:
        """Write what is served now to ``path``; an annotation that was removed meanwhile is left out.

        Raises SpaceMismatch when another ensemble is served than the one in force, and Unavailable.
        """
        snapshot = current_snapshot(self.index, self.embedder)
        numbers = snapshot.gallery.annotation.tolist()
        known: dict[int, Annotation] = {}
        for start in range(0, len(numbers), _CHUNK):
            known |= self.catalogue.annotations(numbers[start : start + _CHUNK])
        rows = np.array([row for row, number in enumerate(numbers) if number in known], np.int64)
        told = [known[numbers[row]] for row in rows.tolist()]
        made = VectorTable(
            manifest_sha256=self.embedder.ensemble.manifest_sha256,
            image_ids=np.array([one.source_id for one in told], np.str_),
            individuals=np.array([one.individual or "" for one in told], np.str_),
            encounters=np.array([one.encounter or "" for one in told], np.str_),
            viewpoints=np.array([one.viewpoint.value for one in told], np.str_),
            spaces={space.name: _vectors(snapshot, space)[rows] for space in self.embedder.ensemble.spaces},
        )
        self.write(path, made.arrays())
        return made


def _vectors(snapshot: Snapshot, space: Space) -> Float32:
    """A row for each of the snapshot's annotations, zeros where the space holds none."""
    held = snapshot.held(space.name)
    rows = np.zeros((len(held), space.dimension), np.float32)
    if held.any():
        rows[held] = snapshot.vectors(space.name, snapshot.gallery.annotation[held])
    return rows
