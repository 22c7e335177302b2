"""Uploaded archives as files of one folder, kept until their import has ended."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

from app.domain.errors import StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PREFIX = "upload:"


class FileUploads:
    """The Uploads port; names are drawn here, so that nothing a client sends becomes a path."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def store(self, archive: BinaryIO) -> str:
        name = f"{uuid.uuid4().hex}.zip"
        partial = self._folder / f"{name}.partial"
        try:
            with partial.open("xb") as file:
                shutil.copyfileobj(archive, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._folder / name)
            self._sync()
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise StorageFull("the disk is full: the archive was not kept") from error
            raise
        return _PREFIX + name

    def discard(self, source: str) -> None:
        kind, _, name = source.partition(":")
        if kind == "upload" and name == Path(name).name:
            (self._folder / name).unlink(missing_ok=True)

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
