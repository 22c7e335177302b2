"""How the ranking of scenarios grows with the catalogue: generated vectors, the contest's kinds of scenarios.

python -m benchmarks.evaluate_growth [--images 4400 44000] [--dimension 2048] [--profile contest] [--kinds all_top]

Times are of the processor, so that other programs on the machine count little.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from app.adapters.faiss_frozen import FaissFrozen
from app.config import RELEASED
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import parse_manifest
from app.domain.frozen import Frozen
from app.domain.outcomes import outcomes, right, summary
from app.domain.partition import VIEWPOINTS, Gallery
from app.domain.profiles import profile_named
from app.domain.scenario import by_query
from app.domain.scenario_kinds import Kind, Shot, build
from app.services.evaluate_predict import predict


def generated(images: int, dimension: int, spaces: tuple[str, ...]) -> tuple[list[Shot], Frozen]:
    """Animals with seven photographs each on three days, as vectors around a direction of their own."""
    drawn = np.random.default_rng(0)
    whale = np.arange(images) // 7
    day = (np.arange(images) % 7) // 3
    side = np.where(drawn.random(images) < 0.08, VIEWPOINTS.index(Viewpoint.LEFT), VIEWPOINTS.index(Viewpoint.TOP))
    ids = np.arange(1, images + 1, dtype=np.int64)
    directions = drawn.standard_normal((whale[-1] + 1, dimension), dtype=np.float32)
    vectors = directions[whale] + 1.5 * drawn.standard_normal((images, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shots = [
        Shot(f"i{n:06}", f"w{w:05}", f"w{w:05}-{d}", VIEWPOINTS[s], 2017 + int(d), f"{2017 + int(d)}")
        for n, w, d, s in zip(ids.tolist(), whale.tolist(), day.tolist(), side.tolist(), strict=True)
    ]
    columns = {"individual": whale, "encounter": whale * 3 + day, "image": ids, "viewpoint": side, "year": 2017 + day}
    zeros = np.zeros(images, np.int64)
    gallery = Gallery(annotation=ids, day=zeros, phash=zeros, fold=ids, **columns)
    return shots, Frozen(1, dict.fromkeys(spaces, "f"), gallery, dict.fromkeys(spaces, (ids, vectors)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[4400, 44000])
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--profile", default="contest")
    parser.add_argument("--kinds", type=Kind, nargs="+", default=list(Kind))
    given = parser.parse_args()
    ensemble = parse_manifest((RELEASED / "beluga-lite-quartet" / "manifest.json").read_bytes())
    profile = profile_named(given.profile)
    print(f"profile {profile.name}, {given.dimension} numbers a vector")
    print("images  scenarios  queries  freeze+index s  rank s  score s  ms a query  peak MB")
    for images in given.images:
        shots, frozen = generated(images, given.dimension, tuple(space.name for space in ensemble.spaces))
        begun, pack = time.process_time(), build(shots, given.kinds).pack
        snapshot = FaissFrozen(batch_threads=2).snapshot(frozen)
        ids = {shot.image_id: n for n, shot in enumerate(shots, start=1)}
        frozen_at = time.process_time()
        rows = [row for one in pack.scenarios for row in predict(one, ids, snapshot, ensemble, profile)]
        ranked_at = time.process_time()
        gathered = by_query(rows)
        found = [one for s in pack.scenarios for one in outcomes(s, gathered, pack.truth, pack.other_encounter or {})]
        summary(found, right, {shot.image_id: shot.individual for shot in shots})
        scored_at = time.process_time()
        queries, took = len(found), ranked_at - frozen_at
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{images:6}  {len(pack.scenarios):9}  {queries:7}  {frozen_at - begun:14.1f}  {took:6.1f}  "
            f"{scored_at - ranked_at:7.1f}  {1e3 * took / queries:10.2f}  {peak:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
