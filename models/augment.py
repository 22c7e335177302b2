"""Augmentation of a batch at once: geometry in one resampling, then light and colour, blur, noise and holes.

Everything random comes from the generator that is given, so that a resumed run sees the same pictures.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.recipe import AugmentRecipe

# A binomial kernel, close to a Gaussian of deviation 1.
_KERNEL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])


class Augment:
    """Pixels (n, h, w, 3) in 0..255 -> pictures (n, 3, height, width) in 0..1."""

    def __init__(self, recipe: AugmentRecipe, generator: Generator) -> None:
        self._recipe, self._generator = recipe, generator

    def __call__(self, pixels: Tensor, height: int, width: int, mirrored: Tensor | None = None) -> Tensor:
        """A new random version of every picture, at this size; ``mirrored`` (n,) settles which are mirrored."""
        pictures = pixels.permute(0, 3, 1, 2).float() / 255.0
        pictures = self._moved(pictures, height, width, mirrored)
        pictures = self._lit(pictures)
        pictures = self._focused(pictures)
        return self._holed(pictures).clamp(0.0, 1.0)

    def _between(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._generator) * (high - low) + low

    def _chance(self, share: float, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator) < share

    def _moved(self, pictures: Tensor, height: int, width: int, mirrored: Tensor | None) -> Tensor:
        """Mirror, rotate, scale, stretch and shift; what comes in from outside is white or the mean colour."""
        recipe, count = self._recipe, len(pictures)
        angle = self._between(-recipe.rotate, recipe.rotate, count) * (math.pi / 180.0)
        scale = torch.exp(self._between(-recipe.scale, recipe.scale, count))
        stretch = torch.exp(self._between(-recipe.aspect, recipe.aspect, count))
        mirror = torch.where(self._chance(recipe.flip, count) if mirrored is None else mirrored, -1.0, 1.0)
        shift = self._between(-recipe.shift, recipe.shift, count, 2)
        if recipe.moved < 1.0:  # else no number is drawn, so that runs of such recipes go on as they began
            moved = self._chance(recipe.moved, count).float()
            angle, scale, stretch, shift = angle * moved, scale**moved, stretch**moved, shift * moved[:, None]
        across, along, shape = scale * stretch, scale / stretch, height / width
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0] = angle.cos() * across * mirror
        matrix[:, 0, 1] = -angle.sin() * across * shape
        matrix[:, 1, 0] = angle.sin() * along / shape * mirror
        matrix[:, 1, 1] = angle.cos() * along
        matrix[:, :, 2] = shift
        white = self._chance(0.5, count)[:, None]
        ground = torch.where(white, torch.ones(count, 3), pictures.mean(dim=(2, 3)))[:, :, None, None]
        grid = F.affine_grid(matrix, [count, 3, height, width], align_corners=False)
        return F.grid_sample(pictures - ground, grid, padding_mode="zeros", align_corners=False) + ground

    def _lit(self, pictures: Tensor) -> Tensor:
        """Brightness, contrast, saturation or grey, a cast of colour, gamma."""
        recipe, count = self._recipe, len(pictures)
        # With a share of 1 no number is drawn, so that runs of such recipes go on as they began.
        lit = self._chance(recipe.lit, count).float()[:, None, None, None] if recipe.lit < 1.0 else torch.ones(())
        pictures = pictures * (1.0 + lit * self._between(-recipe.light, recipe.light, count, 1, 1, 1))
        mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
        contrast = 1.0 + lit * self._between(-recipe.contrast, recipe.contrast, count, 1, 1, 1)
        pictures = (pictures - mean) * contrast + mean
        saturation = 1.0 + lit * self._between(-recipe.saturation, recipe.saturation, count, 1, 1, 1)
        saturation = saturation * ~self._chance(recipe.grey, count)[:, None, None, None]
        grey = pictures.mean(dim=1, keepdim=True)
        pictures = grey + (pictures - grey) * saturation
        pictures = pictures * (1.0 + lit * self._between(-recipe.cast, recipe.cast, count, 3, 1, 1))
        gamma = torch.exp(lit * self._between(-recipe.gamma, recipe.gamma, count, 1, 1, 1))
        return pictures.clamp(1e-4, 1.0).pow(gamma)

    def _focused(self, pictures: Tensor) -> Tensor:
        """Blur some, sharpen some others, add grain to some."""
        recipe, count = self._recipe, len(pictures)
        draw = torch.rand(count, generator=self._generator)
        strength = self._between(0.0, 1.5, count)
        amount = torch.where(draw < recipe.blur, -strength.clamp(max=1.0), strength)
        if len(chosen := (draw < recipe.blur + recipe.sharpen).nonzero()[:, 0]):
            sharp = pictures[chosen]
            pictures[chosen] = sharp + (sharp - _smooth(sharp)) * amount[chosen][:, None, None, None]
        if len(grainy := self._chance(recipe.noise, count).nonzero()[:, 0]):
            shape = pictures[grainy].shape
            grain = torch.randn(shape, generator=self._generator) * self._between(0.0, 0.05, len(grainy), 1, 1, 1)
            pictures[grainy] = pictures[grainy] + grain
        return pictures

    def _holed(self, pictures: Tensor) -> Tensor:
        """Cut a rectangle out of some, and paint a white corner into some: missing pixels, as in real crops."""
        recipe, (count, _, height, width) = self._recipe, pictures.shape
        for number in self._chance(recipe.cut_out, count).nonzero()[:, 0].tolist():
            tall, wide, top, left, tone = torch.rand(5, generator=self._generator).tolist()
            rows, columns = int(height * (0.1 + 0.25 * tall)), int(width * (0.15 + 0.35 * wide))
            if recipe.hole:
                rows, columns = int(height * recipe.hole), int(width * recipe.hole)
            first, start = int((height - rows) * top), int((width - columns) * left)
            pictures[number, :, first : first + rows, start : start + columns] = tone
        down, along = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None]
        for number in self._chance(recipe.white_corner, count).nonzero()[:, 0].tolist():
            corner, tall, wide = torch.rand(3, generator=self._generator).tolist()
            below = down if corner < 0.5 else 1 - down
            beside = along if int(corner * 4) % 2 else 1 - along
            outside = below / (0.08 + 0.2 * tall) + beside / (0.15 + 0.3 * wide) < 1.0
            pictures[number] = torch.where(outside, 1.0, pictures[number])
        return pictures


def _smooth(pictures: Tensor) -> Tensor:
    kernel = (_KERNEL[:, None] * _KERNEL / _KERNEL.sum() ** 2).repeat(3, 1, 1, 1)
    return F.conv2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)
