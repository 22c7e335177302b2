"""Match: photographs or annotations of one animal, and a scope, to ranked candidates with their receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from app.domain import folding, ranking
from app.domain.calibration_record import purpose_of
from app.domain.catalogue import Annotation, Viewpoint
from app.domain.ensemble import Ensemble
from app.domain.marks import verified
from app.domain.odds import OF_SEVERAL, UNSTORED, Odds, odds
from app.domain.partition import NOBODY, Gallery, Mask, Scope, Selection
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot, VectorIndex
from app.domain.ports_calibrations import KnownCalibrations
from app.domain.profiles import Occasion, Profile, Verify
from app.domain.question import MOST_INSIDE, GroupBy, MatchRequest
from app.domain.ranking import Answers
from app.domain.trials import SHORTLIST, Listed
from app.services.asking import Asking, Query
from app.services.rank import comparable, current_snapshot, listed_together, moments
from app.services.vet import Vet
from app.telemetry import Stopwatch


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: ``score`` in [0, 1] orders candidates and is not a probability.

    ``days_between`` counts from the nearest photograph asked about, None when a date is unknown; ``same_photograph``
    marks the bytes of one of them, ``same_occasion`` what gained by being of the very day that was asked about;
    ``probability_same`` is None without a calibration for this ensemble and profile; ``bridge`` is the annotation in
    the query's own view through which another view was found. ``folded`` counts what is shown inside this answer, the
    whole of the gallery searched, and ``inside`` names the first MOST_INSIDE of it, best first.
    """

    rank: int
    score: float
    probability_same: float | None
    annotation: Annotation
    days_between: int | None
    same_photograph: bool
    same_occasion: bool
    bridge: Annotation | None
    folded: int
    inside: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """One photograph that was asked about, with its day; ``annotation_id`` is None for one that was sent."""

    sha256: str
    annotation_id: int | None
    viewpoint: Viewpoint
    captured: date | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was searched, with which versions: enough to understand the answer years later.

    ``removed`` counts the annotations that each filter took away, ``searched`` those that were left; ``notes`` tell
    which stages of the profile could do nothing, and why; ``milliseconds`` gives the time of each stage.
    """

    queries: tuple[QueryFacts, ...]
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
    notes: tuple[str, ...]
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Candidates, best first, their receipt, and what a calibration says of them."""

    candidates: tuple[Candidate, ...]
    receipt: Receipt
    odds: Odds


@dataclass(frozen=True, slots=True)
class Match:
    """The use case; ports are safe to use from many threads. The first of ``calibrations`` that has one is used."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    vet: Vet
    calibrations: Sequence[KnownCalibrations] = ()

    def __call__(self, request: MatchRequest) -> MatchResult:
        """Answer one question.

        Raises InvalidInput and its kin for what cannot be used, UnknownAnnotation, and Unavailable when the ensemble,
        the index or the catalogue is not there: a failure is never an empty list.
        """
        watch = Stopwatch()
        snapshot, ensemble = current_snapshot(self.index, self.embedder), self.embedder.ensemble
        request = self._named(request)
        query = Asking(self.catalogue, self.blobs, self.images, self.embedder)(request, snapshot, watch)
        selection = comparable(snapshot, ensemble, query.viewpoints, query.scope.select(snapshot.gallery))
        while True:
            found = self._search(request, query, snapshot, ensemble, selection)
            watch.lap("search")
            said = self._odds(request, query, snapshot, ensemble, selection, found)
            # Looking up comes last, so that nothing is answered that was gone before: whatever was removed since this
            # generation was built leaves no gap, but is left out of another search.
            ids = found.annotations
            known = self.catalogue.annotations(_shown(request, found))
            gone = ids[[int(one) not in known for one in ids]]
            if not len(gone):
                break
            selection = selection.without(snapshot.gallery.rows_of(gone), "removed_since")
        if (stage := request.profile.stage(Verify)) is not None:
            found = self._verified(request, found, known, stage)
            watch.lap("verify")
        inside = self._inside(request, found, snapshot)
        candidates = _candidates(request, query, snapshot.gallery, found, known, said, inside)
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

    def _search(
        self, request: MatchRequest, query: Query, snapshot: Snapshot, ensemble: Ensemble, selection: Selection
    ) -> Answers:
        """The best annotations, or the best annotation of each individual: searched deeper until there are enough."""
        columns = snapshot.gallery
        # A bridge shows the query's own view, which the scope may leave out.
        through = replace(query.scope, viewpoints=frozenset(Viewpoint)).select(columns).mask
        questions = query.questions(through)
        # The odds look at a whole shortlist: they must not depend on how many candidates are asked for.
        limit = max(request.limit, SHORTLIST)
        k = limit
        while True:
            found = listed_together(snapshot, ensemble, questions, selection.mask, k, request.profile)
            if request.group_by is GroupBy.INDIVIDUAL:
                found = folding.folded(found, columns.individual[columns.rows_of(found.annotations)])
            if len(found.annotations) >= limit or k >= selection.size:
                return _completed(request, columns, selection.mask, found.first(limit))
            k = min(k * 8, selection.size)

    def _inside(self, request: MatchRequest, found: Answers, snapshot: Snapshot) -> list[tuple[int, ...]]:
        """What is named inside each candidate, without what was removed since this generation was built."""
        named = [folded[:MOST_INSIDE] for folded in found.first(request.limit).folded]
        # Several times as many as the candidates, so they are read only where something has changed.
        if not any(named) or self.catalogue.version() == snapshot.catalogue_version:
            return named
        kept = self.catalogue.annotations(one for folded in named for one in folded)
        return [tuple(one for one in folded if one in kept) for folded in named]

    def _verified(
        self, request: MatchRequest, found: Answers, known: Mapping[int, Annotation], stage: Verify
    ) -> Answers:
        shown = [known[number] for number in found.first(stage.shortlist).annotations.tolist()]
        asked = [self.catalogue.annotation(number) for number in request.annotation_ids]
        return verified(found, self.vet(request.photographs, asked, shown), stage)

    def _odds(
        self,
        request: MatchRequest,
        query: Query,
        snapshot: Snapshot,
        ensemble: Ensemble,
        selection: Selection,
        found: Answers,
    ) -> Odds:
        if len(query.asked) > 1:
            return Odds(silent=OF_SEVERAL)
        purpose = purpose_of(ensemble.manifest_sha256, request.profile)
        known = (calibration for source in self.calibrations if (calibration := source.newest(purpose)))
        rows, scores = snapshot.gallery.rows_of(found.annotations), ranking.score_of(found.likeness)
        kind = Listed(request.group_by)
        side, searched = query.asked[0].viewpoint, selection.mask
        said = odds(next(known, None), kind, side, snapshot.gallery, searched, rows, scores)
        return replace(said, silent=UNSTORED) if said.silent and request.profile.stage(Verify) else said


def _completed(request: MatchRequest, gallery: Gallery, searched: Mask, found: Answers) -> Answers:
    """A list with all that was searched inside its candidates: counts do not depend on how far we looked."""
    at = gallery.rows_of(found.annotations)
    animals, folds = gallery.individual[at], gallery.fold[at]
    alike = np.isin(gallery.individual, animals[animals != NOBODY]) | np.isin(gallery.fold, folds[folds != NOBODY])
    near = np.flatnonzero(searched & alike)
    keys = moments(gallery, near, request.profile)
    if request.group_by is GroupBy.INDIVIDUAL:
        keys = folding.joined(keys, gallery.individual[near])
    return folding.completed(found, gallery.annotation[near], keys)


def _candidates(
    request: MatchRequest,
    query: Query,
    gallery: Gallery,
    found: Answers,
    known: Mapping[int, Annotation],
    said: Odds,
    inside: Sequence[tuple[int, ...]],
) -> tuple[Candidate, ...]:
    shown = found.first(request.limit)
    ids = shown.annotations.tolist()
    same = said.same or (None,) * len(ids)
    ranked = zip(ids, ranking.score_of(shown.likeness), same, strict=False)
    occasion = request.profile.stage(Occasion)
    rewarded = query.of_their_day(gallery, shown.annotations) & bool(occasion and occasion.gain)
    return tuple(
        Candidate(
            rank=place,
            score=float(score),
            probability_same=probability,
            annotation=known[number],
            days_between=query.days_from(known[number].captured.day),
            same_photograph=known[number].image.sha256 in query.digests,
            same_occasion=bool(rewarded[place - 1]),
            bridge=known.get(int(shown.bridges[place - 1])),
            folded=len(shown.folded[place - 1]),
            inside=inside[place - 1],
        )
        for place, (number, score, probability) in enumerate(ranked, start=1)
    )


def _shown(request: MatchRequest, found: Answers) -> list[int]:
    """The candidates and the bridges of those that are shown."""
    bridges = found.first(request.limit).bridges
    return [*found.annotations.tolist(), *bridges[bridges >= 0].tolist()]


def _receipt(
    request: MatchRequest,
    query: Query,
    snapshot: Snapshot,
    ensemble: Ensemble,
    selection: Selection,
    milliseconds: Mapping[str, float],
) -> Receipt:
    return Receipt(
        queries=tuple(QueryFacts(one.sha256, one.annotation_id, one.viewpoint, one.captured) for one in query.asked),
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
        notes=query.idle(request.profile),
        milliseconds=milliseconds,
    )
