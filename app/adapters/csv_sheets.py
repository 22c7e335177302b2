"""Sheets from a folder: metadata.csv beside its photographs. Nothing outside the folder is ever read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from app.disk import open_real
from app.domain.catalogue import Sighting
from app.domain.cells import parse_path, shown
from app.domain.errors import BadArchive, BadImage, Fault, NotAllowed
from app.domain.formats import Layout, SheetFormat
from app.domain.sheet import SHEET, latest_today, sheet_layout, stream_sightings, why

_CHUNK = 1 << 18


class CsvSheet:
    """The Sheet port on a folder that holds metadata.csv, or on any csv file beside its photographs.

    Under a ``root`` that others may write to, the folder must lie in it, and a file with a second name is refused: it
    may be anybody's. Raises BadArchive when there is no such sheet, NotAllowed. ``max_bytes`` limits one photograph.
    """

    def __init__(self, path: Path, root: Path | None = None, *, max_bytes: int = 50_000_000) -> None:
        self._max_bytes = max_bytes
        self._strict = root is not None
        # Sheets walk folder by folder; a few remembered ones save most of the look-ups of a validation.
        self._real_folder = lru_cache(maxsize=256)(os.path.realpath)
        try:
            # The user's own choice may be a link; from here on only its target counts.
            real = path.resolve(strict=True)
            folder, self._sheet = (real, SHEET) if real.is_dir() else (real.parent, real.name)
            if root is not None and not folder.is_relative_to(root.resolve()):
                raise NotAllowed(f"{shown(path.name)} lies outside the folder that imports may read")
            self._folder = str(folder)
            os.close(self._open(self._sheet))
        except (OSError, RuntimeError, ValueError) as error:
            raise BadArchive(f"{shown(path.name)} holds no sheet that can be read: {why(error)}") from error

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        with self._readable():
            return sheet_layout(self._chunks(), wanted)

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        self._real_folder.cache_clear()
        with self._readable():
            yield from stream_sightings(self._chunks(), absent=self._absent, today=latest_today(), wanted=wanted)

    def read(self, path: str) -> bytes:
        try:
            descriptor = self._open(parse_path(path))
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(self._max_bytes + 1)
        except (OSError, ValueError) as error:
            raise BadImage(f"{shown(path)} cannot be read: {why(error)}") from error
        if len(content) > self._max_bytes:
            raise BadImage(f"{shown(path)} has more than {self._max_bytes} bytes")
        return content

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadArchive(f"{self._sheet} cannot be read: {why(error)}") from error

    def _chunks(self) -> Iterator[bytes]:
        with os.fdopen(self._open(self._sheet), "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _absent(self, path: str) -> str | None:
        """Why a photograph cannot be used, from its directory entry alone."""
        folder, _, name = path.rpartition("/")
        try:
            place = f"{self._real_folder(f'{self._folder}/{folder}')}/{name}"
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode):
                place = os.path.realpath(place)
                status = os.lstat(place)
        except (OSError, ValueError) as error:
            return f"cannot be found: {why(error)}"
        if not self._inside(place):
            return "leads out of the folder of the sheet"
        if self._strict and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
            return "has a second name elsewhere (a hard link)"
        return None if stat.S_ISREG(status.st_mode) else "is not a plain file"

    def _inside(self, place: str) -> bool:
        return place.startswith(self._folder.rstrip("/") + "/")

    def _open(self, path: str) -> int:
        """A descriptor of a plain file inside the folder; links are resolved first, then none is followed any more.

        A folder, even that of the sheet, that was swapped for a link in between leads nowhere.
        """
        place = os.path.realpath(f"{self._folder}/{path}")
        if not self._inside(place):
            raise ValueError("it leads out of the folder of the sheet")
        descriptor = open_real(place)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (self._strict and status.st_nlink > 1):
            os.close(descriptor)
            plain = stat.S_ISREG(status.st_mode)
            raise ValueError("it has a second name elsewhere (a hard link)" if plain else "it is not a plain file")
        return descriptor
