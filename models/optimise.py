"""The optimiser's schedule, and the running average of the weights that is evaluated and released."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.losses import Objective
from models.nets import Net
from models.recipe import OptimiserRecipe


class Optimiser:
    """AdamW over backbone, neck and head, each at its own learning rate; norms and biases do not decay."""

    def __init__(self, net: Net, objective: Objective, recipe: OptimiserRecipe) -> None:
        self._recipe = recipe
        backbone = [weight for weight in net.backbone.parameters() if weight.requires_grad]
        neck = [weight for part in (net.pooling, net.neck) for weight in part.parameters() if weight.requires_grad]
        groups = [
            {"params": [weight for weight in backbone if weight.ndim > 1], "weight_decay": recipe.decay},
            {"params": [weight for weight in backbone if weight.ndim <= 1], "weight_decay": 0.0},
            {"params": neck, "weight_decay": recipe.decay / 2},
            {"params": list(objective.parameters()), "weight_decay": recipe.decay / 20},
        ]
        self._peaks = [recipe.backbone, recipe.backbone, recipe.neck, recipe.head]
        kept = [(group, peak) for group, peak in zip(groups, self._peaks, strict=True) if group["params"]]
        self._peaks = [peak for _, peak in kept]
        self._weights = [*backbone, *neck, *objective.parameters()]
        self.adam = torch.optim.AdamW([group for group, _ in kept], lr=recipe.backbone, betas=(0.9, 0.99))

    def step(self, loss: Tensor, progress: float) -> float:
        """One step down the loss at ``progress`` in [0, 1); the gradient's norm before clipping is returned."""
        factor = learning_rate(progress, self._recipe)
        for group, peak in zip(self.adam.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._weights, self._recipe.clip)
        self.adam.step()
        return float(norm)


def learning_rate(progress: float, recipe: OptimiserRecipe) -> float:
    """The share of the peak at ``progress`` in [0, 1]: a straight warm-up, then a cosine down to ``floor``."""
    if progress < recipe.warm_up:
        return max(progress / recipe.warm_up, 1e-3)
    left = (progress - recipe.warm_up) / max(1.0 - recipe.warm_up, 1e-9)
    return recipe.floor + (1.0 - recipe.floor) * 0.5 * (1.0 + math.cos(math.pi * min(left, 1.0)))


class Average:
    """An exponential moving average of a net's weights and statistics; it generalises better than the last step."""

    def __init__(self, net: Net, decay: float) -> None:
        self._decay = decay
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, net: Net) -> None:
        """Follow the net by one step; early steps count more, so that the first weights are soon forgotten."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        current = net.state_dict()
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in floating], [current[name] for name in floating], 1.0 - decay)
        for name in self.state.keys() - set(floating):
            self.state[name].copy_(current[name])
