"""Ingest: a sheet with its photographs becomes catalogue rows, vectors and an index generation.

``plan`` reads everything and writes nothing; ``begin`` records the rows; ``run`` works them off in chunks and can be
called again after any interruption: a row is either waiting or in its final state, never in between. An import stays
running until all its rows are final, or until its own input, or a bug, makes going on useless.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import structlog

from app.domain.catalogue import Sighting
from app.domain.errors import BadImage, BadRows, Fault, ResightError, SpaceMismatch, TooLarge, Unavailable
from app.domain.ingestion import ImportReport, ImportState
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Sheet, Sheets, VectorIndex
from app.services.chunks import Chunk, Chunks, Stopping
from app.telemetry import IMPORT_ROWS

_SHOWN_FAULTS = 1000

Progress = Callable[[int, int], None]
"""Called with (rows that are through, all rows)."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A sheet that was checked whole and found without fault."""

    source: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Ingest:
    """The use case; ``plan`` may run in many threads, ``run`` once at a time for one import."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    sheets: Sheets

    def plan(self, source: str, *, decode: bool = False, progress: Progress | None = None) -> Plan:
        """Check every row of a sheet and the header of every photograph (the whole of it with ``decode``).

        ``progress`` counts photographs. Raises BadRows with every fault, BadArchive or NotAllowed; nothing is written.
        """
        sheet = self.sheets.open(source)
        sightings = sheet.sightings()
        faults = [Fault(row, column, reason) for row, column, reason in self.catalogue.conflicts(sightings)]
        for done, sighting in enumerate(sightings, 1):
            try:
                self._check(sheet, sighting, decode=decode)
            except (BadImage, TooLarge) as error:
                faults.append(Fault(sighting.row, "path", f"{sighting.path}: {error}"))
            (progress or _quiet)(done, len(sightings))
        if faults:
            faults.sort(key=lambda fault: fault.row)
            raise BadRows(faults[:_SHOWN_FAULTS], len(faults))
        return Plan(source, tuple(sightings))

    def begin(self, plan: Plan) -> int:
        """Record a plan as an import whose rows all wait; returns its id. The ensemble must be there."""
        spaces = self.embedder.active_spaces()
        held, wanted = dict(self.catalogue.fingerprints()), {space.name: space.fingerprint for space in spaces}
        if held not in ({}, wanted) and next(self.catalogue.image_shas(), None):
            raise SpaceMismatch("the catalogue holds vectors of another ensemble; run `resight reindex` first")
        self.catalogue.use_spaces(spaces)
        return self.catalogue.begin_import(plan.source, plan.sightings)

    def run(
        self, import_id: int, progress: Progress | None = None, *, stopping: Stopping | None = None
    ) -> ImportReport:
        """Work off the waiting rows of an import and refresh the index; returns where it stands in the end.

        An import that has ended is left as it is. One photograph that cannot be used is refused with its reason and
        stops nothing. While storage, catalogue, index or ensemble are away (Unavailable) or after ``stopping``, the
        import stays running and a later run goes on. Any other error marks it as failed, and is raised again.
        """
        report = self.catalogue.import_report(import_id)
        if report.state is not ImportState.RUNNING:
            return report
        try:
            if not self._work(report, progress or _quiet, stopping or _never):
                return self.catalogue.import_report(import_id)
            self.index.refresh(self.catalogue)
            self.catalogue.finish_import(import_id, ImportState.DONE)
        except Unavailable as error:
            _log().warning("import interrupted", import_id=import_id, code=error.code, reason=str(error))
            raise
        except Exception as error:
            self._fail(import_id, error)
            raise
        report = self.catalogue.import_report(import_id)
        for state, count in report.rows.items():
            IMPORT_ROWS.labels(state).inc(count)
        return report

    def report(self, import_id: int) -> ImportReport:
        """Where an import stands; raises UnknownImport."""
        return self.catalogue.import_report(import_id)

    def unfinished(self) -> list[int]:
        """Imports that a stopped service left running, oldest first."""
        return self.catalogue.running_imports()

    def _check(self, sheet: Sheet, sighting: Sighting, *, decode: bool) -> None:
        content = sheet.read(sighting.path)
        if decode:
            self.images.decode(content)
        _, width, height = self.images.probe(content)
        box = sighting.box
        if box and (box.x + box.width > width or box.y + box.height > height):
            raise BadImage(f"the box lies outside the photograph of {width} x {height} pixels")

    def _fail(self, import_id: int, error: Exception) -> None:
        """Log why before the catalogue is told: it may be what is broken."""
        if isinstance(error, ResightError):
            reason = str(error)
            _log().error("import failed", import_id=import_id, code=error.code, reason=reason)
        else:
            reason = "unexpected error; see the log"
            _log().error("import broke", import_id=import_id, exc_info=error)
        self.catalogue.finish_import(import_id, ImportState.FAILED, reason)

    def _work(self, report: ImportReport, progress: Progress, stopping: Stopping) -> bool:
        """Work off waiting rows; says whether none is left."""
        sheet = self.sheets.open(report.source)
        waiting = self.catalogue.waiting(report.import_id)
        done = report.total - len(waiting)
        progress(done, report.total)
        chunks = Chunks(self.catalogue, self.images, self.embedder)
        # Storing runs one chunk behind, so that the ensemble never waits for it.
        with ThreadPoolExecutor(1, "ingest-store") as behind, closing(chunks(sheet, waiting, stopping)) as made:
            stored = behind.submit(_quiet, 0, 0)
            for chunk in made:
                stored.result()
                stored = behind.submit(self._store, report.import_id, chunk)
                done += len(chunk)
                progress(done, report.total)
            stored.result()
        return done == report.total

    def _store(self, import_id: int, chunk: Chunk) -> None:
        """Originals first: no row may speak of a photograph that is not on disk."""
        self.blobs.put_all(chunk.originals)
        self.catalogue.add(import_id, chunk.rows, chunk.refused)


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    """Nobody asks to stop."""
    return False


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
