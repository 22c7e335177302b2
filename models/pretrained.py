"""The ensemble that needs no training: packaged ImageNet nets, GeM, each whitened on a catalogue's photographs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from app.domain.ensemble import Float32
from models.check import parity
from models.dataset import Int64, Photographs, Progress, cache_key, prepared, stored
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
    net, shape = _net(backbone), INPUT_RECIPE.preprocessing()

    def look() -> Float32:
        # ONNX Runtime is several times quicker than torch at this.
        plain = onnx_model(export(Exported(net), shape))
        return embed(plain, prepared(photographs, shape, cache), shape, unit_views=True, batch=8, progress=progress)

    return stored(cache / f"features-{cache_key(photographs, shape, _hash(net))}.npy", look)


def whitened_member(
    backbone: str, photographs: Photographs, fitted_on: Int64, cache: Path, progress: Progress | None = None
) -> tuple[Part, Float32]:
    """One packaged net, exported with a whitening fitted on the rows ``fitted_on``; and its unit vectors (n, d).

    Raises InvalidInput for fewer than two rows.
    """
    features = pooled_features(backbone, photographs, cache, progress)
    whitening = fit_whitening(features[fitted_on], DIMENSION)
    shape, model = INPUT_RECIPE.preprocessing(), Exported(_net(backbone), whitening)
    content = export(model, shape)
    pixels = prepared(photographs, shape, cache)
    facts = {"backbone": backbone, "parity_with_torch": asdict(parity(model, content, sample(pixels, CHECKED), shape))}
    part = Part(f"{backbone}-whitened", content, model.dimension, shape, facts=facts)
    return part, unit(whitening.apply(features))


def _hash(net: Net) -> str:
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def _net(backbone: str) -> Net:
    return make_net(NetRecipe(backbone=backbone, neck="none", gem_learnable=False)).eval()
