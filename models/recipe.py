"""Recipes: everything that makes one member, as a TOML file of its own.

A recipe is read strictly: an unknown key, a missing one or a number out of bounds is refused by name, since a misspelt
setting that silently keeps its default costs hours of training.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Fit, Mirror, Preprocessing
from app.domain.errors import InvalidInput

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Side = Annotated[int, Field(ge=32, le=1024)]
Triple = tuple[float, float, float]
Viewpoints = Annotated[tuple[Viewpoint, ...], Field(min_length=1)]

FOLDER = Path(__file__).parent / "recipes"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetRecipe(_Section):
    """Backbone, pooling and neck. ``weights`` is a state dict of the user's own, instead of ImageNet's.

    ``dropout`` stands between pooling and neck.
    """

    backbone: str
    pooling: Literal["gem", "two-stage", "dolg"] = "gem"
    gem_learnable: bool = True
    neck: Literal["none", "bn", "bn-linear", "linear-bn", "bn-linear-bn", "linear-bn-prelu"] = "bn-linear-bn"
    dimension: Annotated[int, Field(ge=8, le=4096)] = 512
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weights: Path | None = None


class InputRecipe(_Section):
    """What the net sees. ``stages`` are (height, width) in turn, the last one is the released size.

    Small pictures first, large ones last: most steps then cost a third of what they would at full size.
    """

    stages: tuple[tuple[Side, Side], ...] = Field(min_length=1)
    stage_ends: tuple[Share, ...] = ()
    mean: Triple = (127.0, 127.0, 127.0)
    std: Triple = (128.0, 128.0, 128.0)
    fit: Fit = Fit.SQUASH
    turn_wide: bool = True
    mirror: Mirror = Mirror.MEAN

    def preprocessing(self, stage: int = -1) -> Preprocessing:
        """The product's own description of one stage's input."""
        height, width = self.stages[stage]
        return Preprocessing(height, width, self.mean, self.std, self.fit, self.turn_wide, self.mirror)

    def stage_at(self, progress: float) -> int:
        """The number of the stage at ``progress`` in [0, 1); ends that are not given divide the run evenly."""
        count = len(self.stages)
        ends = self.stage_ends or tuple((number + 1) / count for number in range(count - 1))
        return sum(progress >= end for end in ends[: count - 1])


class LossRecipe(_Section):
    """The classification loss, and the contrast between photographs of one batch beside it.

    ``margin_low`` and ``margin_high`` bound the margin of a class of n photographs, which falls with
    n ** -``margin_power`` (0: every class has ``margin_high``). ``margin_spread`` is elastic ArcFace's deviation.
    ``classifier_share`` of the run comes first as a plain classifier, smoothed by ``classifier_smoothing`` (fourth
    place); the rest has ``label_smoothing``. ``focal_gamma`` weighs the batch's mean loss L by (1 - exp(-L)) ** gamma
    (third place). ``partners`` "sum" adds the mean loss of the anchors and that of their partners (first place).

    ``occasion`` is the head start, in logits, of individuals that were photographed on the picture's survey day: a
    prior over who may be there (Menon et al., Long-tail learning via logit adjustment, 2021), under which the light
    and the water of a day tell nobody apart, so that the net has no use for them.
    """

    kind: Literal["arcface", "elastic-arcface", "softmax"] = "arcface"
    scale: Positive = 24.0
    centres: Annotated[int, Field(ge=1, le=8)] = 1
    margin_low: Share = 0.3
    margin_high: Share = 0.3
    margin_power: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    margin_spread: Share = 0.0
    margin_ramp: Share = 0.0
    label_smoothing: Share = 0.0
    focal_gamma: Annotated[float, Field(ge=0.0)] = 0.0
    classifier_share: Share = 0.0
    classifier_smoothing: Share = 0.0
    partners: Literal["mean", "sum"] = "mean"
    occasion: Annotated[float, Field(ge=0.0, le=20.0)] = 0.0
    contrast: Annotated[float, Field(ge=0.0)] = 0.0
    temperature: Positive = 0.1


class SamplerRecipe(_Section):
    """How photographs come together in a batch.

    "shuffled" takes each once an epoch. "pairs" adds to each a partner of the same individual: with the chance
    ``other_view`` one from the other side (top for a lateral), else with the chance ``other_encounter`` one from
    another encounter, wherever there is such a one, else any. An ``other_encounter`` of 1 takes another encounter
    whenever there is one; the house has 0.75, the winners 0 (they never asked). "views" takes only individuals with
    both sides, each top view with a lateral (first place's cross-view members). Individuals with fewer than ``least``
    photographs are left out.

    ``together`` photographs of one encounter stand side by side in a batch, so that the others that a net must tell a
    whale from were taken in the same light on the same water: what an encounter has in common is then no help.
    """

    kind: Literal["shuffled", "pairs", "views"] = "shuffled"
    other_encounter: Share = 0.75
    other_view: Share = 0.3
    least: Annotated[int, Field(ge=1)] = 1
    together: Annotated[int, Field(ge=1)] = 1
    viewpoints: Viewpoints = tuple(Viewpoint)


class AugmentRecipe(_Section):
    """Chances and strengths of what is done to a training picture; see ``augment.py``.

    The defaults are the house's. ``moved`` is the chance that a picture is rotated, scaled, stretched and shifted at
    all, ``lit`` that its light and colours change at all. ``hole`` is the side of what ``cut_out`` cuts, as a share of
    the picture's (0: a rectangle of random sides).

    ``mirror`` "another" makes a mirrored photograph show another individual: marks are not symmetric, so the net must
    tell which side a mark is on, and learns from twice as many individuals. A pair is then mirrored together. Such a
    net is best released with photograph and mirror beside each other (``input.mirror``), not with their mean.
    """

    flip: Share = 0.5
    mirror: Literal["same", "another"] = "same"
    moved: Share = 1.0
    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 12.0
    scale: Share = 0.22
    aspect: Share = 0.1
    shift: Share = 0.13
    lit: Share = 1.0
    light: Share = 0.3
    contrast: Share = 0.35
    saturation: Share = 0.65
    cast: Share = 0.15
    gamma: Share = 0.3
    grey: Share = 0.15
    blur: Share = 0.2
    sharpen: Share = 0.15
    noise: Share = 0.15
    cut_out: Share = 0.5
    hole: Share = 0.0
    white_corner: Share = 0.15


class OptimiserRecipe(_Section):
    """AdamW or Adam with three learning rates: warmed up in a straight line, then annealed to ``floor`` times the peak.

    The warm-up takes the share ``warm_up`` of the run and begins at ``start`` times the peak. "exponential" falls by
    the same factor in equal times. At the share ``restart`` of the run the whole schedule begins anew (0: never).
    ``average`` is the decay of the running average of the weights, 0 the weights themselves.
    """

    kind: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "exponential"] = "cosine"
    backbone: Positive = 1e-3
    neck: Positive = 2e-3
    head: Positive = 5e-3
    decay: Annotated[float, Field(ge=0.0)] = 0.02
    warm_up: Share = 0.06
    start: Share = 0.0
    floor: Share = 0.01
    restart: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    clip: Positive = 20.0
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.998


class ScheduleRecipe(_Section):
    """How long, and how often the validation scenarios are scored (``evaluate_every`` epochs)."""

    epochs: Annotated[int, Field(ge=1)] = 20
    batch: Annotated[int, Field(ge=2)] = 32
    evaluate_every: Annotated[int, Field(ge=1)] = 1


class FoldRecipe(_Section):
    """Which photographs are trained on.

    "file" takes the parts of ``folds.csv`` whose name begins with "train"; "by-individual" keeps whole individuals
    apart, "within-individual" deals each individual's encounters out over the folds; "all" keeps nothing back.
    The split has a ``seed`` of its own: members that differ in the recipe's seed still keep back the same photographs.
    """

    kind: Literal["file", "by-individual", "within-individual", "all"] = "file"
    count: Annotated[int, Field(ge=2)] = 5
    fold: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0


class Recipe(_Section):
    """One member, from photographs to weights; it serves ``viewpoints``, all of which it must have seen in training."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    seed: int = 0
    viewpoints: Viewpoints = tuple(Viewpoint)
    net: NetRecipe
    input: InputRecipe
    loss: LossRecipe = LossRecipe()
    sampler: SamplerRecipe = SamplerRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    folds: FoldRecipe = FoldRecipe()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if unseen := [str(view) for view in self.viewpoints if view not in self.sampler.viewpoints]:
            raise ValueError(f"viewpoints: {unseen[0]!r} is served, but sampler.viewpoints leaves it out of training")
        if len(set(self.viewpoints)) < len(self.viewpoints):
            raise ValueError("viewpoints: one is named twice")
        if self.loss.partners == "sum" and self.sampler.kind == "shuffled":
            raise ValueError('loss.partners: "sum" needs a sampler that brings partners')
        if self.loss.occasion and self.loss.kind == "softmax":
            raise ValueError("loss.occasion: only the angular losses have a prior of the survey day")
        if self.augment.mirror == "another" and not 0.0 < self.augment.flip < 1.0:
            raise ValueError(
                'augment.mirror: "another" needs a flip above 0 and below 1: else half the classes are empty'
            )
        if self.folds.fold >= self.folds.count:
            raise ValueError(f"folds.fold: {self.folds.fold} is none of {self.folds.count} folds, counted from 0")
        return self


def parse_recipe(text: str) -> Recipe:
    """Read a recipe (TOML). Raises InvalidInput naming the first key at fault."""
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the recipe is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place, fault = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"the recipe's {place}: {fault}" if place else f"the recipe's {fault}") from error


def find_recipe(name: str) -> Recipe:
    """A recipe by path, or by the name of one that is delivered. Raises InvalidInput when there is neither."""
    for path in (Path(name), FOLDER / f"{name}.toml"):
        if path.is_file():
            return parse_recipe(path.read_text(encoding="utf-8"))
    known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
    raise InvalidInput(f"no recipe {name!r}: give a file, or one of {known}")
