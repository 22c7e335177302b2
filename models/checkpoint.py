"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.domain.errors import InvalidInput
from models.backbones import read_tensors
from models.losses import Objective
from models.nets import Net
from models.optimise import Average, Optimiser
from models.recipe import Recipe

LAST, BEST = "last.pt", "best.pt"


@dataclass(slots=True)
class Position:
    """How far a run has come; ``seconds`` counts the time spent in steps, over all its restarts."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """The moving parts of one run."""

    net: Net
    objective: Objective
    optimiser: Optimiser
    average: Average
    generator: torch.Generator
    random: np.random.Generator
    position: Position

    def save(self, path: Path, recipe: Recipe, size: tuple[int, int]) -> None:
        """Write a checkpoint at the present stage's input ``size`` (height, width).

        The file is complete or absent, whenever the machine stops.
        """
        place = self.position
        state = {
            "recipe": recipe.model_dump(mode="json"),
            "size": list(size),
            "net": self.net.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.adam.state_dict(),
            "average": self.average.state,
            "average_steps": self.average.steps,
            "position": [place.epoch, place.step, place.seconds, place.best],
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "random": self.random.bit_generator.state,
        }
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)

    def load(self, path: Path, recipe: Recipe) -> None:
        """Go on from a checkpoint. Raises InvalidInput when it belongs to another recipe or cannot be read."""
        state = read_checkpoint(path)
        if Recipe.model_validate(state["recipe"]) != recipe:
            raise InvalidInput(f"{path.name} was made by another recipe: give another folder, or start anew")
        self.net.load_state_dict(state["net"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.adam.load_state_dict(state["optimiser"])
        # In place: on a GPU the average stays there, though the file was read to the CPU.
        for name, value in self.average.state.items():
            value.copy_(state["average"][name])
        self.average.steps = state["average_steps"]
        place = self.position
        place.epoch, place.step, place.seconds, place.best = state["position"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])
        self.random.bit_generator.state = state["random"]


def save_half(path: Path, recipe: Recipe, average: Average, size: tuple[int, int]) -> None:
    """Only what an export needs, as float16: a member of 5 million weights is 10 MB."""
    half = {name: value.half() if value.is_floating_point() else value for name, value in average.state.items()}
    torch.save({"recipe": recipe.model_dump(mode="json"), "size": list(size), "average": half}, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's state. Raises InvalidInput when the file is missing, damaged or no checkpoint."""
    state = read_tensors(path)
    if not {"recipe", "average"} <= state.keys():
        raise InvalidInput(f"{path.name!r} is no checkpoint: it holds no recipe or no weights")
    return state
