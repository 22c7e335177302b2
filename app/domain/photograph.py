"""A decoded photograph: pixels in memory, upright, without anything that its file said of the place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """Upright RGB pixels (height x width x 3, uint8) with the facts of their file.

    ``width`` and ``height`` are those of the upright file; ``pixels`` may be a smaller rendition of it, since a JPEG
    is decoded no larger than the search needs. ``taken`` is the camera's own date, None when the file holds none.
    """

    pixels: Pixels
    format: str
    width: int
    height: int
    taken: datetime | None = None
