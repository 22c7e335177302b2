"""Photographs for training: a catalogue's sheet, who may be trained on, and prepared pixels."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Sighting, Viewpoint
from app.domain.ensemble import Preprocessing
from app.domain.errors import InvalidInput
from app.domain.sheet import read_sightings
from models.recipe import FoldRecipe

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """The rows of a catalogue in one order; ``individuals`` and ``encounters`` are numbers from 0, -1 for unknown."""

    folder: Path
    sightings: tuple[Sighting, ...]
    individuals: Int64
    encounters: Int64
    parts: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.sightings)

    @property
    def ids(self) -> list[str]:
        """The user's own name of every photograph."""
        return [sighting.source_id for sighting in self.sightings]

    @property
    def days(self) -> Int64:
        """The survey day of every photograph as a number from 0, -1 where it is not known to the day."""
        days = [day.toordinal() if (day := one.captured.day) else -1 for one in self.sightings]
        known = np.unique([day for day in days if day >= 0])
        return np.where(np.array(days) < 0, -1, np.searchsorted(known, days)).astype(np.int64)

    @property
    def viewpoints(self) -> npt.NDArray[np.str_]:
        """The viewpoint of every photograph."""
        return np.array([sighting.viewpoint.value for sighting in self.sightings])

    @property
    def top(self) -> Bool:
        """Which photographs are top views."""
        return np.asarray(self.viewpoints == Viewpoint.TOP.value)


def read_photographs(folder: Path) -> Photographs:
    """Read a folder's ``metadata.csv`` as an import would and, where there is one, ``folds.csv`` (image_id, part).

    A photograph without an encounter is an encounter of its own. Raises BadRows for faults of the sheet, InvalidInput
    for a file that is missing or a photograph without a part.
    """
    try:
        content = (folder / "metadata.csv").read_bytes()
        folds = (folder / "folds.csv").read_text("utf-8-sig") if (folder / "folds.csv").exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the catalogue cannot be read: {error}") from error
    absent: dict[bool, str | None] = {True: None, False: "there is no such file"}
    sightings = read_sightings(
        [content],
        absent=lambda path: absent[(folder / path).is_file()],
        today=datetime.now(UTC).date() + timedelta(days=1),
    )
    part_of = {row.get("image_id"): row.get("part") or "" for row in csv.DictReader(folds.splitlines())}
    if part_of and (strays := [one.source_id for one in sightings if one.source_id not in part_of]):
        raise InvalidInput(f"folds.csv names no part for {strays[0]!r} ({len(strays)} such)")
    return as_photographs(folder, sightings, part_of)


def as_photographs(
    folder: Path, sightings: Sequence[Sighting], part_of: Mapping[str | None, str] | None = None
) -> Photographs:
    """Sightings as rows; one that ``part_of`` has no part for, by its name, may be trained on."""
    parts = part_of or {}
    return Photographs(
        folder=folder,
        sightings=tuple(sightings),
        individuals=_numbered([one.individual or "" for one in sightings]),
        encounters=_numbered([one.encounter or f"alone {one.source_id}" for one in sightings]),
        parts=np.array([parts.get(one.source_id, "train") for one in sightings]),
    )


def training_rows(photographs: Photographs, folds: FoldRecipe, viewpoints: Sequence[Viewpoint]) -> Int64:
    """The row numbers to train on: identified photographs of these viewpoints that are not kept back."""
    wanted = (photographs.individuals >= 0) & np.isin(photographs.viewpoints, [str(view) for view in viewpoints])
    return np.flatnonzero(wanted & ~kept_back(photographs, folds))


def kept_back(photographs: Photographs, folds: FoldRecipe) -> Bool:
    """Which photographs (n,) a run must not see.

    Those outside the training parts of ``folds.csv``, and for a fold one of the identified photographs inside them.
    Where the file keeps nothing back, or there is none, "file" means a fold by individual.
    """
    if folds.kind == "all":
        return np.zeros(len(photographs), dtype=np.bool_)
    outside: Bool = ~np.char.startswith(photographs.parts, "train")
    if folds.kind == "file" and outside.any():
        return outside
    return outside | (fold_numbers(photographs, folds) == folds.fold)


def fold_numbers(photographs: Photographs, folds: FoldRecipe) -> Int64:
    """A fold number for every identified photograph inside the training parts, -1 for the others.

    "by-individual" ("file" likewise): all photographs of an individual share one. "within-individual": each
    individual's encounters are dealt out in turn, so that one of two encounters or more is never kept back whole, and
    no encounter is torn apart.
    """
    keys = photographs.encounters if folds.kind == "within-individual" else photographs.individuals
    inside = (photographs.individuals >= 0) & np.char.startswith(photographs.parts, "train")
    order = np.random.default_rng(folds.seed).permutation(np.unique(keys[inside]))
    if folds.kind == "within-individual":
        owner = dict(zip(photographs.encounters.tolist(), photographs.individuals.tolist(), strict=True))
        order = np.array(sorted(order.tolist(), key=owner.__getitem__))
    number = {int(key): place % folds.count for place, key in enumerate(order)}
    return np.array([number[int(key)] if ours else -1 for key, ours in zip(keys, inside, strict=True)], dtype=np.int64)


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
    path = cache / f"pixels-{cache_key(photographs, raw)}.npy"
    with _one_maker(path):
        if not path.exists():
            part = path.with_suffix(".part")
            pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            _fill(photographs, raw, pixels, progress)
            part.rename(path)
    loaded: Pixels = np.load(path, mmap_mode="r")
    return loaded


def cache_key(photographs: Photographs, preprocessing: Preprocessing, *others: str) -> str:
    """32 hexadecimal digits over all that prepared pixels depend on, and ``others`` (such as a net's hash).

    A photograph counts with its path, size, time of change and box: one that is exchanged makes another key. Raises
    InvalidInput for a photograph that is gone.
    """
    rows = []
    for one in photographs.sightings:
        try:
            about = (photographs.folder / one.path).stat()
        except OSError as error:
            raise InvalidInput(f"the photograph {one.path!r} cannot be read: {error.strerror}") from error
        rows.append((one.path, about.st_size, about.st_mtime_ns, astuple(one.box) if one.box else None))
    text = json.dumps([rows, str(photographs.folder.resolve()), asdict(preprocessing), others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def stored(path: Path, make: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The array in ``path``, made and written when it is not there; the file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_maker(path):
        if not path.exists():
            part = path.with_suffix(".part")
            with part.open("wb") as stream:
                np.save(stream, make())
            part.rename(path)
    loaded: npt.NDArray[np.float32] = np.load(path)
    return loaded


@contextmanager
def _one_maker(path: Path) -> Iterator[None]:
    """Let one process at a time make ``path``: runs that start together share a cache, and would share the part file.

    The system opens the lock when its holder dies.
    """
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(photographs: Photographs, raw: Preprocessing, pixels: Pixels, progress: Progress | None) -> None:
    images = PillowImages()
    for row, one in enumerate(photographs.sightings):
        photograph = images.decode((photographs.folder / one.path).read_bytes(), whole=one.box is not None)
        pixels[row] = images.prepare(photograph, raw, one.box).transpose(1, 2, 0).astype(np.uint8)
        if progress:
            progress(row + 1, len(photographs))


def _numbered(names: Sequence[str]) -> Int64:
    numbers = {name: number for number, name in enumerate(sorted({name for name in names if name}))}
    return np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
