"""Photographs for training: the contest's ``metadata.csv``, who may be trained on, and prepared pixels."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Preprocessing
from app.domain.errors import InvalidInput
from models.recipe import FoldRecipe

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

_COLUMNS = ("image_id", "path", "viewpoint", "whale_id")


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """The rows of a catalogue in one order; ``individuals`` and ``encounters`` are numbers from 0, -1 for unknown."""

    folder: Path
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    viewpoints: npt.NDArray[np.str_]
    individuals: Int64
    encounters: Int64
    parts: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def top(self) -> Bool:
        """Which photographs are top views."""
        return np.asarray(self.viewpoints == Viewpoint.TOP.value)


def read_photographs(folder: Path) -> Photographs:
    """Read ``metadata.csv`` and, where there is one, ``folds.csv`` (image_id, part) of a contest-format folder.

    A photograph without an encounter_id is an encounter of its own. Raises InvalidInput for what is missing.
    """
    rows = _read_csv(folder / "metadata.csv", _COLUMNS)
    if not rows:
        raise InvalidInput("metadata.csv has no rows")
    folds = folder / "folds.csv"
    part_of = {row["image_id"]: row["part"] for row in _read_csv(folds, ("image_id", "part"))} if folds.exists() else {}
    if part_of and (strays := [row["image_id"] for row in rows if row["image_id"] not in part_of]):
        raise InvalidInput(f"folds.csv names no part for {strays[0]!r} ({len(strays)} such)")
    return Photographs(
        folder=folder,
        ids=tuple(row["image_id"] for row in rows),
        paths=tuple(row["path"] for row in rows),
        viewpoints=np.array([row["viewpoint"] or Viewpoint.UNKNOWN.value for row in rows]),
        individuals=_numbered([row["whale_id"] for row in rows]),
        encounters=_numbered([row.get("encounter_id") or f"alone {row['image_id']}" for row in rows]),
        parts=np.array([part_of.get(row["image_id"], "train") for row in rows]),
    )


def training_rows(photographs: Photographs, folds: FoldRecipe, viewpoints: Sequence[Viewpoint], seed: int) -> Int64:
    """The row numbers to train on: identified photographs of these viewpoints, outside the fold kept back."""
    wanted = (photographs.individuals >= 0) & np.isin(photographs.viewpoints, [str(view) for view in viewpoints])
    if folds.kind == "file":
        wanted &= np.char.startswith(photographs.parts, "train")
    elif folds.kind != "all":
        wanted &= fold_numbers(photographs, folds, seed) != folds.fold
    return np.flatnonzero(wanted)


def fold_numbers(photographs: Photographs, folds: FoldRecipe, seed: int) -> Int64:
    """A fold number for every photograph.

    "by-individual": all photographs of an individual share one. "within-individual": each individual's encounters are
    dealt out in turn, so that every fold knows it, yet no encounter is torn apart.
    """
    keys = photographs.individuals if folds.kind == "by-individual" else photographs.encounters
    order = np.random.default_rng(seed).permutation(np.unique(keys))
    if folds.kind == "within-individual":
        owner = dict(zip(photographs.encounters.tolist(), photographs.individuals.tolist(), strict=True))
        order = np.array(sorted(order.tolist(), key=owner.__getitem__))
    number = {int(key): place % folds.count for place, key in enumerate(order)}
    return np.array([number[int(key)] for key in keys], dtype=np.int64)


def prepared(
    photographs: Photographs, preprocessing: Preprocessing, cache: Path | None = None, progress: Progress | None = None
) -> Pixels:
    """Every photograph as the product prepares it, before normalisation: (n, height, width, 3), uint8.

    Kept in a file under ``cache`` (by default memory only), which is made again when anything about it changes.
    Raises BadImage for a photograph that cannot be read.
    """
    raw = Preprocessing(
        preprocessing.height, preprocessing.width, (0.0,) * 3, (1.0,) * 3, preprocessing.fit, preprocessing.turn_wide
    )
    shape = (len(photographs), raw.height, raw.width, 3)
    if cache is None:
        pixels: Pixels = np.empty(shape, np.uint8)
        _fill(photographs, raw, pixels, progress)
        return pixels
    cache.mkdir(parents=True, exist_ok=True)
    key = json.dumps([photographs.paths, str(photographs.folder.resolve()), asdict(raw)], sort_keys=True)
    path = cache / f"pixels-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        _fill(photographs, raw, pixels, progress)
        part.rename(path)
    loaded: Pixels = np.load(path, mmap_mode="r")
    return loaded


def _fill(photographs: Photographs, raw: Preprocessing, pixels: Pixels, progress: Progress | None) -> None:
    images = PillowImages()
    for row, path in enumerate(photographs.paths):
        photograph = images.decode((photographs.folder / path).read_bytes())
        pixels[row] = images.prepare(photograph, raw).transpose(1, 2, 0).astype(np.uint8)
        if progress:
            progress(row + 1, len(photographs))


def _read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
                raise InvalidInput(f"{path.name} lacks the column {missing[0]!r}")
            return list(reader)
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}") from error


def _numbered(names: Sequence[str]) -> Int64:
    numbers = {name: number for number, name in enumerate(sorted({name for name in names if name}))}
    return np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
