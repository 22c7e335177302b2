"""Export: a net, with its whitening folded in, to one ONNX file with weights stored as float16."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

from app.domain.ensemble import Float32, Preprocessing
from models.nets import Net
from models.whiten import Whitening

OPSET = 17
INPUT, EMBEDDING, FEATURE_MAP = "images", "embedding", "feature_map"
# Below this many numbers float16 saves nothing.
_SMALL = 64
# Free sizes: a batch of any length, and one file may serve as two members that look at different sizes.
_FREE = {
    INPUT: {0: "n", 2: "height", 3: "width"},
    EMBEDDING: {0: "n"},
    FEATURE_MAP: {0: "n", 2: "rows", 3: "columns"},
}
_HALF = ".half"
_BEFORE = "adapt.before"


class Exported(nn.Module):
    """What is exported: images -> (embedding, feature map).

    With a whitening each view's vector is normalised, then whitened. Both are done for a photograph and for its mirror
    alone, and the last step is linear: the mean of the two outputs is the whitened mean of the two unit vectors, on
    which the whitening was fitted.
    """

    def __init__(self, net: Net, whitening: Whitening | None = None) -> None:
        super().__init__()
        self.net = net
        self.linear: nn.Linear | None = None
        if whitening is not None:
            self.linear = nn.Linear(*reversed(whitening.matrix.shape))
            bias = -(whitening.matrix.astype(np.float64) @ whitening.mean.astype(np.float64))
            self.linear.weight.data = torch.from_numpy(whitening.matrix)
            self.linear.bias.data = torch.from_numpy(bias.astype(np.float32))
        self.dimension = net.dimension if self.linear is None else self.linear.out_features

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        embedding, feature_map = self.net.outputs(images)
        if self.linear is not None:
            embedding = self.linear(F.normalize(embedding))
        return embedding, feature_map


def export(model: Exported, preprocessing: Preprocessing) -> bytes:
    """ONNX bytes: input ``images`` (n x 3 x h x w, normalised) of any size, float16 storage, float32 arithmetic."""
    model.eval()
    example = torch.zeros(2, 3, preprocessing.height, preprocessing.width)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        # The exporter that writes opset 17 is called legacy; the newer one knows only 18 and above.
        warnings.simplefilter("ignore")
        path = Path(folder) / "member.onnx"
        torch.onnx.export(
            model,
            (example,),
            path,
            input_names=[INPUT],
            output_names=[EMBEDDING, FEATURE_MAP],
            dynamic_axes=_FREE,
            opset_version=OPSET,
            dynamo=False,
        )
        graph = onnx.load(path)
    store_half(graph)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def store_half(model: Any) -> None:
    """Keep the weights as float16, each cast to float32 where it is used; the runtime folds the casts at load."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL or np.abs(values).max() > np.finfo(np.float16).max:
            kept.append(tensor)
            continue
        stored = tensor.name + _HALF
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    _exchange(model, kept, nodes)


def restore_single(content: bytes) -> bytes:
    """The same member with weights stored as float32, as the quantiser wants them."""
    model = onnx.load_from_string(content)
    half = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.endswith(_HALF)}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in half]
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in half:
            values = numpy_helper.to_array(half[node.input[0]]).astype(np.float32)
            kept.append(numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    _exchange(model, kept, nodes)
    return bytes(model.SerializeToString())


def append_linear(content: bytes, matrix: Float32, bias: Float32) -> bytes:
    """A member whose embedding, at unit length, goes through one more linear layer: matrix (d_out, d_in), bias."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        for number, name in enumerate(node.output):
            if name == EMBEDDING:
                node.output[number] = _BEFORE
    tensors = [
        *model.graph.initializer,
        numpy_helper.from_array(matrix.astype(np.float32), "adapt.matrix"),
        numpy_helper.from_array(bias.astype(np.float32), "adapt.bias"),
        numpy_helper.from_array(np.array(1e-12, dtype=np.float32), "adapt.tiny"),
    ]
    nodes = [
        *model.graph.node,
        helper.make_node("ReduceL2", [_BEFORE], ["adapt.length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["adapt.length", "adapt.tiny"], ["adapt.divisor"]),
        helper.make_node("Div", [_BEFORE, "adapt.divisor"], ["adapt.unit"]),
        helper.make_node("Gemm", ["adapt.unit", "adapt.matrix", "adapt.bias"], [EMBEDDING], transB=1),
    ]
    _exchange(model, tensors, nodes)
    for output in model.graph.output:
        if output.name == EMBEDDING:
            output.type.tensor_type.shape.dim[1].dim_value = len(matrix)
    store_half(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _exchange(model: Any, tensors: list[Any], nodes: list[Any]) -> None:
    for name, content in (("initializer", tensors), ("node", nodes)):
        model.graph.ClearField(name)
        getattr(model.graph, name).extend(content)
