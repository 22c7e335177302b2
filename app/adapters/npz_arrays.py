"""Named arrays in one NumPy file, complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.disk import disk_errors
from app.domain.errors import InvalidInput


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write ``arrays`` by their names; an older file of that name is replaced at the end.

    Raises StorageFull, and InvalidInput when the place cannot be written to.
    """
    part = path.with_name(path.name + ".partial")
    with disk_errors(
        "the disk is full: the vectors were not written",
        lambda why: InvalidInput(f"the vectors cannot be written to {path.name!r}: {why}"),
    ):
        try:
            with part.open("wb") as file:
                np.savez(file, allow_pickle=False, **dict(arrays))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
