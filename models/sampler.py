"""Samplers: which photographs come together in a batch.

Classification sees single photographs; knowing a whale on another day is learned from pairs. So a partner of the same
individual is taken from the other side or from another encounter, wherever there is one, as often as the recipe asks
(the house: from another encounter in 0.75 of the cases; the winners: as it comes).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.domain.errors import InvalidInput
from models.dataset import Int64, Photographs
from models.recipe import SamplerRecipe


class Sampler:
    """Batches of row numbers, ``size`` each, for epoch after epoch, from one random generator."""

    def __init__(
        self, photographs: Photographs, rows: Int64, recipe: SamplerRecipe, size: int, random: np.random.Generator
    ) -> None:
        self._recipe, self._size, self._random = recipe, size, random
        self._individuals, self._encounters = photographs.individuals, photographs.encounters
        self._top = photographs.top
        self._rows = self._kept(rows)
        if len(self._rows) < 2:
            raise InvalidInput("the recipe's sampler leaves fewer than two photographs to train on")
        self._of = {
            int(one): self._rows[self._individuals[self._rows] == one]
            for one in np.unique(self._individuals[self._rows])
        }

    @property
    def rows(self) -> Int64:
        """The photographs that are trained on."""
        return self._rows

    def __len__(self) -> int:
        """Batches an epoch."""
        return max(1, len(self._anchors()) // self._step)

    def epoch(self) -> Iterator[Int64]:
        """Every photograph once as an anchor, in a new order; a last batch that is not full is left out."""
        order = self._order()
        for number in range(len(self)):
            anchors = order[number * self._step : (number + 1) * self._step]
            if self._recipe.kind == "shuffled":
                yield anchors
            else:
                yield np.concatenate([anchors, [self._partner(int(anchor)) for anchor in anchors]])

    def _order(self) -> Int64:
        """All anchors in a new random order, those of one encounter in groups of ``together``."""
        order, size = self._random.permutation(self._anchors()), self._recipe.together
        if size == 1:
            return order
        order = order[np.argsort(self._encounters[order], kind="stable")]
        encounters = np.split(order, np.flatnonzero(np.diff(self._encounters[order])) + 1)
        groups = [one[start : start + size] for one in encounters for start in range(0, len(one), size)]
        return np.concatenate([groups[number] for number in self._random.permutation(len(groups))])

    @property
    def _step(self) -> int:
        return self._size if self._recipe.kind == "shuffled" else max(1, self._size // 2)

    def _anchors(self) -> Int64:
        return self._rows[self._top[self._rows]] if self._recipe.kind == "views" else self._rows

    def _kept(self, rows: Int64) -> Int64:
        numbers, counts = np.unique(self._individuals[rows], return_counts=True)
        kept = numbers[counts >= self._recipe.least]
        if self._recipe.kind == "views":
            seen = [set(self._individuals[rows[self._top[rows] == top]].tolist()) for top in (True, False)]
            kept = np.array([one for one in kept.tolist() if one in seen[0] & seen[1]], dtype=np.int64)
        return rows[np.isin(self._individuals[rows], kept)]

    def _partner(self, anchor: int) -> int:
        """Another photograph of the same individual; the anchor itself, differently augmented, if it has no other."""
        others = self._of[int(self._individuals[anchor])]
        others = others[others != anchor]
        if len(others) == 0:
            return anchor
        across = others[self._top[others] != self._top[anchor]]
        # A lateral is rare, so that it meets a top view twice as often as the other way round.
        chance = self._recipe.other_view * (1 if self._top[anchor] else 2)
        if len(across) and (self._recipe.kind == "views" or self._random.random() < chance):
            return int(self._random.choice(across))
        elsewhere = others[self._encounters[others] != self._encounters[anchor]]
        if len(elsewhere) and self._random.random() < self._recipe.other_encounter:
            return int(self._random.choice(elsewhere))
        return int(self._random.choice(others))
