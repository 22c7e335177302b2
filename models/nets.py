"""Nets: backbone, pooling and neck, together one member of an ensemble."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones import Backbone, make_backbone
from models.recipe import NetRecipe

_TINY = 1e-6


class Gem(nn.Module):
    """Generalised mean over a map, (n, c, h, w) -> (n, c): p = 1 is the average, a large p the maximum."""

    def __init__(self, p: float = 3.0, *, learnable: bool = True) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p), requires_grad=learnable)

    def forward(self, maps: Tensor) -> Tensor:
        powers = maps.float().clamp(min=_TINY).pow(self.p)
        return powers.mean(dim=(2, 3)).pow(1.0 / self.p)


class LastStage(nn.Module):
    """GeM over the last map."""

    def __init__(self, channels: tuple[int, int], *, learnable: bool) -> None:
        super().__init__()
        self.gem = Gem(learnable=learnable)
        self.width = channels[1]

    def forward(self, middle: Tensor, last: Tensor) -> Tensor:  # noqa: ARG002 - one signature for all poolings
        return self.gem(last)  # type: ignore[no-any-return]


class TwoStages(nn.Module):
    """GeM over the stride-16 and the stride-32 map, side by side (second place)."""

    def __init__(self, channels: tuple[int, int], *, learnable: bool) -> None:
        super().__init__()
        self.first, self.second = Gem(learnable=learnable), Gem(learnable=learnable)
        self.width = sum(channels)

    def forward(self, middle: Tensor, last: Tensor) -> Tensor:
        return torch.cat([self.first(middle), self.second(last)], dim=1)


class Dolg(nn.Module):
    """DOLG (fourth place): what the local branch sees beyond the global one, joined with it.

    Local: dilated 3x3 convolutions over the stride-16 map with spatial attention; global: a 1x1 convolution over the
    last map, averaged. The local maps lose their projection on the global vector (orthogonal fusion).
    """

    def __init__(self, channels: tuple[int, int], *, learnable: bool, width: int = 512) -> None:
        super().__init__()
        del learnable  # the average has no exponent to learn
        part, dilations = width // 8, (3, 5, 7, 9)
        self.dilated = nn.ModuleList(nn.Conv2d(channels[0], part, 3, padding=rate, dilation=rate) for rate in dilations)
        self.mix = nn.Conv2d(part * len(dilations), width, 1)
        self.attention = nn.Conv2d(width, 1, 1)
        self.globally = nn.Sequential(nn.Conv2d(channels[1], width, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.width = 2 * width

    def forward(self, middle: Tensor, last: Tensor) -> Tensor:
        local = F.relu(self.mix(torch.cat([conv(middle) for conv in self.dilated], dim=1))).float()
        local = F.normalize(local, dim=1) * F.softplus(self.attention(local).float())
        overall = self.globally(last).float().mean(dim=(2, 3))
        direction = F.normalize(overall, dim=1)[:, :, None, None]
        orthogonal = local - (local * direction).sum(dim=1, keepdim=True) * direction
        return torch.cat([orthogonal.mean(dim=(2, 3)), overall], dim=1)


_POOLINGS: dict[str, Callable[..., nn.Module]] = {"gem": LastStage, "two-stage": TwoStages, "dolg": Dolg}


def make_neck(kind: str, width: int, dimension: int) -> nn.Module:
    """Pooled vector (n, width) -> embedding (n, dimension); "none" and "bn" keep the width."""
    if kind == "none":
        return nn.Identity()
    if kind == "bn":
        return nn.BatchNorm1d(width)
    linear = nn.Linear(width, dimension, bias=False)
    nn.init.orthogonal_(linear.weight)
    if kind == "linear-bn-prelu":
        return nn.Sequential(linear, nn.BatchNorm1d(dimension), nn.PReLU())
    if kind == "bn-linear":
        return nn.Sequential(nn.BatchNorm1d(width), linear)
    if kind == "linear-bn":
        return nn.Sequential(linear, nn.BatchNorm1d(dimension))
    return nn.Sequential(nn.BatchNorm1d(width), linear, nn.BatchNorm1d(dimension))


class Net(nn.Module):
    """One member: images (n, 3, h, w), normalised -> embeddings (n, dimension)."""

    def __init__(
        self, backbone: Backbone, pooling: nn.Module, neck: nn.Module, dimension: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone, self.pooling, self.neck = backbone, pooling, neck
        self.dimension = dimension
        # Without dropout no random number may be drawn for it: a run would no longer repeat.
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.neck(self.dropout(self.pooling(*self.backbone(images)).float()))  # type: ignore[no-any-return]

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding (n, dimension) and last feature map (n, c, h/32, w/32), the two outputs of an exported member."""
        middle, last = self.backbone(images)
        return self.neck(self.pooling(middle, last).float()), last.float()


def make_net(recipe: NetRecipe, *, pretrained: bool = True) -> Net:
    """Build what a recipe describes; without ``pretrained`` the weights are random (a checkpoint will fill them)."""
    backbone = make_backbone(recipe.backbone, pretrained=pretrained, weights=recipe.weights if pretrained else None)
    pooling = _POOLINGS[recipe.pooling](backbone.channels, learnable=recipe.gem_learnable)
    width = int(pooling.width)  # type: ignore[arg-type]
    dimension = width if recipe.neck in {"none", "bn"} else recipe.dimension
    return Net(backbone, pooling, make_neck(recipe.neck, width, dimension), dimension, recipe.dropout)
