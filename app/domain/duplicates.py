"""Near-duplicates and bursts: found by the perceptual hash of photographs, flagged and never dropped.

A hash has 64 bits, of which a photograph with any structure sets about half; the distance of two photographs is the
number of bits in which they differ. The thresholds were chosen by measuring (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from app.domain.partition import NOBODY, Gallery, Int64

NEAR = 2
"""Photographs at most this far apart are near-duplicates: copies that were re-encoded, scaled or brightened."""

BURST = 10
BURST_SECONDS = 10
"""Photographs of one animal at most so far apart, in bits and in seconds, belong to one burst."""

FLAT = 0
"""The hash of a photograph without structure, or of one whose hash was not computed: it is near to no other."""

UNTIMED = -(2**62)
"""The moment of a photograph that is not known to the second."""

# Exact by the pigeonhole principle: hashes that differ in NEAR bits agree in at least one of NEAR + 1 bands.
_BANDS = ((0, 21), (21, 21), (42, 22))
# A burst is compared with so many of the frames that follow: more within ten seconds is a film.
_FRAMES = 64


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """An annotation in a photograph that is nearly that of another one; ``distance`` counts differing bits."""

    annotation_id: int
    distance: int


def distances(left: Int64, right: Int64) -> Int64:
    """Differing bits of hashes of any shapes that go together."""
    differing = np.bitwise_xor(left, right).astype(np.int64, copy=False).view(np.uint64)
    return np.bitwise_count(differing).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Flagged:
    """How many annotations are in a photograph that nearly is another one, and how many are one of a burst."""

    near_duplicates: int
    bursts: int


def near_duplicates(gallery: Gallery, annotation_id: int) -> list[NearDuplicate]:
    """Annotations whose photograph is at most NEAR from that of ``annotation_id``, nearest first, ties by id.

    Other annotations of the very same photograph are no duplicates; none for an annotation that is not in the gallery.
    """
    row = int(gallery.rows_of(np.array([annotation_id]))[0])
    if row < 0 or gallery.phash[row] == FLAT:
        return []
    apart = distances(gallery.phash, gallery.phash[row])
    near = np.flatnonzero((apart <= NEAR) & (gallery.image != gallery.image[row]))
    return [
        NearDuplicate(int(gallery.annotation[at]), int(apart[at]))
        for at in near[np.argsort(apart[near], kind="stable")]
    ]


def duplicate_groups(gallery: Gallery) -> list[list[int]]:
    """Annotation ids of each group of near-duplicates over several photographs, transitively; smallest ids first."""
    marked = np.flatnonzero(gallery.phash != FLAT)
    hashes, place = np.unique(gallery.phash[marked], return_inverse=True)
    labels = _joined(len(hashes), _near_pairs(hashes))[place]
    order = np.argsort(labels, kind="stable")
    members = np.split(marked[order], np.flatnonzero(np.diff(labels[order])) + 1)
    several = [own for own in members if len(np.unique(gallery.image[own])) > 1]
    return sorted(gallery.annotation[own].tolist() for own in several)


def burst_groups(gallery: Gallery) -> list[list[int]]:
    """Annotation ids of each fold that shows more than one photograph; smallest ids first."""
    order = np.argsort(gallery.fold, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(gallery.fold[order])) + 1)
    several = [own for own in members if len(np.unique(gallery.image[own])) > 1]
    return sorted(gallery.annotation[own].tolist() for own in several)


def flagged(gallery: Gallery, annotations: Collection[int]) -> Flagged:
    """How many of ``annotations`` have a near-duplicate, and how many belong to a burst, anywhere in the gallery."""
    asked = frozenset(annotations)
    near, bursts = (
        sum(len(asked.intersection(group)) for group in groups(gallery)) for groups in (duplicate_groups, burst_groups)
    )
    return Flagged(near, bursts)


def folds(annotation: Int64, animal: Int64, image: Int64, phash: Int64, moment: Int64) -> Int64:
    """For each annotation the smallest id of those that show one moment of one animal, transitively.

    Two of one ``animal`` (a number, NOBODY when not known) belong together when their photograph is the same, or when
    both were taken within BURST_SECONDS (``moment``) and differ in at most BURST bits.
    """
    links = [*_same_photograph(animal, image), *_bursts(animal, phash, moment)]
    labels = _joined(len(annotation), links)
    smallest = np.full(len(annotation), np.iinfo(np.int64).max)
    np.minimum.at(smallest, labels, annotation)
    return smallest[labels]


def gallery_of(known: Sequence[Int64], phash: Int64, moment: Int64) -> Gallery:
    """A gallery of its columns up to ``day``, with its folds.

    An animal is an individual or, where nobody was recognised, an encounter.
    """
    annotation, individual, encounter, image, *_ = known
    animal = np.where(individual != NOBODY, 2 * individual, np.where(encounter != NOBODY, 2 * encounter + 1, NOBODY))
    columns = [*known, phash, folds(annotation, animal, image, phash, moment)]
    return Gallery(*columns)


def _same_photograph(animal: Int64, image: Int64) -> Iterator[tuple[Int64, Int64]]:
    order = np.lexsort((image, animal))
    left, right = order[:-1], order[1:]
    same = (animal[left] == animal[right]) & (image[left] == image[right]) & (animal[left] != NOBODY)
    yield left[same], right[same]


def _bursts(animal: Int64, phash: Int64, moment: Int64) -> Iterator[tuple[Int64, Int64]]:
    order = np.lexsort((moment, animal))
    order = order[(animal[order] != NOBODY) & (moment[order] != UNTIMED) & (phash[order] != FLAT)]
    for ahead in range(1, _FRAMES):
        left, right = order[:-ahead], order[ahead:]
        close = (animal[left] == animal[right]) & (moment[right] - moment[left] <= BURST_SECONDS)
        if not close.any():
            return
        left, right = left[close], right[close]
        alike = distances(phash[left], phash[right]) <= BURST
        yield left[alike], right[alike]


def _near_pairs(hashes: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Positions of different hashes that are at most NEAR apart; a pair may come more than once."""
    bits = hashes.view(np.uint64)
    for start, width in _BANDS:
        band = (bits >> np.uint64(start)) & np.uint64(2**width - 1)
        order = np.argsort(band, kind="stable")
        for ahead in range(1, len(order)):
            left, right = order[:-ahead], order[ahead:]
            same = band[left] == band[right]
            if not same.any():
                break
            left, right = left[same], right[same]
            near = distances(hashes[left], hashes[right]) <= NEAR
            yield left[near], right[near]


def _joined(count: int, links: Sequence[tuple[Int64, Int64]] | Iterator[tuple[Int64, Int64]]) -> Int64:
    """The number of the connected group of each of ``count`` places."""
    if not count:
        return np.zeros(0, np.int64)
    pairs = [np.stack(link) for link in links]
    left, right = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
