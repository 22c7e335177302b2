"""Scenario packs as people bring them: a ZIP that was posted, or a folder under the import root."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from app.adapters.zip_directory import read_directory
from app.disk import disk_errors
from app.domain.errors import BadArchive, NotAllowed, Unavailable
from app.domain.scenario import ScenarioPack

_PACK = "query_scenarios.csv"
_MAX_UNPACKED = 500_000_000
_CSV = ".csv"


class ZipPacks:
    """The PackSources port; ``read`` reads a pack from a folder.

    Of an archive only its csv files are unpacked, into a folder that is gone afterwards.
    """

    def __init__(self, read: Callable[[Path], ScenarioPack], import_root: Path | None) -> None:
        self._read = read
        self._import_root = import_root

    def archive(self, file: BinaryIO) -> ScenarioPack:
        entries = read_directory(file.fileno(), max_total=_MAX_UNPACKED)
        tops = sorted(name.removesuffix(_PACK) for name in entries if name.endswith(_PACK) and name.count("/") <= 1)
        if len(tops) != 1:
            raise BadArchive(f"the archive holds {len(tops) or 'no'} {_PACK} at its top or in a top folder")
        broken = disk_errors("the disk is full: the pack was not read", lambda why: Unavailable(f"no room: {why}"))
        with broken, tempfile.TemporaryDirectory(prefix="pack-") as folder:
            file.seek(0)
            try:
                with zipfile.ZipFile(file) as archive:
                    for name in entries:
                        if name.startswith(tops[0]) and name.endswith(_CSV):
                            _unpack(archive, name, Path(folder, name.removeprefix(tops[0])))
            # NotImplementedError and KeyError are zipfile's words for what it reads otherwise than our own reading.
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
                raise BadArchive(f"the archive cannot be unpacked: {type(error).__name__}") from error
            return self._read(Path(folder))

    def folder(self, name: str) -> ScenarioPack:
        if self._import_root is None:
            raise NotAllowed("this service reads no folders: no import root is set")
        root = self._import_root.resolve()
        real = (root / name).resolve() if "\0" not in name else Path("/")
        if not real.is_relative_to(root):
            raise NotAllowed(f"{name!r} lies outside the folder that imports may read")
        return self._read(real)


def _unpack(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as packed, path.open("wb") as file:
        while piece := packed.read(1 << 18):
            file.write(piece)
