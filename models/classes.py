"""Classes: what a run tells apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from models.dataset import Int64, Photographs
from models.recipe import Recipe


class Classes:
    """The individuals of the training rows; twice as many where a mirrored photograph shows another one.

    ``counts`` are the photographs of each.
    """

    def __init__(self, photographs: Photographs, rows: Int64, recipe: Recipe) -> None:
        individuals = photographs.individuals
        known, counts = np.unique(individuals[rows], return_counts=True)
        self._numbers = np.full(len(individuals), -1, dtype=np.int64)
        self._numbers[rows] = np.searchsorted(known, individuals[rows])
        self._known = len(known)
        self._another = recipe.augment.mirror == "another"
        self._flip, self._pairs = recipe.augment.flip, recipe.sampler.kind != "shuffled"
        self.counts = np.tile(counts.astype(np.int64), 1 + self._another)
        self._days = photographs.days
        self._seen = np.zeros((self._days.max(initial=-1) + 2, len(self.counts)), np.bool_)
        for sides in range(1 + self._another):
            self._seen[self._days[rows], self._numbers[rows] + sides * self._known] = True
        self._seen[-1] = False  # the row of photographs whose day is not known

    def seen(self, rows: Int64) -> Tensor:
        """Which classes (n, classes) were photographed on the survey day of each photograph; none if it is unknown."""
        return torch.from_numpy(self._seen[self._days[rows]])

    def draw(self, rows: Int64, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """The class of each photograph of a batch (n,), and which are mirrored (n,) where the class depends on it."""
        numbers = torch.from_numpy(self._numbers[rows])
        if not self._another:
            return numbers, None
        count = len(rows) // 2 if self._pairs else len(rows)
        mirrored = torch.rand(count, generator=generator) < self._flip
        if self._pairs:  # an anchor and its partner show one individual
            mirrored = torch.cat([mirrored, mirrored])
        return numbers + self._known * mirrored, mirrored
