"""Photographs of strangers in a child process: the same answers, hard limits, a service that outlives each child."""

import io
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.adapters import pillow_bounded
from app.adapters.pillow_bounded import BoundedImages
from app.adapters.pillow_images import PillowImages
from app.domain.errors import BadFormat, BadImage, TooLarge, Unavailable

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF")


@pytest.fixture(scope="module")
def images():
    """One pool of two children for all tests, as in the service."""
    return BoundedImages()


def drawn(kind: str, size: tuple[int, int] = (40, 30), **options) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 255, (*size[::-1], 3), np.uint8)
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def processes(images: BoundedImages) -> list[int]:
    return [held._process.pid for held in images._idle.queue if held]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_decodes_as_it_does_in_one_process(images, kind, whole):
    """Pixels, size, format and date are the same, bit for bit."""
    content, plain = drawn(kind), PillowImages()
    mine, theirs = images.decode(content, whole=whole), plain.decode(content, whole=whole)
    assert np.array_equal(mine.pixels, theirs.pixels)
    assert (mine.format, mine.width, mine.height, mine.taken) == (
        theirs.format,
        theirs.width,
        theirs.height,
        theirs.taken,
    )
    assert images.probe(content) == plain.probe(content)


def test_plain_photographs_need_no_child():
    """A match of an ordinary JPEG or PNG starts no process."""
    images = BoundedImages()
    for kind in ("JPEG", "PNG"):
        images.decode(drawn(kind))
        images.probe(drawn(kind))
    assert processes(images) == []


def test_a_laborious_jpeg_goes_to_a_child(monkeypatch):
    """Many scans of many pixels are decoded where they can be stopped."""
    monkeypatch.setattr(pillow_bounded, "_EFFORT", 5 * 40 * 30)
    images, content = BoundedImages(), drawn("JPEG", progressive=True)
    assert np.array_equal(images.decode(content).pixels, PillowImages().decode(content).pixels)
    assert images.probe(content) == ("JPEG", 40, 30)
    assert len(processes(images)) == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no photograph", BadFormat),
        (b"", BadFormat),
        (drawn("TIFF")[:100], BadImage),
        (drawn("WEBP")[:-200], BadImage),
        (b"II*\0" + b"\0" * 400_000, TooLarge),
    ],
    ids=["text", "nothing", "half a TIFF", "half a WebP", "too long"],
)
def test_a_refusal_comes_through_as_it_is(content, error):
    """The error is the one that one process gives, with its sentence, and the child goes on."""
    bounded, plain = BoundedImages(max_bytes=300_000), PillowImages(max_bytes=300_000)
    with pytest.raises(error) as mine:
        bounded.decode(content)
    with pytest.raises(error) as theirs:
        plain.decode(content)
    assert (type(mine.value), str(mine.value)) == (type(theirs.value), str(theirs.value))
    with pytest.raises(error):
        bounded.probe(content[:20] if error is BadImage else content)


def test_a_child_that_takes_too_long_is_killed(images):
    """The photograph is refused in time, and the next one is decoded by a new child."""
    images.decode(drawn("TIFF"))
    (pid,) = processes(images)[-1:]
    os.kill(pid, signal.SIGSTOP)
    images._seconds, kept = 0.3, images._seconds
    start = time.monotonic()
    with pytest.raises(BadImage, match=r"more than 0\.3 seconds"):
        images.decode(drawn("TIFF"))
    images._seconds = kept
    assert time.monotonic() - start < 5
    assert images.decode(drawn("TIFF")).width == 40
    assert pid not in processes(images)


def test_a_child_that_somebody_killed_is_replaced(images):
    """Nobody's photograph is refused for it."""
    images.decode(drawn("TIFF"))
    for pid in processes(images):
        os.kill(pid, signal.SIGKILL)
    assert images.decode(drawn("TIFF")).width == 40


def test_a_child_that_dies_over_a_photograph_refuses_it(images, monkeypatch):
    """Twice is no accident."""
    monkeypatch.setattr(pillow_bounded._Child, "ask", lambda *_: None)
    with pytest.raises(BadImage, match="its decoder died"):
        images.decode(drawn("TIFF"))


def test_memory_is_bounded(monkeypatch):
    """A child that wants more than its share is refused it, and says so of the photograph."""
    monkeypatch.setattr(pillow_bounded, "_MEMORY", 450_000_000)
    images, stream = BoundedImages(), io.BytesIO()
    Image.new("RGB", (7000, 5000)).save(stream, "TIFF", compression="tiff_deflate")
    with pytest.raises(BadImage):
        images.decode(stream.getvalue(), whole=True)
    assert images.decode(drawn("TIFF")).width == 40


def test_many_threads_share_few_children(images):
    """Forty photographs at once from eight threads: all answered, at most two processes."""
    content = drawn("WEBP")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: images.decode(content).width, range(40)))
    assert (set(found), len(processes(images)) <= 2) == ({40}, True)


def test_no_process_is_unavailable(monkeypatch):
    """A machine that can start no process says so; the photograph is not to blame."""

    def refuse(*_args, **_options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(Unavailable, match="temporarily"):
        BoundedImages().decode(drawn("TIFF"))


def test_a_child_cannot_see_the_environment(images, monkeypatch):
    """Whoever takes a child over finds no secrets of the service in it."""
    monkeypatch.setenv("RESIGHT_DATABASE_URL", "postgresql://user:secret@localhost/resight")
    fresh = BoundedImages()
    fresh.decode(drawn("TIFF"))
    (pid,) = processes(fresh)
    assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
