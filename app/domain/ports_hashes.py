"""The port of perceptual hashes: what an older catalogue lacks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Hashes(Protocol):
    """Images whose perceptual hash was not computed yet."""

    def unhashed(self, limit: int) -> list[str]:
        """The SHA-256 of images without a perceptual hash, oldest first."""

    def add_hashes(self, hashes: Mapping[str, int]) -> None:
        """Keep the perceptual hashes of images, by SHA-256."""
