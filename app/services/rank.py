"""Rank a gallery for queries of one viewpoint: the one ranking, online and in evaluation.

Every query is answered by itself: what is asked beside it changes nothing, to the last bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.domain import bridging, folding, ranking
from app.domain.bridging import Bridges
from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Float32
from app.domain.errors import IndexUnavailable
from app.domain.occasions import raised
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Gallery, Int64, Mask, Selection
from app.domain.ports import Embedder, Snapshot, VectorIndex
from app.domain.profiles import COSINE, Augment, Bridge, Centre, Fold, Occasion, Profile, Spread
from app.domain.ranking import Answers, Ranked
from app.domain.rerank import best, likeness, reranked
from app.services.shortlist import Ground, grounds

# So many rows of each ground are scored exactly and re-ranked; more where more are asked for, or where folding takes
# so many away that too few are left.
_SHORTLIST, _DEEPER = 200, 5
# Neighbours of the answers to so many queries are looked for at once.
_TOGETHER = 128


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """n queries of one viewpoint: unit vectors (n, d) by space name.

    ``own`` is the image key of each query's own photograph, which is no part of its gallery (None or NOBODY: none).
    ``through`` marks the gallery rows that may be bridges, None for none. Where rows of the query's own view are
    searched, they are answers themselves, and nothing is bridged. ``day`` is the ordinal of each query's survey day
    (None or UNDATED: not known).
    """

    viewpoint: Viewpoint
    vectors: Mapping[str, Float32]
    own: Int64 | None = None
    through: Mask | None = None
    day: Int64 | None = None

    def __len__(self) -> int:
        """How many queries there are."""
        return len(next(iter(self.vectors.values()), ()))

    def apart(self, profile: Profile) -> Iterator[tuple[Int64, Questions, Profile]]:
        """The queries (their places) of a known day in a profile, and the others in what it is without one.

        A gallery without what its days share, and a query with it, would be compared worse than both as they are.
        """
        timeless = profile.without(Centre, Occasion)
        dated = np.zeros(len(self), np.bool_) if self.day is None else self.day != UNDATED
        if timeless == profile:
            dated[:] = False
        for rows, stages in ((np.flatnonzero(dated), profile), (np.flatnonzero(~dated), timeless)):
            if len(rows) == len(self):
                yield rows, self, stages
                return
            if len(rows):
                yield rows, self._some(rows), stages

    def _some(self, rows: Int64) -> Questions:
        return replace(
            self,
            vectors={space: vectors[rows] for space, vectors in self.vectors.items()},
            own=None if self.own is None else self.own[rows],
            day=None if self.day is None else self.day[rows],
        )


def rank(
    snapshot: Snapshot, ensemble: Ensemble, questions: Questions, mask: Mask, k: int, profile: Profile = COSINE
) -> Ranked:
    """The ``k`` best annotations of the gallery rows in ``mask`` for each of n queries, in the order of a profile.

    Gallery rows of a viewpoint that no space can compare with the query's are never searched (``comparable`` counts
    them).
    """
    return ranking.ranked(listed(snapshot, ensemble, questions, mask, k, profile), k)


def listed(
    snapshot: Snapshot, ensemble: Ensemble, questions: Questions, mask: Mask, k: int, profile: Profile
) -> list[Answers]:
    """Everything that ``rank`` looked at for each query: at least ``k`` answers where there are so many."""
    found: dict[int, Answers] = {}
    for rows, part, stages in questions.apart(profile):
        asked = _prepared(snapshot, ensemble, part, mask, stages)
        found |= zip(rows.tolist(), _answers(asked, k, int(np.count_nonzero(mask))), strict=True)
    return [found[row] for row in range(len(questions))]


def _answers(asked: _Asked, k: int, size: int) -> list[Answers]:
    """At least ``k`` answers to each query out of ``size`` rows, if need be by looking deeper."""
    depth = max(_SHORTLIST, _DEEPER * k)
    answers = asked.answers(list(range(len(asked.passed))), depth)
    while depth < size and (short := [row for row, one in enumerate(answers) if len(one.annotations) < k]):
        depth *= _DEEPER
        for row, answer in zip(short, asked.answers(short, depth), strict=True):
            answers[row] = answer
    return answers


def listed_together(
    snapshot: Snapshot, ensemble: Ensemble, questions: Sequence[Questions], mask: Mask, k: int, profile: Profile
) -> Answers:
    """What ``listed`` gives, for photographs of one animal: one query of each viewpoint, ranked each and merged.

    What any of them proposes is scored by each that can be compared with it; its likeness is their mean.
    """
    sides = [
        _prepared(snapshot, ensemble, one, mask, stages) for each in questions for _, one, stages in each.apart(profile)
    ]
    depth, size = max(_SHORTLIST, _DEEPER * k), int(np.count_nonzero(mask))
    while True:
        ids = np.unique(np.concatenate([side.proposed([0], depth)[0] for side in sides]))
        answers = sides[0].folded(ranking.averaged([side.scored(0, ids) for side in sides]))
        if len(answers.annotations) >= k or depth >= size:
            return answers
        depth *= _DEEPER


def comparable(
    snapshot: Snapshot, ensemble: Ensemble, viewpoints: Collection[Viewpoint], selection: Selection
) -> Selection:
    """What is left of a selection when only rows that ``rank`` can find count; the others are counted as removed.

    A row is lost when no space serves both its viewpoint and one of the queries', or when it has no vector in one.
    """
    served, embedded = np.zeros_like(selection.mask), np.zeros_like(selection.mask)
    for ground in (one for viewpoint in viewpoints for one in grounds(snapshot, ensemble, viewpoint, selection.mask)):
        served |= ground.mask
        for space in ground.spaces:
            embedded |= ground.mask & snapshot.held(space.name)
    lost = {"no_common_space": selection.mask & ~served, "no_vector": served & ~embedded}
    counts = {name: int(np.count_nonzero(rows)) for name, rows in lost.items() if rows.any()}
    return Selection(embedded, selection.removed | counts)


def moments(gallery: Gallery, rows: Int64, profile: Profile) -> Int64:
    """One number for gallery rows (m) that a profile shows as one answer; NOBODY for what stands alone."""
    nobody = np.full(len(rows), NOBODY)
    folds = gallery.fold[rows] if profile.stage(Fold) else nobody
    met = folding.meetings(gallery.individual[rows], gallery.encounter[rows]) if profile.stage(Spread) else nobody
    return folding.joined(folds, met)


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


def _prepared(snapshot: Snapshot, ensemble: Ensemble, questions: Questions, mask: Mask, profile: Profile) -> _Asked:
    gallery, viewpoint, vectors = snapshot.gallery, questions.viewpoint, questions.vectors
    pictures = np.full(len(questions), NOBODY) if questions.own is None else questions.own
    passed = [gallery.annotation[(gallery.image == picture) & (picture != NOBODY)] for picture in pictures.tolist()]
    spots = tuple(grounds(snapshot, ensemble, viewpoint, mask, vectors, profile.stage(Centre)))
    own_view = gallery.viewpoint == VIEWPOINTS.index(viewpoint)
    days = np.full(len(questions), UNDATED) if questions.day is None else questions.day
    asked = _Asked(gallery, profile, spots, tuple(ground.join(vectors) for ground in spots), passed, days)
    # Where the query's own view is searched too, the photograph that would be the bridge is a better answer itself.
    stage, through = profile.stage(Bridge), questions.through
    if stage and through is not None and viewpoint is not Viewpoint.UNKNOWN and not (mask & own_view).any():
        same = list(grounds(snapshot, ensemble, viewpoint, through & own_view, vectors))
        asked = asked.bridged(same, vectors, stage)
    return asked


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Queries of one viewpoint and what they are searched in; ``queries`` are joined vectors, one array a ground.

    ``passed`` holds the annotations of each query's own photograph, ``days`` (n) its day.
    """

    gallery: Gallery
    profile: Profile
    grounds: tuple[Ground, ...]
    queries: tuple[Float32, ...]
    passed: list[Int64]
    days: Int64
    bridges: tuple[Bridges, ...] = ()

    def bridged(self, same: list[Ground], vectors: Mapping[str, Float32], stage: Bridge) -> _Asked:
        """The same queries with their bridges among the rows that show their own view (one ground, or none)."""
        if not same:
            return self
        (ground,) = same
        joined, found = ground.join(vectors), []
        for row, ids in enumerate(_shortlists(ground, joined, self.passed, _SHORTLIST)):
            individuals = self.gallery.individual[self.gallery.rows_of(ids)]
            found.append(bridging.bridges(ids, individuals, likeness(joined[row], ground.vectors(ids)), stage))
        return replace(self, bridges=tuple(found))

    def answers(self, rows: list[int], depth: int) -> list[Answers]:
        """Everything found for these queries, ``depth`` rows of each ground, best first and folded."""
        proposed, found = self.proposed(rows, depth), list[Answers]()
        for start in range(0, len(rows), _TOGETHER):
            part = proposed[start : start + _TOGETHER]
            self._surveyed(np.unique(np.concatenate(part)))
            found += [self.folded(self.scored(row, ids)) for row, ids in zip(rows[start:], part, strict=False)]
        return found

    def _surveyed(self, ids: Int64) -> None:
        """Survey what several queries will look at in one go, where the profile augments."""
        if stage := self.profile.stage(Augment):
            at = self.gallery.rows_of(ids)
            for ground in self.grounds:
                ground.survey(ids[ground.mask[at]], stage)

    def proposed(self, rows: list[int], depth: int) -> list[Int64]:
        """For each of these queries the annotations to be scored, ascending: ``depth`` rows of each ground."""
        found = [np.zeros(0, np.int64)] * len(rows)
        for ground, queries in zip(self.grounds, self.queries, strict=True):
            best_of = _shortlists(ground, queries[rows], [self.passed[row] for row in rows], depth)
            for place, (row, ids) in enumerate(zip(rows, best_of, strict=True)):
                reached = np.union1d(ids, self._reached(ground, row)) if self.bridges else ids
                found[place] = np.union1d(found[place], reached)
        return found

    def scored(self, row: int, ids: Int64) -> Answers:
        """What one query makes of annotations, best first; those that it cannot be compared with are left out."""
        at = self.gallery.rows_of(ids)
        parts = [
            self._scored(ground, queries[row], ids[ground.mask[at]], row)
            for ground, queries in zip(self.grounds, self.queries, strict=True)
        ]
        return ranking.merged(parts)

    def _scored(self, ground: Ground, query: Float32, ids: Int64, row: int) -> Answers:
        augment, bridge, passed = self.profile.stage(Augment), self.profile.stage(Bridge), self.passed[row]
        at, day = self.gallery.rows_of(ids), int(self.days[row])
        if augment:
            vectors, crowds = ground.augmented(ids, augment, passed)
        else:
            vectors, crowds = ground.seen(ids, passed), np.zeros(len(ids))
        likenesses = reranked(ground.asked(query, day, passed), vectors, crowds, self.profile)
        via = np.full(len(ids), -1, np.int64)
        if bridge and self.bridges:
            likenesses, via = bridging.carry(likenesses, self.gallery.individual[at], self.bridges[row], bridge)
        if occasion := self.profile.stage(Occasion):
            likenesses = raised(likenesses, self.gallery.day[at] == day, occasion)
        return Answers(ids, likenesses, via)

    def _reached(self, ground: Ground, row: int) -> Int64:
        """Annotations whose individual has a bridge; the query's own photograph is none."""
        rows = ground.mask & np.isin(self.gallery.individual, self.bridges[row].individual)
        return np.setdiff1d(self.gallery.annotation[rows], self.passed[row])

    def folded(self, found: Answers) -> Answers:
        """A list with the moments and meetings that the profile folds."""
        return folding.folded(found, moments(self.gallery, self.gallery.rows_of(found.annotations), self.profile))


def _shortlists(ground: Ground, queries: Float32, passed: list[Int64], depth: int) -> list[Int64]:
    """For each query the annotations of its ``depth`` best rows by exact cosine, without its own photograph."""
    out = []
    for query, found, own in zip(queries, ground.search(queries, depth), passed, strict=True):
        ids = np.setdiff1d(found, own, assume_unique=True)
        order = best(likeness(query, ground.shortlist(ids))) if len(ids) else ids
        out.append(np.sort(ids[order[:depth]]))
    return out
