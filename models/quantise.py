"""INT8: a member's convolutions in eight bits, calibrated on photographs. Such vectors are a space of their own."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from app.domain.ensemble import Preprocessing
from models.dataset import Pixels
from models.embedding import normalised
from models.to_onnx import INPUT, restore_single

# Pooling and whitening stay in float32: they cost nothing, and powers do not survive eight bits.
_OPERATORS = ["Conv", "Add", "Clip"]


class _Photographs(CalibrationDataReader):  # type: ignore[misc]
    """Photographs one at a time, as the calibration asks for them."""

    def __init__(self, pixels: Pixels, preprocessing: Preprocessing) -> None:
        self._inputs = (normalised(pixels[row : row + 1], preprocessing).numpy() for row in range(len(pixels)))

    def get_next(self) -> dict[str, Any]:
        images = next(self._inputs, None)
        return {} if images is None else {INPUT: np.ascontiguousarray(images)}


def quantise(content: bytes, pixels: Pixels, preprocessing: Preprocessing) -> bytes:
    """A static INT8 version of an exported member, calibrated on pixels (n, h, w, 3); 100 to 200 will do."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(restore_single(content))
        quantize_static(
            source,
            target,
            _Photographs(pixels, preprocessing),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=_OPERATORS,
        )
        return target.read_bytes()
