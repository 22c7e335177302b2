"""The child process that decodes: it reads photographs from its input and writes pixels to its output, until it ends.

It holds nothing of value, may use only so much memory and processor time, and is killed when it takes too long.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np

from app.adapters.pillow_images import PillowImages
from app.domain.errors import BadFormat, BadImage, TooLarge
from app.domain.photograph import Photograph

QUESTION = struct.Struct("<cQ")
"""What is wanted, and the length of the photograph that follows."""
ANSWER = struct.Struct("<IQ")
"""The lengths of the facts, as JSON, and of the pixels that follow."""
PROBE, DECODE, WHOLE = b"p", b"d", b"w"
CPU_SECONDS = 10

_ERRORS: dict[str, type[BadImage | TooLarge]] = {kind.__name__: kind for kind in (BadImage, BadFormat, TooLarge)}


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The facts and the pixels of one answer, None when the child has died over it."""
    head = stream.read(ANSWER.size)
    if len(head) < ANSWER.size:
        return None
    facts, pixels = ANSWER.unpack(head)
    text, rest = stream.read(facts), stream.read(pixels)
    return None if len(text) < facts or len(rest) < pixels else (json.loads(text), rest)


def photograph(facts: dict[str, Any], pixels: bytes) -> Photograph:
    """The photograph of an answer."""
    taken = datetime.fromisoformat(facts["taken"]) if facts["taken"] else None
    array = np.frombuffer(pixels, np.uint8).reshape(facts["shape"])
    return Photograph(array, facts["format"], facts["width"], facts["height"], taken)


def refusal(facts: dict[str, Any]) -> BadImage | TooLarge | None:
    """The error of an answer, None when it is a good one."""
    return _ERRORS[facts["error"]](facts["reason"]) if "error" in facts else None


def main() -> None:
    """Answer questions until the input ends; arguments: most bytes, most pixels, most memory in bytes."""
    max_bytes, max_pixels, memory = map(int, sys.argv[1:])
    images = PillowImages(max_bytes=max_bytes, max_pixels=max_pixels)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(QUESTION.size):
        wanted, length = QUESTION.unpack(head)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        facts, pixels = _answer(images, wanted, source.read(length))
        text = json.dumps(facts).encode()
        target.write(ANSWER.pack(len(text), len(pixels)) + text)
        target.write(pixels)
        target.flush()


def _answer(images: PillowImages, wanted: bytes, content: bytes) -> tuple[dict[str, Any], memoryview]:
    try:
        if wanted == PROBE:
            kind, width, height = images.probe(content)
            return {"format": kind, "width": width, "height": height}, memoryview(b"")
        shot = images.decode(content, whole=wanted == WHOLE)
    except (BadImage, TooLarge) as error:
        return {"error": type(error).__name__, "reason": str(error)}, memoryview(b"")
    facts = {
        "format": shot.format,
        "width": shot.width,
        "height": shot.height,
        "taken": shot.taken and shot.taken.isoformat(),
        "shape": shot.pixels.shape,
    }
    return facts, np.ascontiguousarray(shot.pixels).reshape(-1).data
