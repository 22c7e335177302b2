"""Control: the jobs of imports, and how a job is ended."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import UnknownImport, UnknownJob
from app.domain.ingestion import ImportReport
from app.domain.jobs import Job, JobKind, JobState, job_id_of
from app.domain.ports import Uploads
from app.domain.ports_jobs import Jobs
from app.services.ingest import Ingest
from app.services.works import import_of


@dataclass(frozen=True, slots=True)
class Control:
    """The use case over the Jobs port: what ends a job of an import ends the import too."""

    jobs: Jobs
    ingest: Ingest
    uploads: Uploads

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
        """End a job after its present step; raises UnknownJob, Conflict, Unavailable."""
        at_work = self.jobs.job(job_id).state is JobState.RUNNING
        job = self.jobs.cancel(job_id)
        if job.kind is JobKind.IMPORT and job.state is JobState.CANCELLED:
            self._end(import_of(job.arguments), at_work=at_work)
        return job

    def recover(self) -> None:
        """After a start: every import that has not ended gets its job, or ends as its job did."""
        for import_id in self.ingest.unfinished():
            if self.begin_import(import_id).state in {JobState.CANCELLED, JobState.FAILED}:
                self._end(import_id, at_work=False)

    def _end(self, import_id: int, *, at_work: bool) -> None:
        try:
            source = self.ingest.report(import_id).source
        except UnknownImport:
            return  # the catalogue is not the one any more for which the job was made
        self.ingest.cancel(import_id)
        if not at_work:
            # A step under way still reads from it, and forgets the upload itself.
            self.uploads.discard(source)
