"""A disk that loses power: what was not made durable is gone, as no kill of a process can show.

It is an ext4 in a file. A cut is the shutdown of the file system without a flush of its journal, as xfstests do it,
and mounting it again replays what had reached the disk. Root is needed, and a kernel with loop devices.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_NO_LOG_FLUSH = 2
_SIZE = 1 << 31  # most of it is a hole, and the service keeps a reserve
_TRIES = 100


class Disk:
    """The file system of an image file, mounted at ``place``."""

    def __init__(self, image: Path, place: Path) -> None:
        self._image, self._place = image, place

    def cut(self) -> None:
        """Lose power: from here on nothing reaches the disk, and what had not is lost."""
        opened = os.open(self._place, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(opened)

    def back(self) -> None:
        """Mount it again once whoever used it is gone."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._image, self._place], check=True, capture_output=True)

    def unmount(self) -> None:
        for _ in range(_TRIES):
            done = subprocess.run(["umount", self._place], check=False, capture_output=True)
            if not done.returncode:
                return
            time.sleep(0.1)
        raise OSError(f"{self._place} cannot be unmounted: {done.stderr.decode()}")


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Disk]:
    """A new disk at ``place``, gone at the end; raises OSError where no disk can be made."""
    with image.open("wb") as file:
        file.truncate(_SIZE)
    if shutil.which("mkfs.ext4") is None:
        raise OSError("there is no mkfs.ext4")
    place.mkdir(parents=True, exist_ok=True)
    disk = Disk(image, place)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        disk.mount()
    except subprocess.CalledProcessError as error:
        raise OSError(f"no disk can be made here: {error.stderr.decode().strip()}") from error
    try:
        yield disk
    finally:
        disk.unmount()
