"""Calibration and meter on the belugas: fitted on animals that the nets were trained on, and on others.

``python -m benchmarks.calibration DATA BELUGAS`` prints the tables of docs/probabilities.md for the ensemble in force;
DATA is a data folder into which BELUGAS (a folder with metadata.csv and folds.csv) was imported. ``--tables PAGE`` puts
them between their marks in a document. ``--write FOLDER`` stores the release's calibration, fitted on val_new alone,
beside the manifest in FOLDER. A release that was trained on these animals too gets the calibration of its twin, which
is in force then and was made by the same recipes without them: animals that nets have seen would promise too much.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.adapters.json_calibrations import write_calibrations
from app.bootstrap import bootstrap
from app.config import read_settings
from app.domain.calibration import Calibration
from app.domain.calibration_record import Source, purpose_of
from app.domain.ensemble import parse_manifest
from app.domain.fitting import Judged, cross_judge, fit, judge
from app.domain.meter import MISSED, Verdict, YearGap, read_meter
from app.domain.profiles import PROFILES, REVIEW, profile_named
from app.domain.trials import Listed, ViewPair, encounter_keys
from app.services.bundle import Services
from app.services.calibrate import calibrated
from app.services.rank import current_snapshot
from app.services.trials import Trying
from benchmarks.pages import Page

RELEASED_ON = "the release's validation animals, which its nets were not trained on"
TWIN = "validation animals that its nets were not trained on, while this release's were"


class Belugas:
    """The belugas in a catalogue: trials of a part of them against a part of them."""

    def __init__(self, services: Services, folder: Path, profile: str) -> None:
        services.reindex.load()
        self.profile = profile_named(profile)
        self.snapshot = current_snapshot(services.match.index, services.match.embedder)
        self.ensemble = services.match.embedder.ensemble
        with (folder / "folds.csv").open(newline="") as lines:
            self.folds = {row["image_id"]: row["part"] for row in csv.DictReader(lines)}
        ids = services.match.catalogue.annotation_ids(self.folds)
        part = {number: self.folds[name] for name, number in ids.items()}
        self.part = np.array([part.get(number, "") for number in self.snapshot.gallery.annotation.tolist()])

    def trials(self, asked: tuple[str, ...], gallery: tuple[str, ...], *, own_encounter: bool = False):
        trying = Trying(
            self.snapshot, self.ensemble, self.profile, np.isin(self.part, gallery), own_encounter=own_encounter
        )
        return trying(np.isin(self.part, asked))

    def asked_about(self, trials, part: str):
        """Those of the trials that ask about encounters of a part."""
        mine = np.unique(encounter_keys(self.snapshot.gallery)[self.part == part])
        return of(trials, lambda asked: np.isin(asked.encounter, mine))


def of(trials, judged_part):
    return {kind: asked.take(judged_part(asked)) for kind, asked in trials.items()}


def errors(label: str, fitted: str, judged: list[Judged], kinds=(ViewPair.ANY,)) -> None:
    for kind in kinds:
        found = {one.listed: one.reliability for one in judged if one.kind is kind}
        if not found:
            continue
        cells = []
        for listed in (Listed.ANNOTATION, Listed.INDIVIDUAL, None):
            one = found.get(listed)
            cells.append(f"{one.error:.3f} / {one.brier:.3f} / {one.base:.3f}" if one else "-")
        animals = max(one.individuals for one in found.values())
        print(f"| {fitted} | {label} | {kind} | {' | '.join(cells)} | {animals} |")


def missed(asked, listed: Listed, depth: int) -> float:
    known = asked.take(asked.known)
    place = known.lists[listed].place
    return float(known.weights[(place == 0) | (place > depth)].sum() / known.weights.sum())


def figure(asked, kind: ViewPair, listed: Listed, share: float):
    for one in read_meter(kind, asked):
        if (one.listed, one.missed, one.gap) == (listed, share, YearGap.ANY):
            return one
    raise LookupError(kind)


def number(one) -> str:
    if one.verdict is not Verdict.LOOK_AT:
        return str(one.verdict)
    return f"{one.look_at} ({one.low} to {one.high or 'not reachable'})"


def prediction(label: str, predicted, shown, kind: ViewPair) -> None:
    for listed in Listed:
        for share in MISSED:
            one, true = figure(predicted, kind, listed, share), figure(shown, kind, listed, share)
            at = f"{missed(shown, listed, one.look_at):.1%}" if one.look_at else "-"
            print(f"| {label} | {kind} | {listed} | {share:.0%} | {number(one)} | {at} | {number(true)} |")


def halves(trials):
    animals = np.unique(np.concatenate([asked.individual for asked in trials.values()]))
    own = animals[np.random.default_rng(1).permutation(len(animals)) % 2 == 0]
    return of(trials, lambda t: np.isin(t.individual, own)), of(trials, lambda t: ~np.isin(t.individual, own))


def score_of_the_right(asked) -> str:
    listing = asked.lists[Listed.INDIVIDUAL]
    right, best = listing.same.any(axis=1), listing.scores[:, 0]
    scores = np.where(listing.same, listing.scores, 0).max(axis=1)[right]
    first = float((asked.weights * listing.same[:, 0])[asked.known].sum() / asked.weights[asked.known].sum())
    low, middle, high = np.quantile(scores, [0.1, 0.5, 0.9])
    new = f"{np.median(best[~asked.known]):.3f}" if (~asked.known).any() else "-"
    return f"{first:.1%} | {low:.3f} / {middle:.3f} / {high:.3f} | {new}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("belugas", type=Path)
    options.add_argument("--profile", default=REVIEW.name, choices=list(PROFILES))
    options.add_argument("--tables", type=Path, help="a document with marks for the tables")
    options.add_argument("--write", type=Path, help="a release's folder, for its calibration")
    given = options.parse_args()
    page = Page(given.tables, "benchmarks/calibration.py")
    page.expect(("trained", "errors", "reliability", "meters"))
    began = time.monotonic()
    whales = Belugas(bootstrap(read_settings(data=given.data)), given.belugas, given.profile)
    everything = ("train", "val_known", "val_new")
    train = whales.trials(("train",), ("train",))
    val = whales.trials(("val_known", "val_new"), everything)
    known, new = (whales.asked_about(val, part) for part in ("val_known", "val_new"))
    unseen = whales.trials(("val_new",), ("val_new",))
    easy = whales.trials(("val_new",), ("val_new",), own_encounter=True)
    made = f"{whales.ensemble.name} {whales.ensemble.version}, profile {whales.profile.name}"
    page = replace(page, made=f"{made}; {page.made}")
    print(f"{made}\n")
    page.put("trained", told(seen_by_training, train, known, new, unseen))
    page.put("errors", told(calibration_errors, fit(train), train, val, known, new, unseen, easy))
    page.put("reliability", told(reliability_of, cross_judge(unseen)))
    page.put("meters", told(meters, train, val, unseen))
    if given.write:
        release(given.write, whales)
    print(f"\n{time.monotonic() - began:.0f} s")


def told(show: Callable[..., None], *given: Any) -> str:
    """What a function prints."""
    with redirect_stdout(io.StringIO()) as text:
        show(*given)
    return text.getvalue().strip()


def seen_by_training(train, known, new, unseen) -> None:
    print(
        "| asked | gallery | right at first place | score of the right one, 10 % / 50 % / 90 % | best of a new animal |"
    )
    print("|---|---|---|---|---|")
    for label, gallery, trials in (
        ("train", "train", train),
        ("val_known", "all", known),
        ("val_new", "all", new),
        ("val_new", "val_new", unseen),
    ):
        print(f"| {label} | {gallery} | {score_of_the_right(trials[ViewPair.ANY])} |")


def calibration_errors(on_train: Calibration, train, val, known, new, unseen, easy) -> None:
    print("\n| fitted on | judged on | gallery | same, by annotation | same, by individual | new | animals |")
    print("|---|---|---|---|---|---|---|")
    errors("train, other animals", "train", cross_judge(train))
    for label, trials in (("val", val), ("val_known", known), ("val_new", new), ("val_new among themselves", unseen)):
        errors(label, "train", judge(on_train, trials), list(ViewPair))
    first, second = halves(val)
    errors("val, the other half", "half of val", judge(fit(first), second))
    errors("val, other animals", "val", cross_judge(val), list(ViewPair))
    errors("val_new among themselves, other animals", "val_new among themselves", cross_judge(unseen), list(ViewPair))
    errors("val_known", "val_new among themselves", judge(fit(unseen), known))
    errors("train", "val_new among themselves", judge(fit(unseen), train))
    errors("val_new among themselves", "the same, own encounter in the gallery", judge(fit(easy), unseen))


def reliability_of(judged: list[Judged]) -> None:
    print("\n| probability | stated | came true | encounters |\n|---|---|---|---|")
    for one in judged:
        if one.kind is ViewPair.ANY:
            for bar in one.reliability.bins:
                what = f"same, by {one.listed}" if one.listed else "new"
                print(f"| {what} {bar.low:.1f}-{bar.high:.1f} | {bar.stated:.3f} | {bar.true:.3f} | {bar.weight:.1f} |")


def meters(train, val, unseen) -> None:
    print("\n| from | gallery | list by | missed | look at | val really misses | val itself says |")
    print("|---|---|---|---|---|---|---|")
    first, second = halves(val)
    for kind in (ViewPair.ANY, ViewPair.SAME):
        prediction("train", train[kind], val[kind], kind)
        prediction("half of val", first[kind], second[kind], kind)
    first, second = halves(unseen)
    prediction("half of val_new among themselves", first[ViewPair.ANY], second[ViewPair.ANY], ViewPair.ANY)


def release(folder: Path, whales: Belugas) -> None:
    named, twin = parse_manifest((folder / "manifest.json").read_bytes()), whales.ensemble
    same = named.manifest_sha256 == twin.manifest_sha256
    fitted_on = RELEASED_ON if same else f"{twin.name}: {TWIN}"
    made = []
    for profile in PROFILES.values():
        whales.profile = profile
        unseen = whales.trials(("val_new",), ("val_new",))
        purpose = purpose_of(named.manifest_sha256, profile)
        made.append(calibrated(unseen, purpose, Source.RELEASE, fitted_on))
    print(f"\nwrote {write_calibrations(folder, made).name}")


if __name__ == "__main__":
    main()
