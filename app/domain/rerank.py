"""Re-rankers: a query, its shortlist and their neighbours in the gallery, to a better order. Arrays in, arrays out.

Sums run along one row at a time and never through a matrix product: the last bit of a likeness depends on the two
vectors alone, neither on how many others are compared nor on what is asked beside it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.domain.ensemble import Float32
from app.domain.partition import Int64, Mask
from app.domain.profiles import Augment, Expand, Profile, Reciprocal, Vouch

Float64 = npt.NDArray[np.float64]

_BLOCK = 2048


def likeness(query: Float32, vectors: Float32) -> Float64:
    """Cosines (m) of a unit vector (d) and unit vectors (m, d), each from its own two vectors alone."""
    blocks = [vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK)]
    return np.concatenate([np.zeros(0), *((block * query).sum(axis=1, dtype=np.float64) for block in blocks)])


def among(vectors: Float32) -> Float64:
    """The cosines (m, m) of unit vectors (m, d) with each other."""
    return np.stack([likeness(vector, vectors) for vector in vectors]) if len(vectors) else np.zeros((0, 0))


def mean_direction(vectors: Float32) -> Float32:
    """Unit vectors (n, d) of one animal as one (1, d): their mean, of length 1; one alone stays as it is."""
    return vectors if len(vectors) == 1 else _unit(vectors.mean(axis=0, keepdims=True))


def expand(query: Float32, best: Float32, stage: Expand) -> Float32:
    """The query (d) moved towards its best answers (n, d): unit(q + sum of max(0, cosine)^power x answer).

    Source: Radenovic, Tolias and Chum, Fine-tuning CNN image retrieval with no human annotation (2018), s. 3.4.
    """
    weights = np.maximum(likeness(query, best), 0.0) ** stage.power
    return _unit((query + (weights[:, None] * best).sum(axis=0))[None]).ravel()


def augment(vectors: Float32, neighbours: Float32, stage: Augment) -> tuple[Float32, Float64]:
    """Vectors (m, d) moved towards their neighbours (m, n, d), zeros where there are fewer, as ``expand`` does.

    And their crowds (m): the mean cosine of each with its n neighbours as they were, below zero counted as zero.
    Source: Arandjelovic and Zisserman, Three things everyone should know to improve object retrieval (2012), with the
    weights of alpha query expansion.
    """
    cosines = np.maximum((vectors[:, None] * neighbours).sum(axis=2, dtype=np.float64), 0.0)
    weights = cosines**stage.power
    return _unit(vectors + (weights[:, :, None] * neighbours).sum(axis=1)), cosines.mean(axis=1)


def uncrowded(likenesses: Float64, crowds: Float64, stage: Augment) -> Float64:
    """Likenesses (m) in [-1, 1] less what is owed to a crowd (m): max(-1, l - crowding x crowd).

    Source: the gallery's half of CSLS in Conneau et al., Word translation without parallel data (2018), s. 2.3:
    hubs, near to everything, are the answer to too many queries.
    """
    return np.maximum(likenesses - stage.crowding * crowds, -1.0)


def vouch(query: Float64, first: Float64, second: Float64, stage: Vouch) -> Float64:
    """The first place's formula over cosines (m) to the query and to its two best answers; in [0, 1].

    0.4 s(q, x)^7 + 0.4 s(a, x)^7 + 0.2 s(b, x)^7 with cosines below zero counted as zero.
    """
    parts = np.maximum(np.stack([query, first, second]), 0.0) ** stage.power
    weights = np.asarray(stage.weights)
    return np.asarray((weights[:, None] * parts).sum(axis=0) / weights.sum(), np.float64)


def reciprocal(query: Float64, gallery: Float64, stage: Reciprocal) -> Float64:
    """A likeness (m) of a shortlist from cosines to the query (m) and within the shortlist (m, m); in [-1, 1].

    Source: Zhong et al., Re-ranking person re-identification with k-reciprocal encoding (2017): Jaccard distance of
    expanded k-reciprocal sets, weighted by exp(-distance) and averaged over k2 neighbours, beside the first distance.
    The sets hold the query and its shortlist and nothing else.
    """
    cosines = np.block([[np.ones((1, 1)), query[None]], [query[:, None], gallery]])
    distances = _scaled(2.0 - 2.0 * np.clip(cosines, -1.0, 1.0))
    order = np.argsort(distances, axis=1, kind="stable")
    weights = _expanded(order, stage.near) * np.exp(-distances)
    encoded = weights / weights.sum(axis=1, keepdims=True)
    if stage.nearer > 1:
        encoded = encoded[order[:, : stage.nearer]].mean(axis=1)
    shared = np.minimum(encoded[0], encoded[1:]).sum(axis=1)
    jaccard = 1.0 - shared / (encoded[0].sum() + encoded[1:].sum(axis=1) - shared)
    return np.asarray(1.0 - 2.0 * ((1.0 - stage.keep) * jaccard + stage.keep * distances[0, 1:]), np.float64)


def reranked(query: Float32, vectors: Float32, crowds: Float64, profile: Profile) -> Float64:
    """Likenesses (m) in [-1, 1] of a shortlist (m, d), augmented where the profile says so, after its other stages.

    Their crowds (m) count where the likeness is still a cosine at the end: not behind ``vouch`` and ``reciprocal``.
    """
    likenesses = likeness(query, vectors)
    for stage in profile.stages:
        if isinstance(stage, Expand):
            likenesses = likeness(expand(query, vectors[best(likenesses)[: stage.neighbours]], stage), vectors)
        elif isinstance(stage, Vouch) and len(vectors):
            first, second = vectors[np.resize(best(likenesses)[:2], 2)]
            likenesses = 2.0 * vouch(likenesses, likeness(first, vectors), likeness(second, vectors), stage) - 1.0
        elif isinstance(stage, Reciprocal):
            likenesses = _reciprocal_first(likenesses, vectors, stage)
    augmented = profile.stage(Augment)
    if augmented and not profile.stage(Vouch) and not profile.stage(Reciprocal):
        return uncrowded(likenesses, crowds, augmented)
    return likenesses


def best(likenesses: Float64) -> Int64:
    """Positions by falling likeness; equal ones keep their order."""
    return np.argsort(-likenesses, kind="stable")


def _reciprocal_first(likenesses: Float64, vectors: Float32, stage: Reciprocal) -> Float64:
    """k-reciprocal on the best of a shortlist; the rest stays behind it, in its order."""
    order = best(likenesses)
    first, rest = order[: stage.shortlist], order[stage.shortlist :]
    out = np.empty_like(likenesses)
    out[first] = reciprocal(likenesses[first], among(vectors[first]), stage)
    floor = out[first].min(initial=1.0)
    out[rest] = floor - (1.0 + floor) * (1.0 - (1.0 + likenesses[rest]) / 2.0)
    return out


def _scaled(distances: Float64) -> Float64:
    """Each row over its largest distance, as in the published code."""
    return np.asarray(distances / np.maximum(distances.max(axis=1, keepdims=True), 1e-12), np.float64)


def _expanded(order: Int64, near: int) -> Mask:
    """For each row (m, m) its k-reciprocal set, with the half-sized sets of members that it mostly holds already."""
    wide, narrow = _mutual(order, near), _mutual(order, round(near / 2))
    # Counts are whole numbers, so that these products are exact.
    shared = wide.astype(np.float64) @ narrow.T.astype(np.float64)
    trusted = wide & (shared > 2 / 3 * narrow.sum(axis=1))
    grown = trusted.astype(np.float64) @ narrow.astype(np.float64)
    return np.asarray(wide | (grown > 0), np.bool_)


def _mutual(order: Int64, near: int) -> Mask:
    """Which rows (m, m) are each among the other's ``near`` + 1 nearest, itself the first."""
    nearest = np.zeros(order.shape, np.bool_)
    np.put_along_axis(nearest, order[:, : near + 1], values=True, axis=1)
    return nearest & nearest.T


def _unit(rows: npt.NDArray[np.floating]) -> Float32:
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)
