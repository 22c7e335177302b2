"""Unique small photographs and the ways in which a survey brings them: a folder with its sheet, or a ZIP of both."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_COLUMNS = ["image_id", "path", "viewpoint", "date", "whale_id", "encounter_id"]
_VIEWPOINTS = ("top", "left", "right")
_YEARS = (2021, 2022, 2023)
_WHALES = 40


@dataclass(frozen=True, slots=True)
class Photograph:
    """A JPEG that nobody took, and what its sheet says of it."""

    image_id: str
    content: bytes
    viewpoint: str
    date: str
    whale: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def path(self) -> str:
        return f"images/{self.image_id}.jpg"

    @property
    def row(self) -> list[str]:
        return [self.image_id, self.path, self.viewpoint, self.date, self.whale, f"{self.whale}-{self.date}"]


def draw(count: int, seed: int, *, prefix: str = "p", sides: tuple[int, int] = (48, 64)) -> Iterator[Photograph]:
    """``count`` photographs of coloured patches, no two alike; the same for the same seed; ``sides`` in pixels."""
    drawn = np.random.default_rng(seed)
    for number in range(count):
        patches = drawn.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
        side = int(drawn.integers(sides[0], sides[1] + 1))
        content = io.BytesIO()
        Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC).save(content, "JPEG", quality=85)
        yield Photograph(
            image_id=f"{prefix}{number:06d}",
            content=content.getvalue(),
            viewpoint=_VIEWPOINTS[number % len(_VIEWPOINTS)],
            date=f"{_YEARS[number % 7 % len(_YEARS)]}-07-{1 + number % 28:02d}",
            whale=f"w{number % _WHALES:02d}",
        )


def write_folder(folder: Path, photographs: Iterable[Photograph]) -> Path:
    """A folder with metadata.csv, as researchers bring it."""
    (folder / "images").mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as lines:
        sheet = csv.writer(lines)
        sheet.writerow(_COLUMNS)
        for one in photographs:  # as they are drawn: a hundred thousand are never in memory
            (folder / one.path).write_bytes(one.content)
            sheet.writerow(one.row)
    return folder


def sheet_of(photographs: Iterable[Photograph]) -> str:
    """Their metadata.csv."""
    text = io.StringIO(newline="")
    sheet = csv.writer(text)
    sheet.writerow(_COLUMNS)
    sheet.writerows(one.row for one in photographs)
    return text.getvalue()


def packed(photographs: Sequence[Photograph]) -> bytes:
    """The same as a ZIP."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("metadata.csv", sheet_of(photographs))
        for one in photographs:
            archive.writestr(one.path, one.content)
    return content.getvalue()
