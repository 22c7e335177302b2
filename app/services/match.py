"""Match: a photograph or a catalogued annotation, and a scope, to ranked candidates with their receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from app.domain import folding, ranking
from app.domain.calibration_record import purpose_of
from app.domain.catalogue import Annotation, Viewpoint
from app.domain.ensemble import Ensemble, Float32
from app.domain.odds import Odds, odds
from app.domain.partition import Scope, Selection
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot, VectorIndex
from app.domain.ports_calibrations import KnownCalibrations
from app.domain.profiles import Profile
from app.domain.question import GroupBy, MatchRequest
from app.domain.ranking import Answers
from app.domain.trials import SHORTLIST, Listed
from app.services.rank import Questions, comparable, current_snapshot, listed
from app.telemetry import Stopwatch

# So many of the annotations that are folded into a candidate are named; the others are counted.
_INSIDE = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: ``score`` in [0, 1] orders candidates and is not a probability.

    ``days_between`` is None when either date is unknown; ``same_photograph`` marks the query's own bytes;
    ``probability_same`` is None without a calibration for this ensemble and profile; ``bridge`` is the annotation in
    the query's own view through which another view was found. ``folded`` counts what is shown inside this answer, and
    ``inside`` names the best of it.
    """

    rank: int
    score: float
    probability_same: float | None
    annotation: Annotation
    days_between: int | None
    same_photograph: bool
    bridge: Annotation | None
    folded: int
    inside: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was searched, with which versions: enough to understand the answer years later.

    ``removed`` counts the annotations that each filter took away, ``searched`` those that were left; ``milliseconds``
    gives the time of each stage.
    """

    query_sha256: str
    viewpoint: Viewpoint
    catalogue_version: int
    index_generation: int
    ensemble: str
    ensemble_version: str
    manifest_sha256: str
    members: Mapping[str, str]
    scope: Scope
    group_by: GroupBy
    profile: Profile
    gallery: int
    searched: int
    removed: Mapping[str, int]
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Candidates, best first, their receipt, and what a calibration says of them."""

    candidates: tuple[Candidate, ...]
    receipt: Receipt
    odds: Odds


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """A question ready to be searched."""

    sha256: str
    viewpoint: Viewpoint
    captured: date | None
    vectors: Mapping[str, Float32]
    scope: Scope


@dataclass(frozen=True, slots=True)
class Match:
    """The use case; ports are safe to use from many threads. The first of ``calibrations`` that has one is used."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    calibrations: Sequence[KnownCalibrations] = ()

    def __call__(self, request: MatchRequest) -> MatchResult:
        """Answer one question.

        Raises InvalidInput and its kin for what cannot be used, UnknownAnnotation, and Unavailable when the ensemble,
        the index or the catalogue is not there: a failure is never an empty list.
        """
        watch = Stopwatch()
        snapshot, ensemble = current_snapshot(self.index, self.embedder), self.embedder.ensemble
        request = self._named(request)
        if request.photograph is not None:
            query = self._photograph(request, request.photograph, ensemble, watch)
        else:
            query = self._catalogued(request, ensemble, snapshot, watch)
        selection = comparable(snapshot, ensemble, query.viewpoint, query.scope.select(snapshot.gallery))
        while True:
            found = self._search(request, query, snapshot, ensemble, selection)
            watch.lap("search")
            said = self._odds(request, query, snapshot, ensemble, selection, found)
            # Looking up comes last, so that nothing is answered that was gone before: whatever was removed since this
            # generation was built leaves no gap, but is left out of another search.
            ids = found.annotations
            known = self.catalogue.annotations(_named(request, found))
            gone = ids[[int(one) not in known for one in ids]]
            if not len(gone):
                break
            selection = selection.without(snapshot.gallery.rows_of(gone), "removed_since")
        candidates = _candidates(request, query, found, known, said)
        watch.lap("look_up")
        receipt = _receipt(request, query, snapshot, ensemble, selection, watch.milliseconds)
        return MatchResult(candidates, receipt, said)

    def _named(self, request: MatchRequest) -> MatchRequest:
        if not request.without_encounters and not request.without_individuals:
            return request
        individuals, encounters = self.catalogue.keys(
            individuals=request.without_individuals, encounters=request.without_encounters
        )
        scope = replace(
            request.scope,
            without_individuals=request.scope.without_individuals | individuals,
            without_encounters=request.scope.without_encounters | encounters,
        )
        return replace(request, scope=scope)

    def _photograph(self, request: MatchRequest, content: bytes, ensemble: Ensemble, watch: Stopwatch) -> _Query:
        viewpoint = request.viewpoint or Viewpoint.UNKNOWN
        photograph = self.images.decode(content)
        watch.lap("decode")
        spaces = [space for space in ensemble.spaces if viewpoint in space.viewpoints]
        vectors = self.embedder.embed([(photograph, None)], spaces)
        watch.lap("embed")
        captured = request.captured or (photograph.taken.date() if photograph.taken else None)
        return _Query(hashlib.sha256(content).hexdigest(), viewpoint, captured, vectors, request.scope)

    def _catalogued(self, request: MatchRequest, ensemble: Ensemble, snapshot: Snapshot, watch: Stopwatch) -> _Query:
        annotation = self.catalogue.annotation(request.annotation_id or 0)
        viewpoint = request.viewpoint or annotation.viewpoint
        row = int(snapshot.gallery.rows_of(np.array([annotation.annotation_id]))[0])
        scope = request.scope
        if row >= 0:
            scope = scope.excluding(annotation=annotation.annotation_id, image=int(snapshot.gallery.image[row]))
            encounter = int(snapshot.gallery.encounter[row])
            if request.without_own_encounter and encounter >= 0:
                scope = replace(scope, without_encounters=scope.without_encounters | {encounter})
        watch.lap("decode")
        vectors = self._vectors(annotation, viewpoint, ensemble, snapshot, stored=row >= 0)
        watch.lap("embed")
        captured = request.captured or annotation.captured.day
        return _Query(annotation.image.sha256, viewpoint, captured, vectors, scope)

    def _vectors(
        self, annotation: Annotation, viewpoint: Viewpoint, ensemble: Ensemble, snapshot: Snapshot, *, stored: bool
    ) -> dict[str, Float32]:
        """Stored vectors where this generation has them, otherwise computed from the original."""
        spaces = [space for space in ensemble.spaces if viewpoint in space.viewpoints]
        ids = np.array([annotation.annotation_id])
        vectors = {space.name: snapshot.vectors(space.name, ids) for space in spaces} if stored else {}
        lacking = [space for space in spaces if not vectors.get(space.name, np.zeros(1)).any()]
        if lacking:
            photograph = self.images.decode(self.blobs.get(annotation.image.sha256), whole=annotation.box is not None)
            vectors |= self.embedder.embed([(photograph, annotation.box)], lacking)
        return vectors

    def _search(
        self, request: MatchRequest, query: _Query, snapshot: Snapshot, ensemble: Ensemble, selection: Selection
    ) -> Answers:
        """The best annotations, or the best annotation of each individual: searched deeper until there are enough."""
        columns = snapshot.gallery
        # A bridge shows the query's own view, which the scope may leave out.
        through = replace(query.scope, viewpoints=frozenset(Viewpoint)).select(columns).mask
        questions = Questions(query.viewpoint, query.vectors, through=through)
        # The odds look at a whole shortlist: they must not depend on how many candidates are asked for.
        limit = max(request.limit, SHORTLIST)
        k = limit
        while True:
            (found,) = listed(snapshot, ensemble, questions, selection.mask, k, request.profile)
            if request.group_by is GroupBy.INDIVIDUAL:
                found = folding.folded(found, columns.individual[columns.rows_of(found.annotations)])
            if len(found.annotations) >= limit or k >= selection.size:
                return found.first(limit)
            k = min(k * 8, selection.size)

    def _odds(
        self,
        request: MatchRequest,
        query: _Query,
        snapshot: Snapshot,
        ensemble: Ensemble,
        selection: Selection,
        found: Answers,
    ) -> Odds:
        purpose = purpose_of(ensemble.manifest_sha256, request.profile)
        known = (calibration for source in self.calibrations if (calibration := source.newest(purpose)))
        rows, scores = snapshot.gallery.rows_of(found.annotations), ranking.score_of(found.likeness)
        kind = Listed(request.group_by)
        return odds(next(known, None), kind, query.viewpoint, snapshot.gallery, selection.mask, rows, scores)


def _candidates(
    request: MatchRequest, query: _Query, found: Answers, known: Mapping[int, Annotation], said: Odds
) -> tuple[Candidate, ...]:
    shown = found.first(request.limit)
    ids = shown.annotations.tolist()
    same = said.same or (None,) * len(ids)
    ranked = zip(ids, ranking.score_of(shown.likeness), same, strict=False)
    return tuple(
        Candidate(
            rank=place,
            score=float(score),
            probability_same=probability,
            annotation=known[number],
            days_between=_days(query.captured, known[number].captured.day),
            same_photograph=known[number].image.sha256 == query.sha256,
            bridge=known.get(int(shown.bridges[place - 1])),
            folded=len(shown.folded[place - 1]),
            inside=tuple(one for one in shown.folded[place - 1][:_INSIDE] if one in known),
        )
        for place, (number, score, probability) in enumerate(ranked, start=1)
    )


def _named(request: MatchRequest, found: Answers) -> list[int]:
    """Every annotation that an answer names: candidates, their bridges and the best of what is folded into them."""
    shown = found.first(request.limit)
    inside = [one for folded in shown.folded for one in folded[:_INSIDE]]
    return [*found.annotations.tolist(), *shown.bridges[shown.bridges >= 0].tolist(), *inside]


def _days(one: date | None, other: date | None) -> int | None:
    return abs((one - other).days) if one and other else None


def _receipt(
    request: MatchRequest,
    query: _Query,
    snapshot: Snapshot,
    ensemble: Ensemble,
    selection: Selection,
    milliseconds: Mapping[str, float],
) -> Receipt:
    return Receipt(
        query_sha256=query.sha256,
        viewpoint=query.viewpoint,
        catalogue_version=snapshot.catalogue_version,
        index_generation=snapshot.generation,
        ensemble=ensemble.name,
        ensemble_version=ensemble.version,
        manifest_sha256=ensemble.manifest_sha256,
        members={member.name: member.sha256 for member in ensemble.members},
        scope=query.scope,
        group_by=request.group_by,
        profile=request.profile,
        gallery=len(snapshot.gallery),
        searched=selection.size,
        removed=selection.removed,
        milliseconds=milliseconds,
    )
