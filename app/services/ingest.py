"""Ingest: a sheet with its photographs becomes catalogue rows, vectors and an index generation.

``plan`` reads everything and writes nothing; ``begin`` records the rows; ``run`` works them off in chunks and can be
called again after any interruption: a row is either waiting or in its final state, never in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from app.domain.catalogue import Image, Sighting
from app.domain.ensemble import Float32
from app.domain.errors import BadImage, BadRows, Fault, ResightError, TooLarge
from app.domain.ingestion import Embedded, ImportReport, ImportState
from app.domain.photograph import Photograph
from app.domain.ports import Blobs, Catalogue, Embedder, Images, Sheet, Sheets, VectorIndex
from app.telemetry import IMPORT_ROWS

# A chunk is one transaction and one round of fsync; a batch is what is decoded in memory at a time.
CHUNK = 200
BATCH = 32
_SHOWN_FAULTS = 1000

Progress = Callable[[int, int], None]
"""Called with (rows in a final state, all rows)."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A sheet that was checked whole and found without fault."""

    source: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """A row whose photograph is in memory."""

    sighting: Sighting
    content: bytes
    sha256: str
    photograph: Photograph


@dataclass(frozen=True, slots=True)
class Ingest:
    """The use case; ``plan`` may run in many threads, ``run`` once at a time for one import."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    sheets: Sheets

    def plan(self, source: str, *, decode: bool = False) -> Plan:
        """Check every row of a sheet and the header of every photograph (the whole of it with ``decode``).

        Raises BadRows with every fault, BadArchive or NotAllowed; nothing is written.
        """
        sheet = self.sheets.open(source)
        sightings = sheet.sightings()
        faults = [Fault(row, column, reason) for row, column, reason in self.catalogue.conflicts(sightings)]
        for sighting in sightings:
            try:
                self._check(sheet, sighting, decode=decode)
            except (BadImage, TooLarge) as error:
                faults.append(Fault(sighting.row, "path", f"{sighting.path}: {error}"))
        if faults:
            faults.sort(key=lambda fault: fault.row)
            raise BadRows(faults[:_SHOWN_FAULTS], len(faults))
        return Plan(source, tuple(sightings))

    def begin(self, plan: Plan) -> int:
        """Record a plan as an import whose rows all wait; returns its id. The ensemble must be there."""
        self.catalogue.use_spaces(self.embedder.active_spaces())
        return self.catalogue.begin_import(plan.source, plan.sightings)

    def run(self, import_id: int, progress: Progress | None = None) -> ImportReport:
        """Work off the waiting rows of an import and refresh the index; returns where it stands in the end.

        One photograph that cannot be used is refused with its reason and stops nothing. When storage, catalogue or
        ensemble fail, the import is marked failed with the reason, keeps its waiting rows, and the error is raised.
        """
        try:
            self._work(import_id, progress or _quiet)
            self.index.refresh(self.catalogue)
            self.catalogue.finish_import(import_id, ImportState.DONE)
        except ResightError as error:
            structlog.get_logger().error("import failed", import_id=import_id, code=error.code, reason=str(error))
            self.catalogue.finish_import(import_id, ImportState.FAILED, str(error))
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

    def _work(self, import_id: int, progress: Progress) -> None:
        report = self.catalogue.import_report(import_id)
        sheet = self.sheets.open(report.source)
        waiting = self.catalogue.waiting(import_id)
        done = report.total - len(waiting)
        progress(done, report.total)
        # Decoding runs one batch ahead and storing one chunk behind, so that the ensemble never waits for either.
        with ThreadPoolExecutor(1, "ingest-decode") as ahead, ThreadPoolExecutor(1, "ingest-store") as store:
            chunks = self._embedded(sheet, waiting, ahead, store)
            added = store.submit(_quiet, 0, 0)
            for rows, refused in chunks:
                added.result()
                added = store.submit(self.catalogue.add, import_id, rows, refused)
                done += len(rows) + len(refused)
                progress(done, report.total)
            added.result()

    def _embedded(
        self, sheet: Sheet, waiting: Sequence[Sighting], ahead: ThreadPoolExecutor, store: ThreadPoolExecutor
    ) -> Iterator[tuple[list[Embedded], list[tuple[int, str]]]]:
        """Chunks ready to become rows; their originals are on disk, or in front of them in the queue of ``store``."""
        rows: list[Embedded] = []
        refused: list[tuple[int, str]] = []
        stored: list[Future[list[str]]] = []
        upcoming = [ahead.submit(self._decode, sheet, part) for part in _slices(waiting[:BATCH], BATCH)]
        for part in [*_slices(waiting[BATCH:], BATCH), ()]:
            batch, faults = upcoming.pop().result() if upcoming else ([], [])
            upcoming.append(ahead.submit(self._decode, sheet, part))
            stored.append(store.submit(self.blobs.put_all, [decoded.content for decoded in batch]))
            rows += self._embed(batch)
            refused += faults
            if len(rows) + len(refused) >= CHUNK or not part:
                for originals in stored:
                    originals.result()
                yield rows, refused
                rows, refused, stored = [], [], []

    def _decode(self, sheet: Sheet, part: Sequence[Sighting]) -> tuple[list[_Decoded], list[tuple[int, str]]]:
        batch, refused = [], []
        for sighting in part:
            try:
                content = sheet.read(sighting.path)
                photograph = self.images.decode(content, whole=sighting.box is not None)
            except (BadImage, TooLarge) as error:
                refused.append((sighting.row, str(error)))
            else:
                batch.append(_Decoded(sighting, content, hashlib.sha256(content).hexdigest(), photograph))
        return batch, refused

    def _embed(self, batch: Sequence[_Decoded]) -> list[Embedded]:
        known = self.catalogue.known([(decoded.sighting, decoded.sha256) for decoded in batch])
        fresh = [decoded for decoded in batch if decoded.sighting.row not in known]
        vectors = self._vectors(fresh)
        return [Embedded(d.sighting, _image(d), _of_row(vectors, d.sighting.row)) for d in batch]

    def _vectors(self, fresh: Sequence[_Decoded]) -> Mapping[str, Mapping[int, Float32]]:
        """Vectors by space name and row: each photograph in the spaces that serve its viewpoint."""
        found: dict[str, dict[int, Float32]] = {}
        for space in self.embedder.ensemble.spaces:
            served = [decoded for decoded in fresh if decoded.sighting.viewpoint in space.viewpoints]
            if served:
                block = self.embedder.embed([(d.photograph, d.sighting.box) for d in served], [space])[space.name]
                found[space.name] = {d.sighting.row: vector for d, vector in zip(served, block, strict=True)}
        return found


def _image(decoded: _Decoded) -> Image:
    shot = decoded.photograph
    return Image(decoded.sha256, shot.format, shot.width, shot.height, len(decoded.content))


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _of_row(vectors: Mapping[str, Mapping[int, Float32]], row: int) -> dict[str, Float32]:
    return {space: block[row] for space, block in vectors.items() if row in block}


def _slices(rows: Sequence[Sighting], size: int) -> Iterator[Sequence[Sighting]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
