"""Training: one recipe, one member, resumable to the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.domain.ensemble import Float32, Preprocessing
from app.domain.errors import InvalidInput
from models import curves
from models.augment import Augment
from models.checkpoint import BEST, LAST, Position, Session, save_half
from models.classes import Classes
from models.dataset import Int64, Photographs, Pixels, prepared, training_rows
from models.embedding import embed, normalised, unit
from models.losses import Objective
from models.nets import Net, make_net
from models.optimise import Average, Optimiser, learning_rate
from models.recipe import Recipe
from models.sampler import Sampler
from models.scoring import POOLED, Pack, Row, table
from models.validation import refuse_leaks

# Prepared training pictures are this much larger than the input, so that augmentation does not blur them.
_MARGIN = 1.08


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a run keeps its files and when it ends.

    A folder that holds a run already is gone on with (``resume``), emptied of it (``anew``), or refused.

    With ``hours`` the schedule follows the clock, not the epochs: the learning rate reaches its floor when that time
    is spent, however slow a shared machine is; evaluation counts, the preparing of photographs before it does not.
    Such a run cannot be repeated to the bit.
    """

    out: Path
    cache: Path
    hours: float | None = None
    resume: bool = False
    pretrained: bool = True
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """One epoch, told to whoever watches."""

    epoch: int
    progress: float
    seconds: float
    loss: float
    rows: tuple[Row, ...]


Watch = Callable[[Report], None]
Tick = Callable[[float], None]


class Trainer:
    """A run: data, session and device. ``run`` does it; the files land in ``bounds.out``."""

    def __init__(self, recipe: Recipe, photographs: Photographs, pack: Pack, bounds: Bounds) -> None:
        self._recipe, self._photographs, self._pack, self._bounds = recipe, photographs, pack, bounds
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        rows = training_rows(photographs, recipe.folds, recipe.sampler.viewpoints)
        refuse_leaks(pack, photographs, rows)
        random = np.random.default_rng(recipe.seed)
        self._sampler = Sampler(photographs, rows, recipe.sampler, recipe.schedule.batch, random)
        self._classes = Classes(photographs, self._sampler.rows, recipe)
        net = make_net(recipe.net, pretrained=bounds.pretrained)
        net = net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        objective = Objective(self._classes.counts, net.dimension, recipe.loss).to(self._device)
        generator = torch.Generator().manual_seed(recipe.seed)
        optimiser, average = Optimiser(net, objective, recipe.optimiser), Average(net, recipe.optimiser.average)
        self._session = Session(net, objective, optimiser, average, generator, random, Position())
        self._augment = Augment(recipe.augment, generator)
        self._stage = -1
        self._larger: list[Pixels] = []
        self._exact: list[Pixels] = []
        bounds.out.mkdir(parents=True, exist_ok=True)

    def run(self, watch: Watch | None = None, tick: Tick | None = None) -> Net:
        """Train to the end; the net with the averaged weights is returned and kept in ``best.pt`` and ``last.pt``.

        Raises InvalidInput when the folder holds a run already, and neither ``resume`` nor ``anew`` is asked for.
        """
        self._begin()
        place = self._session.position
        while self._progress() < 1.0:
            line = self._epoch(tick)
            place.epoch += 1
            start = time.perf_counter()
            rows = self._evaluate() if self._due() else []
            place.seconds += time.perf_counter() - start
            self._keep(line, rows)
            if watch:
                watch(Report(place.epoch, self._progress(), place.seconds, line["loss"], tuple(rows)))
        return self.averaged()

    def save_half(self, path: Path) -> None:
        """Keep the averaged weights alone, as float16, for a journey between machines."""
        save_half(path, self._recipe, self._session.average, self._size())

    def averaged(self) -> Net:
        """A copy of the net with the averaged weights, for evaluation and export."""
        net = make_net(self._recipe.net, pretrained=False)
        net.load_state_dict(self._session.average.state)
        return net.to(self._device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]

    def _begin(self) -> None:
        """Settle with the run that the folder may hold, then prepare the photographs of every stage."""
        out = self._bounds.out
        if (out / LAST).exists() and self._bounds.resume:
            self._session.load(out / LAST, self._recipe)
        elif (out / LAST).exists() and not self._bounds.anew:
            raise InvalidInput(f"{out} holds a run: resume it, begin anew in its place, or give another folder")
        else:
            for name in (LAST, BEST):
                (out / name).unlink(missing_ok=True)
        curves.cut(out, self._session.position.epoch)
        self._larger = _every_stage(self._recipe, self._photographs, self._bounds.cache, _MARGIN)
        self._exact = _every_stage(self._recipe, self._photographs, self._bounds.cache, 1.0)

    def _progress(self) -> float:
        place = self._session.position
        if self._bounds.hours is not None:
            return min(1.0, place.seconds / (self._bounds.hours * 3600))
        return min(1.0, place.step / (len(self._sampler) * self._recipe.schedule.epochs))

    def _epoch(self, tick: Tick | None) -> dict[str, float]:
        session, place = self._session, self._session.position
        sums: dict[str, float] = {}
        begun, steps, pictures = place.seconds, 0, 0
        session.net.train()
        for rows in self._sampler.epoch():
            start, progress = time.perf_counter(), self._progress()
            if progress >= 1.0:
                break
            parts = self._step(rows, progress)
            place.step += 1
            place.seconds += time.perf_counter() - start
            steps, pictures = steps + 1, pictures + len(rows)
            sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
            if tick:
                tick(self._progress())
        spent = max(place.seconds - begun, 1e-9)
        return {
            **{name: value / max(steps, 1) for name, value in sums.items()},
            "photographs_per_second": pictures / spent,
        }

    def _step(self, rows: Int64, progress: float) -> dict[str, float]:
        session = self._session
        self._stage = self._recipe.input.stage_at(progress)
        shape = self._recipe.input.preprocessing(self._stage)
        pixels = torch.from_numpy(np.ascontiguousarray(self._larger[self._stage][rows]))
        labels, mirrored = self._classes.draw(rows, session.generator)
        pictures = self._augment(pixels, shape.height, shape.width, mirrored).permute(0, 2, 3, 1) * 255.0
        images = normalised(pictures, shape).to(self._device)
        with _quick(self._device):
            embeddings = session.net(images)
        seen = self._classes.seen(rows).to(self._device) if self._recipe.loss.occasion else None
        loss, parts = session.objective(embeddings.float(), labels.to(self._device), progress, session.generator, seen)
        norm = session.optimiser.step(loss, progress)
        session.average.update(session.net)
        return {"loss": float(loss.detach()), "gradient": norm, **parts}

    def _due(self) -> bool:
        if not self._pack.scenarios:
            return False
        return self._session.position.epoch % self._recipe.schedule.evaluate_every == 0 or self._progress() >= 1.0

    def _evaluate(self) -> list[Row]:
        """The validation table at the present stage's size, by the product's own preprocessing and measure."""
        asked, ids = self._pack.image_ids, self._photographs.ids
        rows = np.array([row for row, image_id in enumerate(ids) if image_id in asked], dtype=np.int64)
        shape, pixels = self._recipe.input.preprocessing(self._stage), self._exact[self._stage]
        vectors = vectors_of(self.averaged(), pixels, shape, rows, self._device)
        return table(self._pack, vectors, {ids[row]: number for number, row in enumerate(rows)})

    def _keep(self, line: Mapping[str, float], rows: list[Row]) -> None:
        place, out = self._session.position, self._bounds.out
        height, width = self._size()
        facts: dict[str, float | int] = {
            **line,
            "epoch": place.epoch,
            "progress": self._progress(),
            "seconds": place.seconds,
            "height": height,
            "width": width,
            "learning_rate": learning_rate(self._progress(), self._recipe.optimiser) * self._recipe.optimiser.backbone,
        }
        facts |= _pooled(rows)
        curves.append(out, facts)
        if facts.get("map20_pooled", -1.0) > place.best:
            place.best = facts["map20_pooled"]
            self._session.save(out / BEST, self._recipe, (height, width))
        self._session.save(out / LAST, self._recipe, (height, width))

    def _size(self) -> tuple[int, int]:
        """The input of the stage that the weights are at; a run that was over when resumed has entered none."""
        stage = self._stage if self._stage >= 0 else self._recipe.input.stage_at(self._progress())
        height, width = self._recipe.input.stages[stage]
        return height, width


def _every_stage(recipe: Recipe, photographs: Photographs, cache: Path, margin: float) -> list[Pixels]:
    """All photographs prepared for each stage's input, with each side ``margin`` times as long."""
    shapes = [recipe.input.preprocessing(stage) for stage in range(len(recipe.input.stages))]
    larger = [replace(one, height=round(one.height * margin), width=round(one.width * margin)) for one in shapes]
    return [prepared(photographs, shape, cache) for shape in larger]


def _pooled(rows: Sequence[Row]) -> dict[str, float]:
    """What the curve shows of a validation table; nothing where there was none."""
    return {
        name: value
        for row in rows
        if row.scenario == POOLED
        for name, value in (
            ("map20_pooled", row.any_match.map20),
            ("map20_other_encounter", row.other_encounter.map20),
        )
    }


def vectors_of(
    net: Net, pixels: Pixels, shape: Preprocessing, rows: Int64 | None = None, device: torch.device | None = None
) -> Float32:
    """Unit vectors (n, d) of prepared photographs, each with its mirror as ``shape`` wants it."""
    home = device or torch.device("cpu")

    def model(images: Tensor) -> Tensor:
        with _quick(home):
            output: Tensor = net(images.to(home))
        return output.float().cpu()

    return unit(embed(model, pixels, shape, rows))


def _quick(device: torch.device) -> AbstractContextManager[object]:
    """Bfloat16 arithmetic on a GPU, and on a CPU that has it."""
    able = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no public question
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
