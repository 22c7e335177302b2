"""Adaptation: a linear head a member, trained on stored vectors. Seconds on a CPU, and no pictures are needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from app.domain.ensemble import Float32
from app.domain.errors import InvalidInput
from models.dataset import Int64
from models.losses import ArcFace
from models.recipe import LossRecipe

_LOSS = LossRecipe(scale=20.0, margin_low=0.3, margin_high=0.3)
_BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """unit vector (n, d_in) -> vector @ ``matrix``.T + ``bias``, with matrix (d_out, d_in); not normalised."""

    matrix: Float32
    bias: Float32

    def apply(self, rows: Float32) -> Float32:
        """Rows (n, d_in), at unit length, to (n, d_out); zeros, which are no vector, stay zeros and not the bias."""
        known = rows.any(axis=1, keepdims=True)
        return np.asarray((rows @ self.matrix.T + self.bias) * known, dtype=np.float32)


def fit_head(views: Float32, individuals: Int64, *, dimension: int = 512, epochs: int = 40, seed: int = 0) -> Head:
    """Fit on unit vectors (n, 2, d) of photographs and their mirrors, with the number of each one's individual.

    A linear layer and a batch normalisation under ArcFace; the two are one linear layer once trained. Raises
    InvalidInput for fewer than two individuals: there is nobody to be told apart.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    known, labels = np.unique(individuals, return_inverse=True)
    if len(known) < 2:
        raise InvalidInput(f"a head needs photographs of at least two individuals to be fitted on, not of {len(known)}")
    counts = np.bincount(labels, minlength=len(known)).astype(np.int64)
    linear, norm = nn.Linear(views.shape[2], dimension, bias=False), nn.BatchNorm1d(dimension)
    nn.init.orthogonal_(linear.weight)
    loss_of = ArcFace(counts, dimension, _LOSS)
    weights = [*linear.parameters(), *norm.parameters(), *loss_of.parameters()]
    steps = epochs * max(1, len(views) // _BATCH)
    adam = torch.optim.AdamW(weights, lr=5e-3, weight_decay=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=5e-3, total_steps=steps)
    rows, targets = torch.from_numpy(views), torch.from_numpy(labels)
    for _ in range(steps):
        chosen = torch.randint(len(rows), (min(_BATCH, len(rows)),), generator=generator)
        # The photograph, its mirror, or any mixture of them: the service searches with the mean.
        share = torch.rand(len(chosen), 1, generator=generator)
        mixed = rows[chosen, 0] * share + rows[chosen, 1] * (1 - share)
        loss = loss_of(norm(linear(mixed)), targets[chosen], 1.0)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cycle.step()
    return _folded(linear, norm)


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d) -> Head:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("the normalisation kept no statistics")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    matrix = linear.weight * scale[:, None]
    bias = norm.bias - norm.running_mean * scale
    return Head(matrix.detach().numpy(), bias.detach().numpy())
