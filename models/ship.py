"""From runs to members: export a checkpoint's averaged net, with or without whitening, and score the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from app.domain.ensemble import Float32, Mirror, Preprocessing
from app.domain.errors import InvalidInput
from models.check import parity
from models.checkpoint import read_checkpoint
from models.dataset import Int64, Photographs, Pixels, Progress, prepared
from models.embedding import embed, onnx_model, unit
from models.nets import Net, make_net
from models.recipe import Recipe
from models.release import Part
from models.to_onnx import Exported, export
from models.whiten import Whitening, fit_across_encounters, fit_whitening

# Photographs on which the exported file is held against torch.
CHECKED = 32


class Levelling(StrEnum):
    """Which whitening is folded into a trained member."""

    NONE = "none"
    VARIANCE = "variance"
    ENCOUNTERS = "encounters"


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """How trained nets become members.

    ``components`` bounds the length of a whitened vector. ``also_at`` are further sizes (height, width) at which each
    looks as well; ``weights`` those of the runs in their order, 1 each when there are none.
    """

    whitening: Levelling = Levelling.NONE
    components: int = 512
    int8: bool = False
    also_at: tuple[tuple[int, int], ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A run's result: its recipe, the net with the averaged weights, and the input that these were scored at."""

    recipe: Recipe
    net: Net
    shape: Preprocessing


def read_run(path: Path) -> Trained:
    """Read a checkpoint (``best.pt`` or ``last.pt``). Raises InvalidInput when it cannot be read."""
    state = read_checkpoint(path)
    try:
        recipe = Recipe.model_validate(state["recipe"])
        net = make_net(recipe.net, pretrained=False)
        net.load_state_dict(state["average"])
    except (ValidationError, RuntimeError, TypeError) as error:
        raise InvalidInput(f"the checkpoint {path.name!r} does not fit this version: {error}") from error
    # The best weights may come from an earlier stage than the last, which looked at smaller pictures.
    height, width = state.get("size", recipe.input.stages[-1])
    shape = replace(recipe.input.preprocessing(), height=int(height), width=int(width))
    return Trained(recipe, net.to(memory_format=torch.channels_last).eval(), shape)  # type: ignore[call-overload]


def trained_member(
    trained: Trained,
    photographs: Photographs,
    fitted_on: Int64,
    cache: Path,
    plan: ExportPlan = ExportPlan(),
) -> Part:
    """Export a run's net, with a whitening fitted on the rows ``fitted_on`` folded in where the plan wants one."""
    recipe, shape = trained.recipe, trained.shape
    pixels = prepared(photographs, shape, cache)
    model = Exported(trained.net)
    if plan.whitening is not Levelling.NONE:
        plain = onnx_model(export(model, shape))
        # Where the mirror stands beside, each side is levelled alone.
        seen = replace(shape, mirror=Mirror.NONE) if shape.mirror is Mirror.BESIDE else shape
        features = embed(plain, pixels, seen, fitted_on, unit_views=True, batch=8)
        model = Exported(trained.net, level(features, photographs, fitted_on, plan))
    content = export(model, shape)
    facts = {
        "backbone": recipe.net.backbone,
        "recipe": recipe.name,
        "whitening": plan.whitening.value,
        "parity_with_torch": asdict(parity(model, content, sample(pixels, CHECKED), shape)),
    }
    return Part(recipe.name, content, model.dimension * shape.mirror.sides, shape, facts=facts)


def at_size(part: Part, height: int, width: int) -> Part:
    """The same weights as one more member, which looks at photographs of another size."""
    shape = replace(part.preprocessing, height=height, width=width)
    return replace(part, name=f"{part.name}-{height}x{width}", preprocessing=shape)


def level(features: Float32, photographs: Photographs, rows: Int64, plan: ExportPlan) -> Whitening:
    """The whitening of the plan's kind for features (n, d) of the photographs ``rows``."""
    if plan.whitening is Levelling.VARIANCE:
        return fit_whitening(features, plan.components)
    individuals, encounters = photographs.individuals[rows], photographs.encounters[rows]
    return fit_across_encounters(features, individuals, encounters, dimension=plan.components)


def sample(pixels: Pixels, count: int) -> Pixels:
    """The same few photographs every time, spread over the catalogue: (count, h, w, 3)."""
    return np.ascontiguousarray(pixels[np.linspace(0, len(pixels) - 1, min(count, len(pixels))).astype(int)])


def member_vectors(part: Part, photographs: Photographs, cache: Path, progress: Progress | None = None) -> Float32:
    """Unit vectors (n, d) of all photographs, as the service computes them."""
    shape: Preprocessing = part.preprocessing
    pixels = prepared(photographs, shape, cache)
    return unit(embed(onnx_model(part.content), pixels, shape, batch=8, progress=progress))


def joined(parts: Sequence[Part], vectors: Sequence[Float32]) -> Float32:
    """Members' vectors (n, d), each brought to unit length, in one space, as ``Space.join`` does it."""
    return unit(
        np.concatenate(
            [unit(block) * np.float32(np.sqrt(part.weight)) for part, block in zip(parts, vectors, strict=True)], axis=1
        )
    )
