"""From the domain's nouns to the shapes of answers."""

from __future__ import annotations

from typing import Any

from app.domain.catalogue import Annotation, CaptureDate, DatePrecision, Individual, Viewpoint
from app.domain.duplicates import Flagged
from app.domain.ensemble import Ensemble
from app.domain.ingestion import ImportReport, Plan, RowState, Trial
from app.domain.jobs import Job
from app.domain.profiles import Profile
from app.domain.question import MatchRequest
from app.services.match import Candidate, MatchResult, Receipt
from app.web import schemas
from app.web.shapes_calibration import calibration_note

_FORMATS = {
    DatePrecision.DAY: "%Y-%m-%d",
    DatePrecision.MONTH: "%Y-%m",
    DatePrecision.YEAR: "%Y",
}


def date_text(captured: CaptureDate) -> str | None:
    """A date as exactly as it is known, None when it is not."""
    if captured.taken is None:
        return None
    form = _FORMATS.get(captured.precision)
    return captured.taken.strftime(form) if form else captured.taken.isoformat(timespec="seconds")


def match_answer(request: MatchRequest, result: MatchResult) -> schemas.MatchAnswer:
    """The answer to one question; the request gives the names behind the keys of the scope."""
    return schemas.MatchAnswer(
        candidates=[_candidate(candidate) for candidate in result.candidates],
        probability_new=result.odds.new,
        receipt=_receipt(request, result),
    )


def annotation_answer(annotation: Annotation) -> schemas.AnnotationAnswer:
    """One annotation."""
    image, box = annotation.image, annotation.box
    return schemas.AnnotationAnswer(
        **_sighted(annotation),
        image_sha256=image.sha256,
        image_size=schemas.Size(width=image.width, height=image.height),
        box=schemas.BoxAnswer(x=box.x, y=box.y, width=box.width, height=box.height) if box else None,
    )


def individual_answer(individual: Individual) -> schemas.IndividualAnswer:
    """One individual of a list."""
    return schemas.IndividualAnswer(**_individual(individual))


def individual_detail(individual: Individual, annotations: list[Annotation]) -> schemas.IndividualDetailAnswer:
    """One individual with its annotations."""
    return schemas.IndividualDetailAnswer(
        **_individual(individual), seen=[annotation_answer(annotation) for annotation in annotations]
    )


def plan_answer(plan: Plan, trial: Trial) -> schemas.PlanAnswer:
    """What a checked sheet would bring, row by row."""
    return schemas.PlanAnswer(
        format=plan.layout.format,
        ignored_columns=list(plan.layout.ignored),
        rows=plan.rows,
        individuals=plan.individuals,
        encounters=plan.encounters,
        viewpoints={Viewpoint(name): count for name, count in plan.viewpoints.items()},
        new=trial.new,
        unchanged=trial.unchanged,
        refused_rows=trial.refused_rows,
        refused=[schemas.RefusedRow(row=row, source_id=name, reason=why) for row, name, why in trial.refused],
    )


def import_answer(report: ImportReport, job: Job | None, flags: Flagged | None) -> schemas.ImportAnswer:
    """Where an import and its job stand; a path of this machine is not shown."""
    kind = report.source.partition(":")[0]
    return schemas.ImportAnswer(
        import_id=report.import_id,
        job_id=job.job_id if job else None,
        source=report.source if kind in {"folder", "s3"} else kind,
        state=report.state,
        started=report.started,
        finished=report.finished,
        progress=report.done / report.total if report.total else 1.0,
        total=report.total,
        rows={state: report.rows.get(state, 0) for state in RowState},
        refused=[schemas.RefusedRow(row=row, source_id=name, reason=why) for row, name, why in report.refused],
        quarantined=[schemas.RefusedRow(row=row, source_id=name, reason=why) for row, name, why in report.quarantined],
        near_duplicates=None if flags is None else flags.near_duplicates,
        bursts=None if flags is None else flags.bursts,
        reason=report.reason,
    )


def ensemble_answer(ensemble: Ensemble) -> schemas.EnsembleAnswer:
    """The ensemble in force."""
    return schemas.EnsembleAnswer(
        name=ensemble.name,
        version=ensemble.version,
        manifest_sha256=ensemble.manifest_sha256,
        members={member.name: member.sha256 for member in ensemble.members},
    )


def profile_answer(profile: Profile) -> schemas.ProfileAnswer:
    """How candidates were ordered."""
    return schemas.ProfileAnswer(name=profile.name, stages=profile.settings())


def _sighted(annotation: Annotation) -> dict[str, Any]:
    return {
        "annotation_id": annotation.annotation_id,
        "source_id": annotation.source_id,
        "individual": annotation.individual,
        "encounter": annotation.encounter,
        "viewpoint": annotation.viewpoint,
        "date": date_text(annotation.captured),
        "date_precision": annotation.captured.precision,
        "thumbnail": f"/annotations/{annotation.annotation_id}/thumbnail",
        "image": f"/images/{annotation.image.sha256}",
    }


def _candidate(candidate: Candidate) -> schemas.CandidateAnswer:
    return schemas.CandidateAnswer(
        **_sighted(candidate.annotation),
        rank=candidate.rank,
        score=candidate.score,
        probability_same=candidate.probability_same,
        days_between=candidate.days_between,
        same_photograph=candidate.same_photograph,
        same_occasion=candidate.same_occasion,
        bridge=schemas.Sighted(**_sighted(candidate.bridge)) if candidate.bridge else None,
        folded=schemas.FoldedAnswer(count=candidate.folded, annotation_ids=list(candidate.inside)),
    )


def _individual(individual: Individual) -> dict[str, Any]:
    return {
        "name": individual.name,
        "annotations": individual.annotations,
        "encounters": individual.encounters,
        "viewpoints": list(individual.viewpoints),
        "first_seen": individual.first_seen,
        "last_seen": individual.last_seen,
    }


def _receipt(request: MatchRequest, result: MatchResult) -> schemas.ReceiptAnswer:
    receipt = result.receipt
    return schemas.ReceiptAnswer(
        queries=[
            schemas.QueryAnswer(
                sha256=one.sha256, annotation_id=one.annotation_id, viewpoint=one.viewpoint, day=one.captured
            )
            for one in receipt.queries
        ],
        catalogue_version=receipt.catalogue_version,
        index_generation=receipt.index_generation,
        ensemble=schemas.EnsembleAnswer(
            name=receipt.ensemble,
            version=receipt.ensemble_version,
            manifest_sha256=receipt.manifest_sha256,
            members=dict(receipt.members),
        ),
        scope=_scope(request, receipt),
        group_by=receipt.group_by,
        profile=profile_answer(receipt.profile),
        calibration=calibration_note(result.odds),
        no_probabilities=result.odds.silent or None,
        gallery=receipt.gallery,
        searched=receipt.searched,
        removed=dict(receipt.removed),
        notes=list(receipt.notes),
        milliseconds=dict(receipt.milliseconds),
    )


def _scope(request: MatchRequest, receipt: Receipt) -> schemas.ScopeAnswer:
    scope = receipt.scope
    return schemas.ScopeAnswer(
        viewpoints=sorted(scope.viewpoints),
        years=None if scope.years is None else sorted(scope.years),
        since=scope.since,
        until=scope.until,
        excluded_encounters=sorted(request.without_encounters),
        excluded_individuals=sorted(request.without_individuals),
        excluded_annotations=sorted(scope.without_annotations),
        excluded_own_encounter=request.without_own_encounter,
    )
