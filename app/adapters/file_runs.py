"""Runs of evaluations as folders of files: each folder and each document appears whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from app.disk import disk_errors, sync_folder
from app.domain.errors import Unavailable, UnknownEvaluation

_ID = re.compile(r"\d{16}-[0-9a-f]{12}")
_PARTIAL = ".partial"


class FileRuns:
    """The Runs port; ids are drawn here and sort by the time at which they were drawn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, write: Callable[[Path], None]) -> str:
        return self._made(f"{time.time_ns() // 1000:016}-{uuid.uuid4().hex[:12]}", write)

    def adopt(self, folder: Path) -> str:
        run_id = folder.resolve().name
        if not _ID.fullmatch(run_id) or not folder.is_dir():
            raise UnknownEvaluation(f"{folder.name} is no folder of an evaluation")
        if not (self._folder / run_id).is_dir():
            self._made(run_id, lambda partial: shutil.copytree(folder, partial, dirs_exist_ok=True))
        return run_id

    def _made(self, run_id: str, write: Callable[[Path], object]) -> str:
        partial = self._folder / f"{run_id}{_PARTIAL}"
        with _translated():
            partial.mkdir(parents=True, exist_ok=True)
            try:
                write(partial)
                for folder, _, names in os.walk(partial):
                    for name in names:
                        _sync_file(Path(folder, name))
                    sync_folder(Path(folder))
                partial.rename(self._folder / run_id)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            sync_folder(self._folder)
        return run_id

    def ids(self) -> list[str]:
        with _translated():
            if not self._folder.is_dir():
                return []
            return sorted((path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name)), reverse=True)

    def begun(self, run_id: str) -> float:
        return int(self.folder(run_id).name.partition("-")[0]) / 1e6

    def folder(self, run_id: str) -> Path:
        path = self._folder / run_id
        if not _ID.fullmatch(run_id) or not path.is_dir():
            raise UnknownEvaluation("no evaluation has this id")
        return path

    def put(self, run_id: str, name: str, content: bytes) -> None:
        folder = self.folder(run_id)
        partial = folder / f"{name}.{uuid.uuid4().hex[:8]}{_PARTIAL}"
        with _translated():
            try:
                with partial.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(folder / name)
                sync_folder(folder)
            finally:
                partial.unlink(missing_ok=True)

    def get(self, run_id: str, name: str) -> bytes | None:
        path = self.folder(run_id) / name
        with _translated():
            return path.read_bytes() if path.is_file() else None

    def drop(self, run_id: str, pattern: str) -> None:
        folder = self.folder(run_id)
        with _translated():
            for path in list(folder.glob(pattern)):
                path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk is full: the evaluation was not kept",
        lambda why: Unavailable(f"the folder of evaluations does not answer: {why}"),
    )
