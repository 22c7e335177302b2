"""From what editing leads to, to the shapes of answers."""

from __future__ import annotations

from app.domain.catalogue import Annotation
from app.domain.curation import Edition
from app.domain.duplicates import NearDuplicate
from app.services.curate import Outcome
from app.services.duplicates import DuplicateGroups
from app.web import schemas_curation as schemas
from app.web.shapes import annotation_answer


def detail_answer(annotation: Annotation, near: list[NearDuplicate] | None) -> schemas.AnnotationDetailAnswer:
    """One annotation with its revision and its near-duplicates."""
    known = annotation_answer(annotation)
    return schemas.AnnotationDetailAnswer(
        **{name: getattr(known, name) for name in type(known).model_fields},
        revision=annotation.revision,
        near_duplicates=None if near is None else [_near(one) for one in near],
    )


def change_answer(outcome: Outcome) -> schemas.ChangeAnswer:
    """What a change led to."""
    annotation, snapshot = outcome.annotation, outcome.snapshot
    return schemas.ChangeAnswer(
        annotation_id=annotation.annotation_id,
        revision=annotation.revision,
        removed=annotation.removed,
        state=schemas.IndexState.INDEXED if snapshot else schemas.IndexState.STORED,
        catalogue_version=snapshot.catalogue_version if snapshot else None,
        index_generation=snapshot.generation if snapshot else None,
    )


def history_answer(annotation: Annotation, past: list[Edition]) -> schemas.HistoryAnswer:
    """The past of an annotation."""
    return schemas.HistoryAnswer(
        annotation_id=annotation.annotation_id,
        source_id=annotation.source_id,
        revision=annotation.revision,
        removed=annotation.removed,
        changes=[_edition(one) for one in past],
    )


def groups_answer(groups: DuplicateGroups) -> dict[str, list[list[dict[str, object]]]]:
    """Groups of duplicates, as the command line prints them."""
    return {
        "near_duplicates": [[_member(one) for one in group] for group in groups.near],
        "bursts": [[_member(one) for one in group] for group in groups.bursts],
    }


def _near(one: NearDuplicate) -> schemas.NearDuplicateAnswer:
    return schemas.NearDuplicateAnswer(annotation_id=one.annotation_id, distance=one.distance)


def _edition(one: Edition) -> schemas.EditionAnswer:
    return schemas.EditionAnswer(
        action=one.action,
        at=one.at,
        actor=one.signature.actor,
        reason=one.signature.reason,
        before=one.before,
        after=one.after,
        catalogue_version=one.version,
    )


def _member(one: Annotation) -> dict[str, object]:
    return {
        "annotation_id": one.annotation_id,
        "source_id": one.source_id,
        "individual": one.individual,
        "encounter": one.encounter,
    }
