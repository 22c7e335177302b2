"""A catalogue's vectors with what is known of each annotation, as columns that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Float32
from app.domain.errors import InvalidInput

Text = npt.NDArray[np.str_]
_SPACE = "vectors:"
_MANIFEST = "manifest_sha256"
_COLUMNS = ("image_ids", "individuals", "encounters", "viewpoints")


@dataclass(frozen=True, slots=True, eq=False)
class VectorTable:
    """One row an annotation, (n,): the user's own names ("" where there is none) and the viewpoint.

    ``spaces`` holds unit vectors (n, d) by the name of their space, rows of zeros where a space has none for an
    annotation; they were made by the ensemble whose manifest has this SHA-256.
    """

    manifest_sha256: str
    image_ids: Text
    individuals: Text
    encounters: Text
    viewpoints: Text
    spaces: Mapping[str, Float32]

    def __len__(self) -> int:
        return len(self.image_ids)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The columns by the names that they have in a file."""
        return {
            _MANIFEST: np.array(self.manifest_sha256),
            **{name: getattr(self, name) for name in _COLUMNS},
            **{_SPACE + name: rows for name, rows in self.spaces.items()},
        }

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read a file's columns; raises InvalidInput when one is lacking, or is not what such a column holds."""
        if lacking := sorted({_MANIFEST, *_COLUMNS} - set(arrays)):
            raise InvalidInput(
                f"the vectors lack the column {lacking[0]!r}: they are not what `resight vectors` writes"
            )
        columns = {name: arrays[name].astype(np.str_) for name in _COLUMNS}
        spaces = {
            name.removeprefix(_SPACE): rows.astype(np.float32)
            for name, rows in arrays.items()
            if name.startswith(_SPACE)
        }
        if any(column.ndim != 1 for column in columns.values()) or any(rows.ndim != 2 for rows in spaces.values()):
            raise InvalidInput("a column of names is no list, or the vectors of a space are no table")
        count = len(columns["image_ids"])
        if any(len(column) != count for column in [*columns.values(), *spaces.values()]):
            raise InvalidInput("the columns of the vectors differ in length")
        if strange := sorted(set(columns["viewpoints"].tolist()) - {view.value for view in Viewpoint}):
            raise InvalidInput(f"the vectors name the viewpoint {strange[0]!r}, which is none")
        return cls(str(arrays[_MANIFEST]), **columns, spaces=spaces)
