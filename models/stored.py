"""Heads fitted on vectors that a catalogue has stored: seconds, and no photograph is looked at."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from app.domain.catalogue import CaptureDate, Sighting, Viewpoint
from app.domain.ensemble import Ensemble, Float32, Member, Mirror, Space
from app.domain.errors import InvalidInput
from app.domain.vector_table import VectorTable
from models.dataset import Photographs, as_photographs


def read_table(path: Path, ensemble: Ensemble) -> VectorTable:
    """A file that `resight vectors` wrote, of this ensemble; raises InvalidInput for any other."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            table = VectorTable.of(dict(arrays))
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:  # one array alone: a TypeError
        raise InvalidInput(f"the vectors in {path.name!r} cannot be read: {error}") from error
    if table.manifest_sha256 != ensemble.manifest_sha256:
        raise InvalidInput(f"the vectors in {path.name!r} were made by another ensemble than {ensemble.name!r}")
    return table


def photographs_of(table: VectorTable) -> Photographs:
    """The annotations of a table as photographs to be divided and judged; there is no file behind them."""
    columns = (table.image_ids, table.viewpoints, table.individuals, table.encounters)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return as_photographs(
        Path(),
        [
            Sighting(name, "", Viewpoint(view), CaptureDate(), individual or None, encounter or None)
            for name, view, individual, encounter in rows
        ],
    )


def views_of(space: Space, member: Member, rows: Float32) -> Float32:
    """A member's part of joined vectors (n, space's d): unit vectors (n, 2, view's d) of photograph and mirror.

    Where only their mean, or one of them, is stored, it stands in both places.
    """
    start = sum(one.dimension for one in space.members[: space.members.index(member)])
    part = rows[:, start : start + member.dimension]
    views = part.reshape(len(part), member.preprocessing.mirror.sides, member.view_dimension)
    views = views / np.maximum(np.linalg.norm(views, axis=2, keepdims=True), np.float32(1e-12))
    return views if member.preprocessing.mirror is Mirror.BESIDE else np.repeat(views, 2, axis=1)
