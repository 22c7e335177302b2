"""Losses: angular margins over individuals, and the contrast between photographs of one batch."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.dataset import Int64
from models.recipe import LossRecipe


def class_margins(counts: Int64, recipe: LossRecipe) -> Tensor:
    """A margin in radians for every class of ``counts`` photographs: rare individuals get the larger ones.

    The commonest class has ``margin_low``, the rarest ``margin_high``, the others lie between by count ** -power.
    """
    if recipe.margin_power == 0.0 or counts.min() == counts.max():
        return torch.full((len(counts),), recipe.margin_high)
    rarity = counts.astype(np.float64) ** -recipe.margin_power
    share = (rarity - rarity.min()) / (rarity.max() - rarity.min())
    margins = recipe.margin_low + (recipe.margin_high - recipe.margin_low) * share
    return torch.from_numpy(margins.astype(np.float32))


class ArcFace(nn.Module):
    """ArcFace with its variants: sub-centres, a margin per class, elastic margins, label smoothing.

    pytorch-metric-learning has it with one constant margin only; a test holds the two together where they agree.
    """

    def __init__(self, counts: Int64, dimension: int, recipe: LossRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.centres = nn.Parameter(torch.randn(len(counts) * recipe.centres, dimension) * 0.01)
        self.margins: Tensor
        self.register_buffer("margins", class_margins(counts, recipe))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosine of each embedding (n, d) with the nearest centre of each class: (n, classes)."""
        every = F.normalize(embeddings) @ F.normalize(self.centres).T
        return every.view(len(embeddings), -1, self.recipe.centres).amax(dim=2)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ramp: float,
        generator: Generator | None = None,
        seen: Tensor | None = None,
    ) -> Tensor:
        """The mean loss of a batch; ``ramp`` in [0, 1] scales the margins at the start of a run.

        ``seen`` (n, classes) marks the individuals that were photographed on the day of each picture.
        """
        cosines, chosen = self.cosines(embeddings), labels[:, None]
        margins = self.margins[labels]
        if self.recipe.kind == "elastic-arcface":
            spread = torch.randn(len(labels), generator=generator) * self.recipe.margin_spread
            margins = margins + spread.to(margins.device)
        margins = (margins * ramp)[:, None]
        own = cosines.gather(1, chosen).clamp(-1 + 1e-6, 1 - 1e-6)
        angles = torch.acos(own)
        # Beyond pi the cosine would rise again: there the loss goes on falling along a straight line.
        moved = torch.where(angles + margins < math.pi, torch.cos(angles + margins), own - margins * margins.sin())
        logits = self.recipe.scale * cosines.scatter(1, chosen, moved)
        if seen is not None:
            logits = logits + self.recipe.occasion * seen
        return F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)


class Objective(nn.Module):
    """What a run minimises: the classification loss of its phase, and the contrast within the batch."""

    def __init__(self, counts: Int64, dimension: int, recipe: LossRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.angular = ArcFace(counts, dimension, recipe)
        plain = recipe.kind == "softmax" or recipe.classifier_share > 0
        self.classifier = nn.Linear(dimension, len(counts)) if plain else None
        library: Any = import_module("pytorch_metric_learning.losses") if recipe.contrast else None
        self._pairs = library.SupConLoss(temperature=recipe.temperature) if library else None

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        progress: float,
        generator: Generator | None = None,
        seen: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch at ``progress`` in [0, 1) of the run, and its parts by name."""
        recipe = self.recipe
        if self.classifier is not None and (recipe.kind == "softmax" or progress < recipe.classifier_share):
            smoothing = recipe.label_smoothing if recipe.kind == "softmax" else recipe.classifier_smoothing
            loss = F.cross_entropy(self.classifier(embeddings), labels, label_smoothing=smoothing)
        else:
            ramp = min(1.0, progress / recipe.margin_ramp) if recipe.margin_ramp else 1.0
            loss = self.angular(embeddings, labels, ramp, generator, seen)
        if recipe.partners == "sum":
            # Anchors and partners are equally many: the sum of their two mean losses is twice the mean over all.
            loss = 2.0 * loss
        if recipe.focal_gamma:
            loss = (1.0 - torch.exp(-loss)) ** recipe.focal_gamma * loss
        parts = {"classes": float(loss.detach())}
        if self._pairs is not None:
            contrast = self._pairs(embeddings, labels)
            parts["contrast"] = float(contrast.detach())
            loss = loss + recipe.contrast * contrast
        return loss, parts
