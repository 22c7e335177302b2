"""Sheets by the name that an import remembers: ``path:``, ``folder:`` and ``upload:``, each held inside its root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from app.domain.errors import BadArchive, NotAllowed
from app.domain.ports import Sheet


class PathSources:
    """The Sheets port over folders and archives on this machine, and ``others`` by the kind of their name."""

    def __init__(
        self,
        *,
        open_folder: Callable[[Path, Path | None], Sheet],
        open_archive: Callable[[Path], Sheet],
        import_root: Path | None,
        uploads: Path,
        others: Mapping[str, Callable[[str], Sheet]] | None = None,
    ) -> None:
        self._open_folder = open_folder
        self._open_archive = open_archive
        self._import_root = import_root
        self._uploads = uploads
        self._others = others or {}

    def open(self, source: str) -> Sheet:
        kind, _, name = source.partition(":")
        if kind in self._others:
            return self._others[kind](name)
        path = self._locate(source)
        if path.suffix.lower() == ".zip" or source.startswith("upload:"):
            return self._open_archive(path)
        return self._open_folder(path, self._import_root if kind == "folder" else None)

    def _locate(self, source: str) -> Path:
        kind, _, name = source.partition(":")
        if kind == "path":
            return Path(name)
        if kind == "upload":
            return _inside(self._uploads, name)
        if kind == "folder":
            if self._import_root is None:
                raise NotAllowed("this service imports no folders: no import root is set")
            return _inside(self._import_root, name)
        raise BadArchive(f"{source!r} names no folder, path or upload")


def _inside(root: Path, name: str) -> Path:
    """The real path of ``name`` under ``root``; links and ``..`` that lead out of it are refused."""
    if "\0" in name:
        raise NotAllowed(f"{name!r} is not the name of a folder")
    real = (root / name).resolve()
    if not real.is_relative_to(root.resolve()):
        raise NotAllowed(f"{name!r} lies outside the folder that imports may read")
    return real
