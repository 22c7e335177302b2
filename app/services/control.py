"""Control: the jobs of imports, and how a job is ended."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from app.domain.errors import Conflict, UnknownImport, UnknownJob
from app.domain.ingestion import ImportReport, ImportState
from app.domain.jobs import Job, JobKind, JobState, job_id_of
from app.domain.ports import Uploads
from app.domain.ports_jobs import Jobs
from app.services.evaluate import Evaluate
from app.services.ingest import Ingest
from app.services.leftovers import Leftovers
from app.services.works import import_of


@dataclass(frozen=True, slots=True)
class Control:
    """The use case over the Jobs port: what ends a job of an import ends the import too."""

    jobs: Jobs
    ingest: Ingest
    uploads: Uploads
    leftovers: Leftovers

    def begin_import(self, import_id: int) -> Job:
        """The job of an import that was recorded; asking again gives the same one.

        Raises UnknownImport, Unavailable.
        """
        key = self.ingest.report(import_id).key
        return self.jobs.enqueue(JobKind.IMPORT, {"import_id": import_id}, key=key)

    def job_of(self, report: ImportReport) -> Job | None:
        """The job of an import; None where a command worked it off without one. Raises Unavailable."""
        try:
            return self.jobs.job(job_id_of(JobKind.IMPORT, report.key))
        except UnknownJob:
            return None

    def cancel(self, job_id: str) -> Job:
        """End a job after its present step; raises UnknownJob, Conflict, Unavailable.

        What is done cannot be cancelled, though its job may have a moment to go. A job of an import may be cancelled
        again: that ends the import where the catalogue had not been told.
        """
        job = self.jobs.job(job_id)
        if job.kind is JobKind.IMPORT and job.state is JobState.CANCELLED:
            at_work = self.jobs.at_work()
        else:
            at_work = job.state is JobState.RUNNING
            if job.kind is JobKind.IMPORT and self._done(import_of(job.arguments)):
                raise Conflict("this import is done")
            job = self.jobs.cancel(job_id)
        if job.kind is JobKind.IMPORT and job.state is JobState.CANCELLED:
            self._end(import_of(job.arguments), at_work=at_work)
        return job

    def take_up(self, evaluate: Evaluate) -> None:
        """After a start: every import and evaluation that has not ended gets its job, or ends as its job did.

        Raises Unavailable.
        """
        self._imports(idle=True)
        for standing in reversed(evaluate.standings()):
            if standing.job_id is None and standing.done < standing.total and not standing.fault:
                run_id = standing.evaluation_id
                job = self.jobs.enqueue(JobKind.EVALUATE, {"evaluation_id": run_id}, key=run_id)
                evaluate.accept(run_id, job.job_id)

    def recover(self) -> None:
        """Now and then: what fell between a job and its import is put right; raises Unavailable.

        An import without a job is left to the command that works it off, and gets a job when nobody is at work.
        """
        self._imports(idle=not self.jobs.at_work())

    def _imports(self, *, idle: bool) -> None:
        self.leftovers()
        for import_id in self.ingest.unfinished():
            job = self.job_of(self.ingest.report(import_id))
            if job is None and idle:
                job = self.begin_import(import_id)
            if job and job.state in {JobState.CANCELLED, JobState.FAILED}:
                self._end(import_id, at_work=self.jobs.at_work())

    def _done(self, import_id: int) -> bool:
        with suppress(UnknownImport):
            return self.ingest.report(import_id).state is ImportState.DONE
        return False  # the catalogue is not the one any more for which the job was made

    def _end(self, import_id: int, *, at_work: bool) -> None:
        try:
            source = self.ingest.report(import_id).source
        except UnknownImport:
            return
        self.ingest.cancel(import_id)
        if not at_work:
            # A step under way still reads from it, and forgets the upload itself.
            self.uploads.discard(source)
