"""Photographs of strangers: what is quick and plain is decoded here, everything else in a child process with limits.

Plain is a JPEG or PNG whose header promises little work; its decoders have seen every hostile file that there is, and
a way through another process would make each match slower. TIFF, WebP, HEIC, whatever is none of these, and large
progressive files go to a child: it may use 2 GB of memory and 10 seconds, then it is killed and the photograph refused.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import LifoQueue
from typing import Any, BinaryIO, cast
from weakref import finalize

from app.adapters import pillow_child as child
from app.adapters.pillow_images import Laborious, PillowImages
from app.domain.errors import BadImage, Unavailable
from app.domain.photograph import Photograph

_PLAIN = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_MEMORY = 2_000_000_000
# A baseline JPEG or a PNG of 40 megapixels is one to two seconds of work; more of it goes to a child.
_EFFORT = 50_000_000
_ROOT = Path(__file__).resolve().parents[2]


class BoundedImages(PillowImages):
    """The Images port; at most ``children`` processes at a time, started when they are first needed.

    ``seconds`` is how long one photograph may take.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 50_000_000,
        max_pixels: int = 40_000_000,
        children: int = 2,
        seconds: float = child.CPU_SECONDS,
    ) -> None:
        super().__init__(max_bytes=max_bytes, max_pixels=max_pixels, effort=_EFFORT)
        self._limits = (max_bytes, max_pixels, _MEMORY)
        self._seconds = seconds
        self._idle: LifoQueue[_Child | None] = LifoQueue()
        for _ in range(children):
            self._idle.put(None)

    def probe(self, content: bytes) -> tuple[str, int, int]:
        if content.startswith(_PLAIN) or len(content) > self._limits[0]:
            with suppress(Laborious):
                return super().probe(content)
        facts, _ = self._ask(child.PROBE, content)
        return facts["format"], facts["width"], facts["height"]

    def decode(self, content: bytes, *, whole: bool = False) -> Photograph:
        if content.startswith(_PLAIN) or len(content) > self._limits[0]:
            with suppress(Laborious):
                return super().decode(content, whole=whole)
        return child.photograph(*self._ask(child.WHOLE if whole else child.DECODE, content))

    def _ask(self, wanted: bytes, content: bytes) -> tuple[dict[str, Any], bytes]:
        """What a child says of a photograph; raises what it raised, and BadImage when it died over it.

        One that dies before its time gets a second chance: somebody else may have killed it.
        """
        held, why = self._idle.get(), "its decoder died over it"
        try:
            for _ in range(2):
                held = held if held and held.living() else _Child(self._limits)
                if answer := held.ask(wanted, content, self._seconds):
                    if error := child.refusal(answer[0]):
                        raise error
                    return answer
                if held.timed_out:
                    why = f"it takes more than {self._seconds:g} seconds"
                    break
        finally:
            self._idle.put(held)
        raise BadImage(f"the photograph cannot be decoded: {why}")


class _Child:
    """One process; it ends with its parent, whose death closes its input."""

    def __init__(self, limits: tuple[int, ...]) -> None:
        command = [sys.executable, "-c", "from app.adapters.pillow_child import main; main()", *map(str, limits)]
        quiet = {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.timed_out = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, and no word of it is a stranger's
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libtiff tells every fault of every file there
                env={"PATH": os.defpath, **quiet},
                start_new_session=True,  # an interrupt at the terminal is for the service
            )
        except OSError as error:
            raise Unavailable(f"no process to decode in could be started: {error.strerror}") from error
        self._input, self._output = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        self._close = finalize(self, _ended, self._process)

    def living(self) -> bool:
        return not self.timed_out and self._process.poll() is None

    def ask(self, wanted: bytes, content: bytes, seconds: float) -> tuple[dict[str, Any], bytes] | None:
        """An answer, or None when the process died or had to be killed."""
        clock = threading.Timer(seconds, self._end)
        clock.start()
        try:
            with suppress(BrokenPipeError):
                self._input.write(child.QUESTION.pack(wanted, len(content)))
                self._input.write(content)
                self._input.flush()
            answer = child.read(self._output)
        finally:
            clock.cancel()
        if answer is None:
            self._close()
            # The kernel ends a process that used up its processor time before the clock on the wall does.
            self.timed_out |= self._process.returncode == -signal.SIGXCPU
        return answer

    def _end(self) -> None:
        self.timed_out = True
        self._process.kill()


def _ended(running: subprocess.Popen[bytes]) -> None:
    running.kill()
    running.wait()
    for stream in (running.stdin, running.stdout):
        with suppress(OSError):
            if stream:
                stream.close()
