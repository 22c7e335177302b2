"""Rank a gallery for queries of one viewpoint: the one ranking, online and in evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from app.domain import ranking
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32, Space
from app.domain.errors import IndexUnavailable
from app.domain.partition import VIEWPOINTS, Gallery, Int64, Mask, Selection
from app.domain.ports import Embedder, Neighbours, Snapshot, VectorIndex
from app.domain.profiles import COSINE, Profile

# With several spaces each proposes this many times k candidates; the union is scored in all of them.
_SHORTLIST = 5


def rank(
    snapshot: Snapshot,
    ensemble: Ensemble,
    viewpoint: Viewpoint,
    vectors: Mapping[str, Float32],
    mask: Mask,
    k: int,
    profile: Profile = COSINE,
) -> Neighbours:
    """The ``k`` best annotations of the gallery rows in ``mask`` for each of n queries, in the order of a profile.

    ``vectors`` holds unit vectors (n, d) by space name. Gallery rows of a viewpoint that no space can compare with the
    query's are never searched (``comparable`` counts them).
    """
    n = len(next(iter(vectors.values()))) if vectors else 0
    parts = [_empty(n)]
    for spaces, part in _groups(snapshot.gallery, ensemble, viewpoint, mask):
        usable = [space for space in spaces if space.name in vectors]
        if len(usable) == 1:
            name = usable[0].name
            parts.append(snapshot.search(name, vectors[name], part, k))
        elif usable:
            parts.append(_fused(snapshot, usable, vectors, part, k))
    return ranking.merge(parts, k)


def comparable(snapshot: Snapshot, ensemble: Ensemble, viewpoint: Viewpoint, selection: Selection) -> Selection:
    """What is left of a selection when only rows that ``rank`` can find count; the others are counted as removed.

    A row is lost when no space serves both its viewpoint and the query's, or when it has no vector in such a space.
    """
    served, embedded = np.zeros_like(selection.mask), np.zeros_like(selection.mask)
    for spaces, part in _groups(snapshot.gallery, ensemble, viewpoint, selection.mask):
        served |= part
        for space in spaces:
            embedded |= part & snapshot.held(space.name)
    lost = {"no_common_space": selection.mask & ~served, "no_vector": served & ~embedded}
    counts = {name: int(np.count_nonzero(rows)) for name, rows in lost.items() if rows.any()}
    return Selection(embedded, selection.removed | counts)


def current_snapshot(index: VectorIndex, embedder: Embedder) -> Snapshot:
    """The generation that answers now, if its vectors are this ensemble's.

    Raises IndexUnavailable when there is none, or when it holds vectors of another ensemble, and ModelUnavailable.
    """
    snapshot = index.current()
    wanted = {space.name: space.fingerprint for space in embedder.active_spaces()}
    if not snapshot.fingerprints:
        raise IndexUnavailable("nothing is indexed yet; import a catalogue first")
    if dict(snapshot.fingerprints) != wanted:
        raise IndexUnavailable("the index holds vectors of another ensemble; run `resight reindex`")
    return snapshot


def _groups(
    gallery: Gallery, ensemble: Ensemble, viewpoint: Viewpoint, mask: Mask
) -> Iterator[tuple[tuple[Space, ...], Mask]]:
    grouped: dict[tuple[Space, ...], list[int]] = defaultdict(list)
    for position, other in enumerate(VIEWPOINTS):
        grouped[ensemble.spaces_for(viewpoint, other)].append(position)
    for spaces, positions in grouped.items():
        part = mask & np.isin(gallery.viewpoint, positions)
        if spaces and part.any():
            yield spaces, part


def _fused(snapshot: Snapshot, spaces: list[Space], vectors: Mapping[str, Float32], mask: Mask, k: int) -> Neighbours:
    found = [snapshot.search(space.name, vectors[space.name], mask, _SHORTLIST * k) for space in spaces]
    rows = []
    for row in range(len(found[0].annotations)):
        union = np.unique(np.concatenate([part.annotations[row] for part in found]))
        union = union[union >= 0]
        cosines = [snapshot.vectors(space.name, union) @ vectors[space.name][row] for space in spaces]
        fused = ranking.fuse(cosines, [space.weight for space in spaces])
        rows.append(ranking.merge([_padded(union[None], fused[None], k)], k))
    return Neighbours(np.concatenate([r.annotations for r in rows]), np.concatenate([r.cosines for r in rows]))


def _padded(annotations: Int64, cosines: Float32, k: int) -> Neighbours:
    short = max(0, k - annotations.shape[1])
    return Neighbours(
        np.pad(annotations, ((0, 0), (0, short)), constant_values=-1),
        np.pad(cosines, ((0, 0), (0, short)), constant_values=-np.inf),
    )


def _empty(n: int) -> Neighbours:
    return Neighbours(np.full((n, 0), -1, np.int64), np.zeros((n, 0), np.float32))
