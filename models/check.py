"""Checks of an exported member: the same vectors as torch's, and what a photograph costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.domain.ensemble import Float32, Preprocessing
from app.domain.errors import InvalidInput
from models.dataset import Pixels
from models.embedding import embed, normalised, onnx_model, unit
from models.to_onnx import Exported

# Float16 storage costs about 1e-5 of a cosine, 2e-4 where a whitening magnifies it; a fault costs far more.
LEAST_COSINE = 0.999


@dataclass(frozen=True, slots=True)
class Parity:
    """Cosines of one member's vectors under two computations, over fixed photographs."""

    mean: float
    least: float


def parity(model: Exported, content: bytes, pixels: Pixels, preprocessing: Preprocessing) -> Parity:
    """Compare the exported file in ONNX Runtime with torch in float32, over photographs (n, h, w, 3).

    Raises InvalidInput unless every cosine reaches ``LEAST_COSINE``: such a file must not be released.
    """
    model.eval()
    ours = embed(lambda images: model(images)[0], pixels, preprocessing)
    result = compare(ours, embed(onnx_model(content), pixels, preprocessing))
    if not result.least >= LEAST_COSINE:  # also when it is no number
        raise InvalidInput(f"the exported vectors differ from torch's: least cosine {result.least:.6f}")
    return result


def compare(first: Float32, second: Float32) -> Parity:
    """Cosines between the rows of two arrays (n, d)."""
    cosines = (unit(first) * unit(second)).sum(axis=1)
    return Parity(float(cosines.mean()), float(cosines.min()))


def milliseconds(contents: Sequence[tuple[bytes, Preprocessing]], *, threads: int, rounds: int = 20) -> float:
    """Median time to embed a photograph, mirrored too where wanted, with all members in turn on ``threads`` threads."""
    runs = [(onnx_model(content, threads=threads), _example(shape)) for content, shape in contents]
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        for model, pictures in runs:
            for picture in pictures:
                model(picture)
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]) * 1000)


def _example(shape: Preprocessing) -> list[Tensor]:
    """A picture, and its mirror where one is looked at."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, shape.height, shape.width, 3), dtype=np.uint8)
    with torch.inference_mode():
        picture = normalised(pixels, shape)
        return [picture, picture.flip(3)][: shape.mirror.views]
