"""The embedder against the bare loop in one run: photographs a second in batches, milliseconds for one alone.

Both decode and embed (image + mirror). The bare loop runs each member's session over the whole batch, with each number
of threads inside the session; the best one counts. Rounds alternate, so that a busy machine is busy for all alike.

Usage: python -m benchmarks.embed [FOLDER] [--photographs 64] [--rounds 7]   (without a folder: drawn pictures)
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.config import Settings
from benchmarks.bare import Bare, best_threads

RELEASE = Settings().ensemble_folder
BATCH = 16
ALONE = 10  # photographs embedded one by one in a round


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, nargs="?")
    arguments.add_argument("--release", type=Path, default=RELEASE)
    arguments.add_argument("--photographs", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    contents = _read(given.folder, given.photographs) if given.folder else _drawn(given.photographs)
    embedders = {f"bare, {n} in a session": Bare(given.release, n).embed for n in best_threads()}
    embedders["resight"] = _resight(given.release)
    _agree(embedders, contents[:4])
    batch, alone = _measure(embedders, contents, given.rounds)
    print(f"{'':24} {'photographs/s':>14} {'ms alone':>9}")
    for name in embedders:
        print(f"{name:24} {median(batch[name]):14.1f} {1000 * median(alone[name]):9.1f}")
    faster = _ratios(batch["resight"], [batch[name] for name in embedders if name != "resight"], max)
    slower = _ratios(alone["resight"], [alone[name] for name in embedders if name != "resight"], min)
    print(
        f"against the best bare setting of each round: rate x {median(faster):.2f}, time alone x {median(slower):.2f}"
    )


def _resight(release: Path) -> Callable[[list[bytes]], np.ndarray]:
    images = PillowImages()
    embedder = OnnxEmbedder(release, images.prepare)
    (space,) = embedder.ensemble.spaces

    def embed(contents: list[bytes]) -> np.ndarray:
        return embedder.embed([(images.decode(content), None) for content in contents], [space])[space.name]

    return embed


def _agree(embedders: dict[str, Callable[[list[bytes]], np.ndarray]], contents: list[bytes]) -> None:
    first, *others = (embed(contents) for embed in embedders.values())
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)


def _measure(
    embedders: dict[str, Callable[[list[bytes]], np.ndarray]], contents: list[bytes], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Photographs a second in batches and seconds for one alone, by name, a figure for each round."""
    batch: dict[str, list[float]] = {name: [] for name in embedders}
    alone: dict[str, list[float]] = {name: [] for name in embedders}
    for _ in range(rounds):
        for name, embed in embedders.items():
            started = time.perf_counter()
            for start in range(0, len(contents), BATCH):
                embed(contents[start : start + BATCH])
            batch[name].append(len(contents) / (time.perf_counter() - started))
            started = time.perf_counter()
            for content in contents[:ALONE]:
                embed([content])
            alone[name].append((time.perf_counter() - started) / len(contents[:ALONE]))
    return batch, alone


def _ratios(ours: list[float], bares: list[list[float]], best: Callable[..., float]) -> list[float]:
    return [mine / best(bare) for mine, *bare in zip(ours, *bares, strict=True)]


def _read(folder: Path, count: int) -> list[bytes]:
    paths = sorted(folder.rglob("*.jpg"))
    return [path.read_bytes() for path in paths[:: max(1, len(paths) // count)][:count]]


def _drawn(count: int) -> list[bytes]:
    drawn = np.random.default_rng(0)
    contents = []
    for _ in range(count):
        coarse = Image.fromarray(drawn.integers(0, 256, (26, 10, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((200, 512), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        contents.append(stream.getvalue())
    return contents


if __name__ == "__main__":
    main()
