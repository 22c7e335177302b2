"""A tiny real ensemble for tests: two ONNX members that look at colours and edges, made in milliseconds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.domain.ensemble import sealed

DIMENSION = 8
_MAPS = 24
_EVERY_VIEWPOINT = ["top", "left", "right", "unknown"]


def build_tiny_ensemble(folder: Path, *, spaces: int = 1, seed: int = 0) -> Path:
    """Write a manifest and its members into ``folder`` (made when missing) and return it; the same every time.

    With one space ("tiny", 16-d) both members serve every viewpoint. With two, "any" (8-d) serves every viewpoint and
    "overhead" (8-d) only top and unknown. The members take inputs of different shapes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    members = [
        _member(folder, "tall", 48, 24, seed, weight=1.0),
        _member(folder, "square", 32, 32, seed + 1, weight=0.5),
    ]
    if spaces == 1:
        parts = [{"name": "tiny", "viewpoints": _EVERY_VIEWPOINT, "members": members}]
    else:
        parts = [
            {"name": "any", "viewpoints": _EVERY_VIEWPOINT, "members": members[:1]},
            {"name": "overhead", "viewpoints": ["top", "unknown"], "weight": 0.5, "members": members[1:]},
        ]
    manifest = {
        "name": "tiny",
        "version": "1",
        "licence": "Apache-2.0",
        "training_data": "none: fixed random filters, for tests only",
        "spaces": parts,
    }
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest), indent=2), encoding="utf-8")
    return folder


def tiny_network(seed: int = 0, *, dimension: int = DIMENSION) -> onnx.ModelProto:
    """``images`` (n, 3, h, w) -> ``embedding`` (n, dimension) and ``feature_map`` (n, 24, h/2, w/2).

    Fixed random 5 x 5 filters, their magnitudes averaged over the image and centred by a fixed rotation: enough to
    tell photographs apart and to give near duplicates near vectors.
    """
    drawn = np.random.default_rng(seed)
    filters = drawn.normal(size=(_MAPS, 3, 5, 5)).astype(np.float32) / 8
    rotation = np.linalg.qr(drawn.normal(size=(_MAPS, _MAPS)))[0][:, :dimension].astype(np.float32)
    # What a grey picture of middling contrast would give is taken off, or every vector would point the same way.
    level = -0.8 * np.abs(filters.sum(axis=(1, 2, 3)))[np.newaxis]
    weights = {"filters": filters, "rotation": rotation, "level": level.astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["images", "filters"], ["responses"], strides=[2, 2], pads=[2, 2, 2, 2]),
        helper.make_node("Abs", ["responses"], ["feature_map"]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Add", ["flat", "level"], ["centred"]),
        helper.make_node("MatMul", ["centred", "rotation"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dimension]),
            helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", _MAPS, "y", "x"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _member(folder: Path, name: str, height: int, width: int, seed: int, weight: float) -> dict[str, Any]:
    content = tiny_network(seed).SerializeToString(deterministic=True)
    (folder / f"{name}.onnx").write_bytes(content)
    recipe = {
        "height": height,
        "width": width,
        "mean": [127.0, 127.0, 127.0],
        "std": [64.0, 64.0, 64.0],
        "fit": "squash",
        "turn_wide": True,
    }
    return {
        "name": name,
        "file": f"{name}.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "dimension": DIMENSION,
        "preprocessing": recipe,
        "weight": weight,
    }
