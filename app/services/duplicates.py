"""Duplicates: which photographs are nearly the same, and which belong to one burst. They are flagged, never dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.catalogue import Annotation
from app.domain.duplicates import (
    Flagged,
    NearDuplicate,
    burst_groups,
    duplicate_groups,
    flagged,
    near_duplicates,
)
from app.domain.errors import IndexUnavailable
from app.domain.ingestion import ImportReport, ImportState
from app.domain.ports import Catalogue, VectorIndex
from app.domain.ports_import import ImportRows


@dataclass(frozen=True, slots=True)
class DuplicateGroups:
    """Groups of annotations, smallest ids first: of nearly the same photographs, and of one moment of one animal."""

    near: tuple[tuple[Annotation, ...], ...]
    bursts: tuple[tuple[Annotation, ...], ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The use case: it answers from the generation that answers matches."""

    catalogue: Catalogue
    index: VectorIndex
    rows: ImportRows

    def near(self, annotation_id: int) -> list[NearDuplicate] | None:
        """Near-duplicates of one annotation, nearest first; None while no generation is ready to tell."""
        try:
            return near_duplicates(self.index.current().gallery, annotation_id)
        except IndexUnavailable:
            return None

    def of_import(self, report: ImportReport) -> Flagged | None:
        """How many annotations of an import are flagged; None until it is done and while no generation is ready."""
        if report.state is not ImportState.DONE:
            return None
        try:
            return flagged(self.index.current().gallery, self.rows.brought(report.import_id))
        except IndexUnavailable:
            return None

    def groups(self) -> DuplicateGroups:
        """Every group of the catalogue; raises IndexUnavailable."""
        gallery = self.index.current().gallery
        return DuplicateGroups(self._named(duplicate_groups(gallery)), self._named(burst_groups(gallery)))

    def _named(self, groups: Iterable[list[int]]) -> tuple[tuple[Annotation, ...], ...]:
        groups = list(groups)
        known = self.catalogue.annotations(one for group in groups for one in group)
        named = (tuple(known[one] for one in group if one in known) for group in groups)
        return tuple(group for group in named if len(group) > 1)
