"""A snapshot cut down to the annotations of one piece of work, so that it can be kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from app.domain.ensemble import Float32
from app.domain.partition import Gallery, Int64
from app.domain.ports import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """Columns and vectors as they were at one catalogue version: ``vectors`` holds ids (n) and unit vectors (n, d).

    Work that takes minutes, or survives a kill, ranks in this: edits of the catalogue meanwhile do not reach it.
    """

    catalogue_version: int
    fingerprints: Mapping[str, str]
    gallery: Gallery
    vectors: Mapping[str, tuple[Int64, Float32]]

    @staticmethod
    def of(snapshot: Snapshot, annotations: Int64) -> Frozen:
        """The part of a snapshot that these annotations are; ids that it does not hold are passed over."""
        rows = np.unique(snapshot.gallery.rows_of(annotations))
        gallery = cut(snapshot.gallery, rows[rows >= 0])
        vectors = {}
        for space in snapshot.fingerprints:
            held = gallery.annotation[np.isin(gallery.annotation, snapshot.gallery.annotation[snapshot.held(space)])]
            vectors[space] = (held, snapshot.vectors(space, held))
        return Frozen(snapshot.catalogue_version, dict(snapshot.fingerprints), gallery, vectors)


def cut(gallery: Gallery, rows: Int64) -> Gallery:
    """A gallery of only these rows, given in ascending order."""
    return Gallery(**{column.name: getattr(gallery, column.name)[rows] for column in fields(Gallery)})
