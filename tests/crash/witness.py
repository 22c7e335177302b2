"""How many photographs a service has embedded, told outside of it: a killed process tells nothing afterwards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.adapters.onnx_embedder import OnnxEmbedder


def count_embedded(told: Path) -> None:
    """Let every embedder write a byte for each photograph before it returns their vectors."""
    embed = OnnxEmbedder.embed
    opened = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def counted(self: OnnxEmbedder, crops: Sequence[Any], spaces: Sequence[Any]) -> Any:
        vectors = embed(self, crops, spaces)
        os.write(opened, b"." * len(crops))
        return vectors

    OnnxEmbedder.embed = counted
