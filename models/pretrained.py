"""The ensemble that needs no training: packaged ImageNet nets, GeM, each whitened on a catalogue's photographs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from app.domain.ensemble import Float32
from models.check import parity
from models.dataset import Int64, Photographs, Progress, prepared
from models.embedding import embed, onnx_model, unit
from models.nets import Net, make_net
from models.recipe import InputRecipe, NetRecipe
from models.release import Part
from models.ship import CHECKED, sample
from models.to_onnx import Exported, export
from models.whiten import fit_whitening

NETS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
# The area of the 224 x 224 that the nets were trained at, in the shape of an animal seen from above.
INPUT_RECIPE = InputRecipe(stages=((352, 144),))
DIMENSION = 512


def pooled_features(backbone: str, photographs: Photographs, cache: Path, progress: Progress | None = None) -> Float32:
    """GeM features (n, c), each view at unit length before the mean of photograph and mirror; kept under ``cache``."""
    path = cache / f"features-{backbone}-{len(photographs)}.npy"
    if not path.exists():
        shape = INPUT_RECIPE.preprocessing()
        pixels = prepared(photographs, shape, cache)
        # ONNX Runtime is several times quicker than torch at this.
        plain = onnx_model(export(Exported(_net(backbone)), shape))
        features = embed(plain, pixels, shape, unit_views=True, batch=8, progress=progress)
        part = path.with_suffix(".part.npy")
        np.save(part, features)
        part.rename(path)
    loaded: Float32 = np.load(path)
    return loaded


def whitened_member(
    backbone: str, photographs: Photographs, fitted_on: Int64, cache: Path, progress: Progress | None = None
) -> tuple[Part, Float32]:
    """One packaged net, exported with a whitening fitted on the rows ``fitted_on``; and its unit vectors (n, d)."""
    features = pooled_features(backbone, photographs, cache, progress)
    whitening = fit_whitening(features[fitted_on], DIMENSION)
    shape, model = INPUT_RECIPE.preprocessing(), Exported(_net(backbone), whitening)
    content = export(model, shape)
    pixels = prepared(photographs, shape, cache)
    facts = {"backbone": backbone, "parity_with_torch": asdict(parity(model, content, sample(pixels, CHECKED), shape))}
    part = Part(f"{backbone}-whitened", content, model.dimension, shape, facts=facts)
    return part, unit(whitening.apply(features))


def _net(backbone: str) -> Net:
    return make_net(NetRecipe(backbone=backbone, neck="none", gem_learnable=False)).eval()
