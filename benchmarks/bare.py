"""The bare pipeline that the service is measured against: Pillow, ONNX Runtime and FAISS in a plain loop."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path

import faiss
import numpy as np
from PIL import Image

import app  # noqa: F401 - tells ONNX Runtime, before it is imported, not to report to its maker

import onnxruntime as ort  # isort: skip


class Bare:
    """Decode, embed with mirror, search: no catalogue, no durability, no scope."""

    def __init__(self, release: Path, threads: int) -> None:
        """``threads`` are ONNX Runtime's own, inside each session."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        (space,) = json.loads((release / "manifest.json").read_text())["spaces"]
        self.nets = [
            (m, m["preprocessing"], ort.InferenceSession(release / m["file"], options)) for m in space["members"]
        ]
        self.index = faiss.IndexFlatIP(sum(member["dimension"] for member in space["members"]))
        faiss.omp_set_num_threads(1)

    def embed(self, contents: list[bytes]) -> np.ndarray:
        """Unit vectors (n, d) of encoded photographs, in one batch a member."""
        return self.embed_pictures([_upright(content) for content in contents])

    def embed_pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """Unit vectors (n, d) of photographs that are decoded and upright."""
        parts = []
        for _, shape, net in self.nets:
            size = (shape["width"], shape["height"])
            pixels = np.stack([np.asarray(p.resize(size, Image.Resampling.BILINEAR), np.float32) for p in pictures])
            chw = ((pixels - np.float32(shape["mean"])) / np.float32(shape["std"])).transpose(0, 3, 1, 2)
            both = net.run(["embedding"], {"images": np.concatenate([chw, chw[..., ::-1]])})[0]
            sides = both[: len(chw)], both[len(chw) :]
            beside = shape.get("mirror") == "beside"
            parts.append(_unit(np.concatenate(sides, axis=1) if beside else sides[0] + sides[1]))
        return _unit(np.concatenate(parts, axis=1))

    def match(self, content: bytes) -> np.ndarray:
        """Ids of the 20 nearest."""
        return self.index.search(self.embed([content]), 20)[1]


def best_threads() -> list[int]:
    """The settings of the bare loop that are tried; the best one counts."""
    return sorted({1, os.cpu_count() or 1})


def readable(contents: list[bytes]) -> list[Image.Image]:
    """Those of some encoded photographs that Pillow can decode, upright."""
    pictures = []
    for content in contents:
        with suppress(Exception):  # bombs, ValueError and SyntaxError are not OSError
            pictures.append(_upright(content))
    return pictures


def _upright(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    return picture.transpose(Image.Transpose.ROTATE_270) if picture.width > picture.height else picture


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
