"""Ingest: the rows of an import become catalogue rows, vectors and an index generation, a step at a time.

Any step can be repeated after any interruption: a row either waits or is in its final state, never in between. An
import stays running until all its rows are final, or until its own input makes going on useless.

A row whose step died with it, or raised what nobody foresaw, is tried again alone, after the rows that were tried less
often; after three attempts of its own it is set apart. Attempts are counted before they are made: a killed process
counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field

import structlog

from app.domain.catalogue import Sighting
from app.domain.ensemble import require_spaces
from app.domain.errors import BadArchive, NotAllowed, ResightError, SpaceMismatch, Unavailable
from app.domain.exhaustion import what_ran_out
from app.domain.ingestion import ImportReport, ImportState, RequestKey, Waiting
from app.domain.jobs import JSON, Step
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Sheet, Sheets, VectorIndex
from app.domain.ports_import import ImportRows
from app.services.chunks import Chunk, Chunks, Stopping
from app.services.leftovers import settled
from app.telemetry import IMPORT_ROWS

STEP = 500
ALONE = 3
# The first attempt is made among neighbours, any of which may be at fault.
ATTEMPTS = 1 + ALONE
_KILLED = f"the process ended {ALONE} times while it was at work on this photograph alone"

Progress = Callable[[int, int], None]
"""Called with (rows that are through, all rows)."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """The use case; one step is made at a time for one import."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    sheets: Sheets
    rows: ImportRows
    _opened: dict[int, Sheet] = field(default_factory=dict)  # the sheet at hand: a large archive is not listed anew

    def run(self, import_id: int, progress: Progress | None = None) -> ImportReport:
        """Make steps until the import has ended; returns where it stands then. Raises what ``step`` raises."""
        while not self.step(import_id, progress).finished:
            pass
        return self.catalogue.import_report(import_id)

    def step(self, import_id: int, progress: Progress | None = None, *, stopping: Stopping | None = None) -> Step:
        """Work off the next rows; the step that finds none left refreshes the index and ends the import.

        An import that has ended is left as it is. While storage, catalogue, index or ensemble are away (Unavailable)
        or after ``stopping``, the import stays running and a later step goes on; so it does while the machine has run
        out of memory, threads or open files, and while the catalogue serves another ensemble. Any other error that is
        not one of a photograph, such as an archive that is gone, marks the import as failed, and is raised again.
        """
        report = self.catalogue.import_report(import_id)
        if report.state is not ImportState.RUNNING:
            return _told(settled(self.catalogue, self.index, report))
        try:
            waiting = self.rows.waiting(import_id, STEP)
            if not waiting:
                return self._finish(import_id)
            self.blobs.room()  # before photographs are decoded that could not be stored
            require_spaces(self.catalogue.fingerprints(), _fingerprints(self.embedder))
            (progress or _quiet)(report.done, report.total)
            self._work(report, waiting, progress or _quiet, stopping or _never)
        except Exception as error:
            if away := _away(error):
                _log().warning("import interrupted", import_id=import_id, code=away.code, reason=str(away))
                raise away from error
            self._fail(import_id, error)
            raise
        return _told(settled(self.catalogue, self.index, self.catalogue.import_report(import_id)))

    def cancel(self, import_id: int) -> None:
        """End an import where it stands: what it has stored stays and is indexed, rows that still wait say why."""
        self.catalogue.finish_import(import_id, ImportState.CANCELLED, "cancelled on request")
        self._opened.pop(import_id, None)
        settled(self.catalogue, self.index, self.catalogue.import_report(import_id))

    def report(self, import_id: int) -> ImportReport:
        """Where an import stands; raises UnknownImport."""
        return self.catalogue.import_report(import_id)

    def requested(self, request: RequestKey) -> int | None:
        """The import that this request began, if any; raises KeyReused."""
        return self.rows.requested(request)

    def unfinished(self) -> list[int]:
        """Imports that a stopped service left running, oldest first."""
        return self.catalogue.running_imports()

    def _finish(self, import_id: int) -> Step:
        self.index.refresh(self.catalogue)
        self.catalogue.finish_import(import_id, ImportState.DONE)
        self._opened.pop(import_id, None)
        report = self.catalogue.import_report(import_id)
        for state, count in report.rows.items():
            IMPORT_ROWS.labels(state).inc(count)
        return _told(report)

    def _fail(self, import_id: int, error: Exception) -> None:
        self._opened.pop(import_id, None)
        self.catalogue.finish_import(import_id, ImportState.FAILED, _logged(import_id, error))

    def _sheet(self, report: ImportReport) -> Sheet:
        if report.import_id not in self._opened:
            self._opened.clear()
            self._opened[report.import_id] = self.sheets.open(report.source)
        return self._opened[report.import_id]

    def _work(self, report: ImportReport, waiting: Sequence[Waiting], progress: Progress, stopping: Stopping) -> None:
        sheet = self._sheet(report)
        fresh = [row.sighting for row in waiting if not row.attempts]
        if fresh:
            self._try(report, sheet, fresh, progress, stopping)
            return
        for done, row in enumerate(waiting, report.done + 1):
            if stopping():
                return
            self._alone(report, sheet, row, stopping)
            progress(done, report.total)

    def _alone(self, report: ImportReport, sheet: Sheet, row: Waiting, stopping: Stopping) -> None:
        """One attempt more at a row that an earlier one did not bring to its end."""
        reason: str | None = _KILLED
        if row.attempts < ATTEMPTS:
            fault = self._try(report, sheet, [row.sighting], _quiet, stopping)
            reason = fault and f"work on it alone failed {ALONE} times: {fault}"
        if reason and row.attempts + 1 >= ATTEMPTS:
            _log().warning("row set apart", import_id=report.import_id, row=row.sighting.line, reason=reason)
            self.rows.quarantine(report.import_id, [(row.sighting.row, reason)])

    def _try(
        self, report: ImportReport, sheet: Sheet, said: Sequence[Sighting], progress: Progress, stopping: Stopping
    ) -> str | None:
        """Store these rows, each counted as an attempt; says what went wrong that nobody foresaw."""
        begun: list[int] = []

        def begin(batch: Sequence[Sighting]) -> None:
            self.rows.attempt(report.import_id, [one.row for one in batch])
            begun.extend(one.row for one in batch)

        try:
            made = Chunks(self.catalogue, self.images, self.embedder, begin)(sheet, said, stopping)
            self._store_all(report, made, progress)
        except Exception as error:
            if _away(error) or isinstance(error, BadArchive | NotAllowed):
                # No photograph's fault. Where even this cannot be written, the attempt stays counted.
                with suppress(Unavailable):
                    self.rows.give_back(report.import_id, begun)
                raise
            # Whatever a photograph makes a library raise stops no import.
            _log().error("chunk broke", import_id=report.import_id, rows=len(begun), exc_info=error)
            return str(error) if isinstance(error, ResightError) else f"{type(error).__name__}; see the log"
        if stopping():
            self.rows.give_back(report.import_id, begun)
        return None

    def _store_all(self, report: ImportReport, made: Generator[Chunk, None, None], progress: Progress) -> None:
        """Storing runs one chunk behind, so that the ensemble never waits for it."""
        done, coming = report.done, 0
        with ThreadPoolExecutor(1, "ingest-store") as behind, closing(made):
            stored = behind.submit(_quiet, 0, 0)
            for chunk in made:
                stored.result()
                if coming:
                    done += coming
                    progress(done, report.total)
                stored = behind.submit(self._store, report.import_id, chunk)
                coming = len(chunk)
            stored.result()
            if coming:
                progress(done + coming, report.total)

    def _store(self, import_id: int, chunk: Chunk) -> None:
        """Originals first: no row may speak of a photograph that is not on disk."""
        self.blobs.put_all(chunk.originals)
        self.catalogue.add(import_id, chunk.rows, chunk.refused, _fingerprints(self.embedder))


def _logged(import_id: int, error: Exception) -> str:
    """Why an import has failed; it is logged before the catalogue is told, which may be what is broken."""
    if isinstance(error, ResightError):
        _log().error("import failed", import_id=import_id, code=error.code, reason=str(error))
        return str(error)
    _log().error("import broke", import_id=import_id, exc_info=error)
    return "unexpected error; see the log"


def _fingerprints(embedder: Embedder) -> dict[str, str]:
    return {space.name: space.fingerprint for space in embedder.active_spaces()}


def _away(error: Exception) -> Unavailable | None:
    """What an error is when nothing that was brought is at fault, and time or the operator will mend it."""
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, SpaceMismatch):
        return Unavailable(str(error))
    if out := what_ran_out(error):
        return Unavailable(f"the machine has run out of {out}; the import goes on when there is some again")
    return None


def _told(report: ImportReport) -> Step:
    """Where an import stands, as a step of its job."""
    ended = report.state is not ImportState.RUNNING
    rows: dict[str, JSON] = {str(state): count for state, count in report.rows.items()}
    result: dict[str, JSON] = {"import_id": report.import_id, "state": str(report.state), "rows": rows}
    return Step(report.done, report.total, ended, result if ended else None)


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    """Nobody asks to stop."""
    return False


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
