"""What probabilities of single photographs are worth for several together.

Usage: python -m benchmarks.groups DATA BELUGAS

Photographs of one encounter and view become one query, as in a match. The gallery holds the validation animals that the
nets never saw, without the encounter asked about.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.bootstrap import bootstrap
from app.config import read_settings
from app.domain.fitting import Judged, cross_judge, fit, judge
from app.domain.partition import Int64
from app.domain.profiles import PROFILES, REVIEW
from app.domain.rerank import mean_direction
from app.domain.trials import Listed, Trials, ViewPair
from app.services import trials
from app.services.trials import Trying
from benchmarks.calibration import Belugas

SIZES = (2, 4)


@dataclass(frozen=True, slots=True, eq=False)
class Together(Trying):
    """Trials of ``size`` photographs each; two of an encounter at most, where it has so many photographs."""

    size: int = 1

    def _blocks(self, rows: Int64, keys: Int64) -> Iterator[trials._Block]:
        for block in Trying._blocks(self, rows, keys):  # noqa: SLF001 - the class above
            count = len(block.rows) // self.size
            if count:
                groups = [slice(at * self.size, (at + 1) * self.size) for at in range(count)]
                vectors = {
                    space: np.concatenate([mean_direction(each[group]) for group in groups])
                    for space, each in block.vectors.items()
                }
                yield replace(block, rows=block.rows[: count * self.size : self.size], vectors=vectors)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("belugas", type=Path)
    options.add_argument("--profile", default=REVIEW.name, choices=list(PROFILES))
    given = options.parse_args()
    whales = Belugas(bootstrap(read_settings(data=given.data)), given.belugas, given.profile)
    unseen = whales.part == "val_new"
    print(
        "| photographs | encounters, found | score of the right, of the best wrong | fitted on | "
        "same, by annotation | same, by individual | new |\n|---|---|---|---|---|---|---|"
    )
    one = whales.trials(("val_new",), ("val_new",))
    single = fit(one)
    for size in SIZES:
        trials._OF_ONE_ENCOUNTER = 2 * size  # noqa: SLF001 - the product asks two of an encounter
        asked = Together(whales.snapshot, whales.ensemble, whales.profile, unseen, size=size)(unseen)
        facts = f"{size} | {_facts(asked[ViewPair.ANY])}"
        mine = np.unique(asked[ViewPair.ANY].encounter)
        alone = {kind: trial.take(np.isin(trial.encounter, mine)) for kind, trial in one.items()}
        print(f"| one of {size} | {_facts(alone[ViewPair.ANY])} | single ones | {_errors(judge(single, alone))} |")
        print(f"| {facts} | single ones | {_errors(judge(single, asked))} |", flush=True)
        print(f"| {facts} | such groups | {_errors(cross_judge(asked))} |", flush=True)


def _facts(asked: Trials) -> str:
    listing = asked.lists[Listed.INDIVIDUAL]
    found = listing.same.any(axis=1)
    right = np.where(listing.same, listing.scores, 0).max(axis=1)[found]
    wrong = np.where(listing.same, -np.inf, listing.scores).max(axis=1)
    encounters = len(np.unique(asked.encounter))
    return f"{encounters}, {len(np.unique(asked.encounter[found]))} | {np.median(right):.3f}, {np.median(wrong):.3f}"


def _errors(judged: Sequence[Judged]) -> str:
    """Expected calibration error / stated on average / came true, of mixed galleries."""
    found = {one.listed: one.reliability for one in judged if one.kind is ViewPair.ANY}
    return " | ".join(_error(found[of]) if of in found else "-" for of in (*Listed, None))


def _error(one) -> str:
    weight = sum(bar.weight for bar in one.bins)
    stated = sum(bar.weight * bar.stated for bar in one.bins) / weight
    return f"{one.error:.3f} / {stated:.3f} / {one.base:.3f}"


if __name__ == "__main__":
    main()
