"""Trials: catalogued photographs asked as if they were new, each with its own encounter left out of the gallery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.partition import NOBODY, VIEWPOINTS, Gallery, Int64, Mask

Float64 = npt.NDArray[np.float64]

SHORTLIST = 20
"""How many of the best candidates a trial keeps: those that a person looks at."""

UNFOUND = 0
UNDATED_GAP = -1


class ViewPair(StrEnum):
    """How a query's viewpoint and a candidate's go together; ``any`` stands for a gallery of several kinds."""

    ANY = "any"
    SAME = "same_view"
    ACROSS = "lateral_top"
    MIRROR = "left_right"
    UNKNOWN = "unknown"


class Listed(StrEnum):
    """What a line of a ranked list stands for."""

    ANNOTATION = "annotation"
    INDIVIDUAL = "individual"


def pair_of(query: Viewpoint, other: Viewpoint) -> ViewPair:
    """The kind of a query's viewpoint beside a candidate's."""
    if Viewpoint.UNKNOWN in {query, other}:
        return ViewPair.UNKNOWN
    if query is other:
        return ViewPair.SAME
    return ViewPair.ACROSS if Viewpoint.TOP in {query, other} else ViewPair.MIRROR


def pairs_of(query: Viewpoint, viewpoints: Int64) -> list[ViewPair]:
    """The kind of each candidate, whose viewpoints (n) are positions in VIEWPOINTS."""
    kinds = [pair_of(query, other) for other in VIEWPOINTS]
    return [kinds[viewpoint] for viewpoint in viewpoints.tolist()]


def kind_of(query: Viewpoint, viewpoints: Int64) -> ViewPair:
    """The kind of a whole question: the one kind that its gallery holds, or ``any``."""
    kinds = set(pairs_of(query, np.unique(viewpoints)))
    return kinds.pop() if len(kinds) == 1 else ViewPair.ANY


def encounter_keys(gallery: Gallery) -> Int64:
    """A number (n) for the encounter of each annotation of a gallery.

    Those without an encounter belong together when they show one individual on one day: what may be the same meeting
    must not count as another one.
    """
    keys = gallery.encounter.copy()
    alone = keys == NOBODY
    met = np.stack([gallery.individual[alone], gallery.day[alone]], axis=1)
    keys[alone] = NOBODY - 1 - np.unique(met, axis=0, return_inverse=True)[1].reshape(-1)
    return keys


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """Ranked lists of n trials: ``scores`` (n, SHORTLIST), best first, filled up with minus infinity.

    ``same`` tells which of them are of the query's own individual, ``viewpoints`` is the position of each one's
    viewpoint in VIEWPOINTS, ``place`` (n) is the place of the first of the query's own, from 1, or UNFOUND when the
    whole list, which is longer than what is kept here, holds none.
    """

    scores: Float64
    same: Mask
    viewpoints: Int64
    place: Int64

    def take(self, rows: Mask) -> Listing:
        """The lists of some trials."""
        return Listing(self.scores[rows], self.same[rows], self.viewpoints[rows], self.place[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Columns of n trials: an annotation each, whose ``viewpoint`` is its position in VIEWPOINTS.

    ``known`` says whether its individual has another encounter in the gallery, ``years`` how many years lie between it
    and the nearest sighting there (UNDATED_GAP when not known), ``searched`` how many individuals were searched.
    """

    individual: Int64
    encounter: Int64
    viewpoint: Int64
    known: Mask
    years: Int64
    searched: Int64
    lists: Mapping[Listed, Listing]

    def __len__(self) -> int:
        return len(self.individual)

    @property
    def weights(self) -> Float64:
        """Weights (n) that count each encounter once, however many of its photographs were asked about."""
        _, where, counts = np.unique(self.encounter, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / counts[where], np.float64)

    def take(self, rows: Mask) -> Trials:
        """Some of the trials."""
        return Trials(
            self.individual[rows],
            self.encounter[rows],
            self.viewpoint[rows],
            self.known[rows],
            self.years[rows],
            self.searched[rows],
            {listed: listing.take(rows) for listed, listing in self.lists.items()},
        )


def joined(parts: Sequence[Trials]) -> Trials:
    """All trials of several blocks, in order."""
    return Trials(
        individual=np.concatenate([part.individual for part in parts]),
        encounter=np.concatenate([part.encounter for part in parts]),
        viewpoint=np.concatenate([part.viewpoint for part in parts]),
        known=np.concatenate([part.known for part in parts]),
        years=np.concatenate([part.years for part in parts]),
        searched=np.concatenate([part.searched for part in parts]),
        lists={listed: _joined([part.lists[listed] for part in parts]) for listed in Listed},
    )


def listing(rows: Iterable[tuple[Float64, Mask, Int64]]) -> Listing:
    """Shorten ranked lists to what a trial keeps: scores, whether they are the query's individual, and viewpoints."""
    scores, same, viewpoints, places = [], [], [], []
    for score, right, viewpoint in rows:
        short = max(0, SHORTLIST - len(score))
        scores.append(np.pad(score[:SHORTLIST], (0, short), constant_values=-np.inf))
        same.append(np.pad(right[:SHORTLIST], (0, short)))
        viewpoints.append(np.pad(viewpoint[:SHORTLIST], (0, short)))
        places.append(int(np.argmax(right)) + 1 if right.any() else UNFOUND)
    return Listing(
        np.reshape(np.asarray(scores, np.float64), (-1, SHORTLIST)),
        np.reshape(np.asarray(same, np.bool_), (-1, SHORTLIST)),
        np.reshape(np.asarray(viewpoints, np.int64), (-1, SHORTLIST)),
        np.asarray(places, np.int64),
    )


def _joined(parts: Sequence[Listing]) -> Listing:
    names = ("scores", "same", "viewpoints", "place")
    return Listing(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
