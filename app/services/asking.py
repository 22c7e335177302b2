"""Asking: photographs and annotations of one animal to vectors by viewpoint, and to the scope that they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from app.domain.catalogue import Annotation, Viewpoint
from app.domain.ensemble import Ensemble, Float32
from app.domain.errors import InvalidInput, LimitReached, NotFound
from app.domain.occasions import day_of, idle
from app.domain.partition import UNDATED, Gallery, Int64, Mask, Scope
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Snapshot
from app.domain.profiles import Profile
from app.domain.question import MatchRequest
from app.domain.rerank import mean_direction
from app.services.rank import Questions
from app.telemetry import Stopwatch


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One photograph asked about: unit vectors (1, d) by space; ``annotation_id`` is None for one that was sent."""

    sha256: str
    annotation_id: int | None
    viewpoint: Viewpoint
    captured: date | None
    vectors: Mapping[str, Float32]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question ready to be searched: what is asked about, and the scope without their own photographs."""

    asked: tuple[Asked, ...]
    scope: Scope

    @property
    def viewpoints(self) -> tuple[Viewpoint, ...]:
        """The viewpoints asked about, each once, in the order of the photographs."""
        return tuple(dict.fromkeys(one.viewpoint for one in self.asked))

    @property
    def digests(self) -> frozenset[str]:
        """The SHA-256 of every photograph asked about."""
        return frozenset(one.sha256 for one in self.asked)

    def days_from(self, day: date | None) -> int | None:
        """Days between a day and the nearest of the photographs; None when nothing is known."""
        known = [abs((one.captured - day).days) for one in self.asked if one.captured and day]
        return min(known, default=None)

    def questions(self, through: Mask) -> list[Questions]:
        """One query for each viewpoint: its photographs fused, space by space."""
        return [
            Questions(viewpoint, self._fused(viewpoint), through=through, day=np.array([self.day(viewpoint)]))
            for viewpoint in self.viewpoints
        ]

    def day(self, viewpoint: Viewpoint) -> int:
        """The one day (an ordinal) of its photographs, UNDATED where it is not known or there are several."""
        days = (one.captured for one in self.asked if one.viewpoint is viewpoint)
        return day_of(day.toordinal() if day else UNDATED for day in days)

    def idle(self, profile: Profile) -> tuple[str, ...]:
        """Why stages of a profile did nothing for want of a day, in sentences."""
        several = len(self.asked) > 1
        told = (idle(profile, viewpoint, self.day(viewpoint), several=several) for viewpoint in self.viewpoints)
        return tuple(filter(None, told))

    def of_their_day(self, gallery: Gallery, annotations: Int64) -> Mask:
        """Which annotations (n) are of a survey day that is asked about."""
        days = [day for viewpoint in self.viewpoints if (day := self.day(viewpoint)) != UNDATED]
        return np.isin(gallery.day[gallery.rows_of(annotations)], days)

    def _fused(self, viewpoint: Viewpoint) -> dict[str, Float32]:
        same = [one.vectors for one in self.asked if one.viewpoint is viewpoint]
        return {space: mean_direction(np.concatenate([vectors[space] for vectors in same])) for space in same[0]}


@dataclass(frozen=True, slots=True)
class Asking:
    """Reads what is asked about, one photograph after the other; ports are safe to use from many threads."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder

    def __call__(self, request: MatchRequest, snapshot: Snapshot, watch: Stopwatch) -> Query:
        """The question with its vectors; an error tells which of several photographs cannot be used.

        Raises InvalidInput and its kin, UnknownAnnotation, TooLarge, and Unavailable.
        """
        asked, query = [], Query((), request.scope)
        for place in range(request.size):
            try:
                one, query = self._one(request, place, query, snapshot, watch)
            except (InvalidInput, NotFound, LimitReached) as error:
                if request.size == 1:
                    raise
                raise type(error)(f"{request.title_of(place)}: {error}") from error
            asked.append(one)
        return replace(query, asked=tuple(asked))

    def _one(
        self, request: MatchRequest, place: int, query: Query, snapshot: Snapshot, watch: Stopwatch
    ) -> tuple[Asked, Query]:
        sent = len(request.photographs)
        if place < sent:
            return self._photograph(request, place, watch), query
        annotation = self.catalogue.annotation(request.annotation_ids[place - sent])
        row = int(snapshot.gallery.rows_of(np.array([annotation.annotation_id]))[0])
        asked = self._catalogued(request, place, annotation, snapshot, watch, stored=row >= 0)
        return asked, replace(query, scope=_without_own(request, query.scope, annotation, snapshot, row))

    def _photograph(self, request: MatchRequest, place: int, watch: Stopwatch) -> Asked:
        content, viewpoint = request.photographs[place], request.viewpoint_of(place) or Viewpoint.UNKNOWN
        photograph = self.images.decode(content)
        watch.lap("decode")
        spaces = [space for space in self._ensemble.spaces if viewpoint in space.viewpoints]
        vectors = self.embedder.embed([(photograph, None)], spaces)
        watch.lap("embed")
        captured = request.captured or (photograph.taken.date() if photograph.taken else None)
        return Asked(hashlib.sha256(content).hexdigest(), None, viewpoint, captured, vectors)

    def _catalogued(
        self,
        request: MatchRequest,
        place: int,
        annotation: Annotation,
        snapshot: Snapshot,
        watch: Stopwatch,
        *,
        stored: bool,
    ) -> Asked:
        viewpoint = request.viewpoint_of(place) or annotation.viewpoint
        watch.lap("decode")
        vectors = self._vectors(annotation, viewpoint, snapshot, stored=stored)
        watch.lap("embed")
        captured = request.captured or annotation.captured.day
        return Asked(annotation.image.sha256, annotation.annotation_id, viewpoint, captured, vectors)

    def _vectors(
        self, annotation: Annotation, viewpoint: Viewpoint, snapshot: Snapshot, *, stored: bool
    ) -> dict[str, Float32]:
        """Stored vectors where this generation has them, otherwise computed from the original."""
        spaces = [space for space in self._ensemble.spaces if viewpoint in space.viewpoints]
        ids = np.array([annotation.annotation_id])
        vectors = {space.name: snapshot.vectors(space.name, ids) for space in spaces} if stored else {}
        lacking = [space for space in spaces if not vectors.get(space.name, np.zeros(1)).any()]
        if lacking:
            photograph = self.images.decode(self.blobs.get(annotation.image.sha256), whole=annotation.box is not None)
            vectors |= self.embedder.embed([(photograph, annotation.box)], lacking)
        return vectors

    @property
    def _ensemble(self) -> Ensemble:
        return self.embedder.ensemble


def _without_own(request: MatchRequest, scope: Scope, annotation: Annotation, snapshot: Snapshot, row: int) -> Scope:
    if row < 0:
        return scope
    scope = scope.excluding(annotation=annotation.annotation_id, image=int(snapshot.gallery.image[row]))
    encounter = int(snapshot.gallery.encounter[row])
    if request.without_own_encounter and encounter >= 0:
        scope = replace(scope, without_encounters=scope.without_encounters | {encounter})
    return scope
