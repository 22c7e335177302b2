"""Partitions with a scope against one flat index over everything, in one process and one thread.

Usage: python -m benchmarks.search [--count 100000] [--dimension 1024] [--rounds 15]

The scope is two of ten years. One flat index can answer it in two exact ways: search all and throw away what lies
outside (asking at once for twice as many as should be needed), or search all behind a selector.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from app.adapters.faiss_index import FaissIndex
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Float32
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Mask, Partition, Scope

SPACE, K, BATCH = "body", 20, 100
SIDES = (Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.RIGHT)
YEARS = range(2016, 2026)


class Survey:
    """The VectorSource port over one random matrix: three viewpoints times ten years."""

    def __init__(self, count: int, dimension: int) -> None:
        rng = np.random.default_rng(0)
        self.vectors = rng.standard_normal((count, dimension), dtype=np.float32)
        faiss.normalize_L2(self.vectors)
        ids = np.arange(1, count + 1)
        years = rng.integers(YEARS.start, YEARS.stop, count)
        viewpoints = np.array([VIEWPOINTS.index(side) for side in SIDES])[rng.integers(0, len(SIDES), count)]
        self.columns = Gallery(ids, ids, ids, ids, viewpoints, years, years * 365, ids * 0, ids)

    def version(self) -> int:
        return 1

    def fingerprints(self) -> Mapping[str, str]:
        return {SPACE: "random"}

    def signatures(self) -> Mapping[Partition, str]:
        return {Partition(SPACE, side, year): "1" for side in SIDES for year in YEARS}

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        _, viewpoint, year = partition
        columns = self.columns
        rows = np.flatnonzero((columns.viewpoint == VIEWPOINTS.index(viewpoint)) & (columns.year == year))
        return columns.annotation[rows], self.vectors[rows]

    def gallery(self) -> Gallery:
        return self.columns


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--dimension", type=int, default=1024)
    arguments.add_argument("--rounds", type=int, default=15)
    given = arguments.parse_args()
    faiss.omp_set_num_threads(1)
    survey = Survey(given.count, given.dimension)
    with tempfile.TemporaryDirectory() as folder:
        index = FaissIndex(Path(folder))
        print(f"{given.count:,} x {given.dimension}, {len(survey.signatures())} partitions, 1 thread")
        print(f"build and write   {_seconds(lambda: index.refresh(survey)):8.2f} s")
        print(f"load and check    {_seconds(lambda: FaissIndex(Path(folder)).refresh(survey)):8.2f} s")
    snapshot = index.current()
    flat = faiss.IndexFlatIP(given.dimension)
    flat.add(survey.vectors)
    mask = Scope(years=frozenset({2019, 2020})).select(snapshot.gallery).mask
    everything = np.ones_like(mask)
    print(f"the scope holds {np.count_nonzero(mask):,} annotations; ms per query, median of {given.rounds} rounds\n")
    for queries in (1, BATCH):
        asked = survey.vectors[:: given.count // queries][:queries] + np.float32(0.01)
        _compare(
            queries,
            given.rounds,
            {
                "partitions, two-year scope": lambda q=asked: snapshot.search(SPACE, q, mask, K).annotations,
                "one flat index, post-filter": lambda q=asked: _post_filtered(flat, q, mask),
                "one flat index, selector": lambda q=asked: _selected(flat, q, mask),
            },
        )
        _compare(
            queries,
            given.rounds,
            {
                "partitions, everything": lambda q=asked: snapshot.search(SPACE, q, everything, K).annotations,
                "one flat index, everything": lambda q=asked: flat.search(q, K)[1] + 1,
            },
        )


def _compare(queries: int, rounds: int, ways: Mapping[str, Callable[[], Int64]]) -> None:
    """Time ways in turn, so that a busy moment meets them all; ratios are to the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    answers = {name: way() for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(_seconds(way))
    first = next(iter(ways))
    for name in ways:
        same = np.mean([set(a) == set(b) for a, b in zip(answers[name].tolist(), answers[first].tolist(), strict=True)])
        taken, ratio = median(times[name]) * 1000 / queries, median(times[name]) / median(times[first])
        print(f"{queries:4} queries  {name:28} {taken:8.2f} ms  x {ratio:5.2f}  same answers {same:.0%}")
    print()


def _post_filtered(flat: faiss.IndexFlatIP, queries: Float32, mask: Mask) -> Int64:
    """The best K of the scope from a search over everything, asking for more until every query has them."""
    wanted = 2 * K * len(mask) // int(np.count_nonzero(mask))
    while True:
        found = flat.search(queries, wanted)[1]
        inside = mask[found]
        if (inside.sum(axis=1) >= K).all() or wanted >= len(mask):
            return np.stack([row[keep][:K] for row, keep in zip(found, inside, strict=True)]) + 1
        wanted *= 2


def _selected(flat: faiss.IndexFlatIP, queries: Float32, mask: Mask) -> Int64:
    bits = np.packbits(mask, bitorder="little")
    selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
    parameters = faiss.SearchParameters()
    parameters.sel = selector
    return flat.search(queries, K, params=parameters)[1] + 1


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
