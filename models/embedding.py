"""Vectors of a net for many photographs, as the product would compute them: of each and its mirror."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from app.domain.ensemble import Float32, Preprocessing
from models.dataset import Int64, Pixels, Progress
from models.to_onnx import EMBEDDING, INPUT


def normalised(pixels: Pixels | Tensor, preprocessing: Preprocessing) -> Tensor:
    """Pixels (n, h, w, 3) in 0..255 to a net's input (n, 3, h, w), channels last in memory."""
    images = torch.as_tensor(pixels).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(triple)[:, None, None] for triple in (preprocessing.mean, preprocessing.std))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def embed(
    model: Callable[[Tensor], Tensor],
    pixels: Pixels,
    preprocessing: Preprocessing,
    rows: Int64 | None = None,
    *,
    unit_views: bool = False,
    batch: int = 32,
    progress: Progress | None = None,
) -> Float32:
    """The model's outputs for each photograph and its mirror, (n, d), merged as the preprocessing says, not normalised.

    ``unit_views`` normalises each view's vector before that, as an exported member with whitening does.
    """
    wanted = np.arange(len(pixels)) if rows is None else rows
    parts = []
    for chunk in _chunks(wanted, batch):
        images = normalised(np.ascontiguousarray(pixels[chunk]), preprocessing)
        pictures = [images, images.flip(3)][: preprocessing.mirror.views]
        views = torch.stack([model(picture).float() for picture in pictures])
        if unit_views:
            views = torch.nn.functional.normalize(views, dim=2)
        parts.append(preprocessing.mirror.merge(views.cpu().numpy()))
        if progress:
            progress(sum(map(len, parts)), len(wanted))
    return np.concatenate(parts)


@torch.inference_mode()
def embed_views(
    model: Callable[[Tensor], Tensor], pixels: Pixels, preprocessing: Preprocessing, *, progress: Progress | None = None
) -> Float32:
    """Unit vectors of each photograph and of its mirror, (n, 2, d)."""
    parts = []
    for chunk in _chunks(np.arange(len(pixels)), 8):
        images = normalised(np.ascontiguousarray(pixels[chunk]), preprocessing)
        views = torch.stack([model(images), model(images.flip(3))], dim=1)
        parts.append(torch.nn.functional.normalize(views.float(), dim=2))
        if progress:
            progress(sum(map(len, parts)), len(pixels))
    return torch.cat(parts).numpy()


def unit(rows: Float32) -> Float32:
    """Rows (n, d) at length 1."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.float32(1e-12)), dtype=np.float32)


def _chunks(rows: Int64, size: int) -> Iterator[Int64]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def onnx_model(content: bytes, *, threads: int = 1) -> Callable[[Tensor], Tensor]:
    """An exported member as a function of images (n, 3, h, w), giving embeddings (n, d)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (rows,) = session.run([EMBEDDING], {INPUT: np.ascontiguousarray(images.numpy())})
        return torch.from_numpy(rows)

    return run
