"""The optimiser's schedule, and the running average of the weights that is evaluated and released."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.losses import Objective
from models.nets import Net
from models.recipe import OptimiserRecipe


class Optimiser:
    """AdamW or Adam over backbone, neck and head, each at its own learning rate.

    AdamW, as the house has it: the backbone's norms and biases do not decay, pooling and neck decay half as fast as
    the backbone's weights, the head a twentieth. Adam has one decay for all, added to the gradient.
    """

    def __init__(self, net: Net, objective: Objective, recipe: OptimiserRecipe) -> None:
        self._recipe = recipe
        backbone = [weight for weight in net.backbone.parameters() if weight.requires_grad]
        neck = [weight for part in (net.pooling, net.neck) for weight in part.parameters() if weight.requires_grad]
        whole = recipe.kind == "adam"
        groups = [
            {"params": [weight for weight in backbone if weight.ndim > 1], "weight_decay": recipe.decay},
            {
                "params": [weight for weight in backbone if weight.ndim <= 1],
                "weight_decay": recipe.decay if whole else 0.0,
            },
            {"params": neck, "weight_decay": recipe.decay if whole else recipe.decay / 2},
            {"params": list(objective.parameters()), "weight_decay": recipe.decay if whole else recipe.decay / 20},
        ]
        self._peaks = [recipe.backbone, recipe.backbone, recipe.neck, recipe.head]
        kept = [(group, peak) for group, peak in zip(groups, self._peaks, strict=True) if group["params"]]
        self._peaks = [peak for _, peak in kept]
        self._weights = [*backbone, *neck, *objective.parameters()]
        make, betas = (torch.optim.Adam, (0.9, 0.999)) if whole else (torch.optim.AdamW, (0.9, 0.99))
        self.adam = make([group for group, _ in kept], lr=recipe.backbone, betas=betas)

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
    """The share of the peak at ``progress`` in [0, 1]: a straight warm-up, then down to ``floor``."""
    if recipe.restart:
        again = progress >= recipe.restart
        progress = (progress - recipe.restart) / (1 - recipe.restart) if again else progress / recipe.restart
    if progress < recipe.warm_up:
        return max(recipe.start + (1.0 - recipe.start) * progress / recipe.warm_up, 1e-3)
    left = (progress - recipe.warm_up) / max(1.0 - recipe.warm_up, 1e-9)
    if recipe.schedule == "exponential":
        return float(recipe.floor ** min(left, 1.0))
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
