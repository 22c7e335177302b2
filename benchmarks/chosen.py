"""Settings chosen on half of the animals and measured on the other half: what choosing on the same ones flatters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.domain.partition import Int64, Mask
from app.domain.profiles import (
    REVIEW,
    Augment,
    Bridge,
    Centre,
    Expand,
    Fold,
    Occasion,
    Profile,
    Spread,
    Stage,
    Vouch,
)
from app.domain.rerank import Float64
from benchmarks.measured import ANY, OTHER, Measured, Questions
from benchmarks.pages import table

SPLITS = 20
_WEIGHTS = ((0.4, 0.4, 0.2), (0.6, 0.3, 0.1), (0.8, 0.1, 0.1))
TITLES = (
    "chosen",
    "for",
    "tried",
    "chosen on the same",
    "chosen on others",
    "difference (80 % of halves)",
    "as released",
    "most often chosen",
)


@dataclass(frozen=True)
class Choice:
    """Settings to choose among for one figure; the first are tried first, and win when equal."""

    title: str
    figure: str
    truth: int
    settings: dict[str, Profile]
    released: str


def vouching() -> dict[str, Profile]:
    grid = [(_WEIGHTS[0], 1.0), (_WEIGHTS[0], 3.0), (_WEIGHTS[0], 7.0), *((weights, 3.0) for weights in _WEIGHTS[1:])]
    return {f"{weights}, power {power:g}": Profile("", (Vouch(weights, power),)) for weights, power in grid}


def expanding() -> dict[str, Profile]:
    grid = ((1, 1.0), (1, 3.0), (3, 3.0), (8, 3.0))
    return {f"{count} answers, power {power:g}": Profile("", (Expand(count, power),)) for count, power in grid}


def augmenting() -> dict[str, Profile]:
    found = {}
    for near, power, best in ((4, 3.0, 3), (8, 3.0, 0), (8, 3.0, 1), (8, 3.0, 3), (8, 1.0, 3), (12, 3.0, 3)):
        moved: tuple[Stage, ...] = (Augment(near, power), Expand(best)) if best else (Augment(near, power),)
        stages = (Centre(), *moved, Occasion())
        found[f"{near} neighbours, power {power:g}, {best} answers"] = Profile("", stages)
    return found


def parting() -> dict[str, Profile]:
    """How much of its crowd is taken off a likeness in `contest`."""
    rest = (Expand(), Occasion())
    return {
        f"crowding {share:g}": Profile("", (Centre(), Augment(crowding=share), *rest)) for share in (0, 0.2, 0.4, 0.6)
    }


def centring() -> dict[str, Profile]:
    """What a day shares taken out of the vectors, by half or all of it, and how few photographs say something."""
    grid = ((0.5, 20.0), (1.0, 5.0), (1.0, 20.0), (1.0, 60.0))
    found = {f"weight {weight:g}, prior {prior:g}": Profile("", (Centre(weight, prior),)) for weight, prior in grid}
    return {"none": Profile("")} | found


def rewarding() -> dict[str, Profile]:
    """The gain of the query's own day at the end of `contest`."""
    moved = (Centre(), Augment(), Expand())
    return {f"gain {gain:g}": Profile("", (*moved, Occasion(gain))) for gain in (0.0, 0.05, 0.1, 0.15, 0.2)}


def listing() -> dict[str, Profile]:
    """A plain list, and re-rankers before one that shows each encounter once."""
    moved = (Augment(), Expand())
    before: dict[str, tuple[Stage, ...]] = {
        "": (),
        "vouch": (Vouch(),),
        "expand": (Expand(),),
        "augment": (Augment(),),
        "centre": (Centre(),),
        "centre, occasion 0.05": (Centre(), Occasion(0.05)),
        "centre, occasion 0.15": (Centre(), Occasion(0.15)),
        "centre, augment, expand": (Centre(), *moved),
    }
    shown = (Fold(), Spread())
    spread = {", ".join(filter(None, (name, "fold, spread"))): (*stages, *shown) for name, stages in before.items()}
    return {name: Profile("", stages) for name, stages in ({"cosine": ()} | spread).items()}


def bridging() -> dict[str, Profile]:
    bridges = {f"threshold {one}": Profile("", (Bridge(threshold=one),)) for one in (0.4, 0.5, 0.6, 0.7)}
    return {"none": Profile("")} | bridges


def chosen(questions: Questions, across: Questions) -> str:
    """The table; ``across`` are the scenarios that ask for another view, whose bridges lie in other encounters."""
    rows = []
    for choice, asked, kept in (
        (Choice("vouch", "map20", ANY, vouching(), f"{Vouch().weights}, power 7"), questions, ""),
        (Choice("expand", "map20", ANY, expanding(), "3 answers, power 3"), questions, ""),
        (Choice("`contest`", "map20", ANY, augmenting(), "8 neighbours, power 3, 3 answers"), questions, ""),
        (Choice("centre", "map20", OTHER, centring(), "weight 1, prior 20"), questions, ""),
        (Choice("crowding", "map20", ANY, parting(), "crowding 0.4"), questions, ""),
        (Choice("occasion", "map20", ANY, rewarding(), "gain 0.15"), questions, ""),
        (Choice("`review`", "top20", ANY, listing(), "centre, occasion 0.05, fold, spread"), questions, ""),
        (Choice("`review`", "top20", OTHER, listing(), "centre, occasion 0.05, fold, spread"), questions, ""),
        (Choice("bridge", "map20", ANY, bridging(), _bridge()), across, "other"),
    ):
        if asked.scenarios:
            rows.append(_row(choice, {name: asked(profile, kept) for name, profile in choice.settings.items()}))
    return table(TITLES, rows)


def _bridge() -> str:
    stage = REVIEW.stage(Bridge) or Bridge()
    return f"threshold {stage.threshold}"


def _row(choice: Choice, found: dict[str, Measured]) -> tuple[object, ...]:
    names, one = list(found), next(iter(found.values()))
    values = np.stack([found[name].of(choice.figure, choice.truth) for name in names])
    same, others, picked = halved(values, one.whale)
    released = values[names.index(choice.released)]
    gap = same - others
    low, high = np.quantile(gap, [0.1, 0.9])
    most = np.bincount(picked, minlength=len(names))
    kind = ("mAP@20" if choice.figure == "map20" else "in 20") + (", other" if choice.truth == OTHER else "")
    return (
        choice.title,
        kind,
        len(names),
        float(same.mean()),
        float(others.mean()),
        f"{gap.mean():.3f} ({low:.3f} to {high:.3f})",
        float(np.nanmean(released)),
        f"{names[int(most.argmax())]} ({most.max()} of {len(picked)})",
    )


def halves(whales: Int64, splits: int = SPLITS) -> Iterator[Mask]:
    """Which queries are of the chosen half of the animals, both ways for each split; whole animals, always the same."""
    animals = np.unique(whales)
    for seed in range(splits):
        own = np.isin(whales, np.random.default_rng(seed).permutation(animals)[: len(animals) // 2])
        yield own
        yield ~own


def halved(values: Float64, whales: Int64) -> tuple[Float64, Float64, Int64]:
    """For values (settings, queries), by half: the best of that half, what the other half would choose, and which."""
    same, others, picked = [], [], []
    for half in halves(whales):
        here, there = (np.nanmean(values[:, rows], axis=1) for rows in (half, ~half))
        same.append(here.max())
        others.append(here[there.argmax()])
        picked.append(int(there.argmax()))
    return np.array(same), np.array(others), np.array(picked, np.int64)
