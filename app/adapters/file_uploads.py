"""Uploaded archives as files of one folder, kept until their import has ended."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from app.adapters.file_sessions import FileSessions
from app.disk import Coming, Reserve, disk_errors, sync_folder
from app.domain.errors import Unavailable, UnknownUpload
from app.failpoints import reach

_PREFIX = "upload:"
_PIECE = 1 << 20
_ENDINGS = (".zip", ".zip.partial")


class FileUploads:
    """The Uploads port; names are drawn here, so that nothing a client sends becomes a path."""

    def __init__(self, folder: Path, sessions: FileSessions | None = None, *, reserve: int | None = 0) -> None:
        self._folder = folder
        self._sessions = sessions
        # Sessions lie on the same disk: what comes in by either way counts together.
        self._coming = sessions.coming if sessions else Coming(Reserve(folder, reserve))
        with _translated():
            folder.mkdir(parents=True, exist_ok=True)
            # What is here now is of an earlier run: only that is ever swept, never an upload that is just coming in.
            self._left = [path for path in folder.iterdir() if path.name.endswith(_ENDINGS)]

    def store(self, archive: BinaryIO) -> str:
        name = f"{uuid.uuid4().hex}.zip"
        partial = self._folder / f"{name}.partial"
        with _translated():
            size = archive.seek(0, os.SEEK_END)
            archive.seek(0)
            try:
                with self._coming.promised(size) as written, partial.open("xb") as file:
                    while piece := archive.read(_PIECE):
                        file.write(piece)
                        written(len(piece))
                    file.flush()
                    os.fsync(file.fileno())
                reach("upload.written")
                partial.rename(self._folder / name)
                reach("upload.renamed")
                sync_folder(self._folder)
            except OSError:
                for path in (partial, self._folder / name):
                    with suppress(OSError):
                        path.unlink()
                raise
        return _PREFIX + name

    def discard(self, source: str) -> None:
        kind, _, name = source.partition(":")
        if kind == "upload" and name == Path(name).name:
            with _translated():
                (self._folder / name).unlink(missing_ok=True)
        if kind == "session" and self._sessions:
            with suppress(UnknownUpload):
                self._sessions.remove(name)

    def sweep(self, keep: Collection[str]) -> None:
        with _translated():
            for path in self._left:
                if _PREFIX + path.name not in keep:
                    path.unlink(missing_ok=True)


def _translated() -> AbstractContextManager[None]:
    return disk_errors(
        "the disk is full: the archive was not kept",
        lambda why: Unavailable(f"the folder of uploads does not answer: {why}"),
    )
