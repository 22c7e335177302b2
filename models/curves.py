"""Curves of a run: a CSV with one line an epoch, and a picture of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE, PICTURE = "curves.csv", "curves.png"
COLUMNS = (
    "epoch",
    "progress",
    "seconds",
    "height",
    "width",
    "learning_rate",
    "loss",
    "classes",
    "contrast",
    "gradient",
    "photographs_per_second",
    "map20_pooled",
    "map20_other_encounter",
)


def append(folder: Path, line: Mapping[str, float | int]) -> None:
    """Add one epoch to the CSV; a later run over the same folder goes on below."""
    path = folder / FILE
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
        if fresh:
            writer.writeheader()
        writer.writerow({name: _short(line[name]) for name in COLUMNS if name in line})


def cut(folder: Path, epoch: int) -> None:
    """Forget the lines after ``epoch``: the epochs that a resumed run is about to repeat."""
    if (folder / FILE).exists():
        kept = [line for line in read(folder) if int(line["epoch"]) <= epoch]
        with (folder / FILE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)


def read(folder: Path) -> list[dict[str, str]]:
    """The lines of a run's CSV."""
    with (folder / FILE).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def draw(lines: Sequence[Mapping[str, str]], path: Path) -> None:
    """Loss and validation score over the run, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    progress = [float(line["progress"]) for line in lines]
    left.plot(progress, [float(line["loss"]) for line in lines])
    left.set(xlabel="progress of the run", ylabel="training loss")
    for column, label in (("map20_pooled", "any match"), ("map20_other_encounter", "another encounter")):
        points = [(float(line["progress"]), float(line[column])) for line in lines if line.get(column)]
        right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label) if points else None
    right.set(xlabel="progress of the run", ylabel="validation mAP@20, pooled", ylim=(0, None))
    right.legend()
    figure.savefig(path, dpi=100)


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.7g}"
