"""Several members in one go on a borrowed machine: a small folder goes there, small checkpoints come back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from app.adapters.pillow_images import PillowImages
from app.domain.errors import InvalidInput
from models.backbones import make_backbone
from models.dataset import Progress, read_photographs
from models.memory import keep_memory
from models.recipe import Recipe
from models.scoring import write_scores
from models.train import Bounds, Report, Trainer
from models.validation import pack_for

WEIGHTS = "weights"
_SHEETS = ("metadata.csv", "folds.csv")


def pack(
    catalogue: Path,
    recipes: Sequence[Recipe],
    out: Path,
    *,
    longest: int = 384,
    quality: int = 80,
    progress: Progress | None = None,
) -> int:
    """Write a compact copy of a catalogue, with the recipes' ImageNet weights as float16; its size in bytes.

    Photographs keep their names and shapes, at most ``longest`` pixels on the longest side. Raises InvalidInput for a
    catalogue with boxes: they count the pixels of the photographs as they were.
    """
    photographs, images = read_photographs(catalogue), PillowImages()
    if boxed := [one.source_id for one in photographs.sightings if one.box]:
        raise InvalidInput(f"{boxed[0]!r} has a box ({len(boxed)} such): crop the photographs first, then pack them")
    paths = sorted({one.path for one in photographs.sightings})
    for number, path in enumerate(paths, start=1):
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(images.decode((catalogue / path).read_bytes()).pixels)
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        picture.save(target, "JPEG", quality=quality)
        if progress:
            progress(number, len(paths))
    for sheet in (name for name in _SHEETS if (catalogue / name).exists()):
        shutil.copyfile(catalogue / sheet, out / sheet)
    if (catalogue / "scenarios").is_dir():
        shutil.copytree(catalogue / "scenarios", out / "scenarios", dirs_exist_ok=True)
    (out / WEIGHTS).mkdir(exist_ok=True)
    for backbone in sorted({recipe.net.backbone for recipe in recipes}):
        state = make_backbone(backbone).net.state_dict()
        half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        torch.save(half, out / WEIGHTS / f"{backbone}.pt")
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def train_several(
    folder: Path,
    recipes: Sequence[Recipe],
    out: Path,
    hours: float | None,
    watch: Callable[[str, Report], None],
    *,
    resume: bool = False,
) -> list[Path]:
    """Train every recipe on a packed folder, each within an even share of ``hours``; the float16 checkpoints.

    A checkpoint is written as soon as its member is done, so that a machine that is taken away leaves the earlier ones;
    with ``resume`` those that are done stay, and the one that was stopped goes on. Raises InvalidInput for a folder
    that holds such runs already, without ``resume``.
    """
    keep_memory()
    photographs, written = read_photographs(folder), []
    out.mkdir(parents=True, exist_ok=True)
    for recipe in recipes:
        net = recipe.net.model_copy(update={"weights": folder / WEIGHTS / f"{recipe.net.backbone}.pt"})
        own = recipe.model_copy(update={"net": net})
        share = hours / len(recipes) if hours else None
        trainer = Trainer(
            own,
            photographs,
            pack_for(photographs, own.folds),
            Bounds(out / recipe.name, out / "cache", share, resume),
        )

        def told(report: Report, name: str = recipe.name) -> None:
            write_scores(out / name, report.rows)
            watch(name, report)

        trainer.run(told)
        path = out / f"{recipe.name}.half.pt"
        trainer.save_half(path)
        written.append(path)
    return written
