"""One in-memory fake per port, and a world of them wired as the service is."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Annotation, Box, CaptureDate, DatePrecision, Sighting, Viewpoint
from app.domain.conflicts import Remembered
from app.domain.ensemble import ActiveSpace, Ensemble, Float32, Member, Preprocessing, Space
from app.domain.errors import BadArchive, ModelUnavailable
from app.domain.jobs import JobKind
from app.domain.photograph import Photograph
from app.services.browse import Browse
from app.services.bundle import Services
from app.services.calibrate import Calibrate, CalibrationWork
from app.services.control import Control
from app.services.curate import Curate
from app.services.duplicates import Duplicates
from app.services.evaluate import Evaluate
from app.services.evaluate_book import Book, Gate
from app.services.evaluate_work import EvaluationWork
from app.services.extract import Extract
from app.services.health import Health
from app.services.ingest import Ingest
from app.services.leftovers import Leftovers
from app.services.match import Match
from app.services.plan import Planning
from app.services.reindex import Reindex
from app.services.upload import Upload
from app.services.vet import Vet
from app.services.works import ImportWork, RebuildWork, ReembedWork
from tests.fakes_calibrations import FakeCalibrations
from tests.fakes_catalogue import FakeCatalogue
from tests.fakes_evaluate import FakeFrozen, FakePacks, FakeReports, FakeRuns, FakeSources
from tests.fakes_files import FakeBlobs, FakeSheet, FakeSheets
from tests.fakes_index import NumpyIndex
from tests.fakes_jobs import FakeJobs
from tests.fakes_local import FakeFeatures, FakeMarks
from tests.fakes_uploads import FakeSessions

__all__ = [
    "FakeBlobs",
    "FakeCatalogue",
    "FakeEmbedder",
    "FakeJobs",
    "FakePacks",
    "FakeSheet",
    "FakeSheets",
    "FakeUploads",
    "NumpyIndex",
    "World",
    "one_space",
    "photo",
    "sighting",
    "two_spaces",
]


def _grid(name: str, size: int) -> Member:
    """A member that sees a photograph as size x size colours; its preprocessing does all the work."""
    recipe = Preprocessing(size, size, (127.0, 127.0, 127.0), (64.0, 64.0, 64.0))
    return Member(name, f"{name}.onnx", f"{size:064x}", 3 * size * size, recipe)


def _ensemble(*spaces: Space) -> Ensemble:
    return Ensemble("grids", "1", "Apache-2.0", "none", spaces, f"{len(spaces):064x}")


def one_space(size: int = 4) -> Ensemble:
    """An ensemble of one space that serves every viewpoint."""
    return _ensemble(Space("colours", (_grid("coarse", size),), frozenset(Viewpoint)))


def two_spaces() -> Ensemble:
    """Two spaces that only "top" shares: nothing compares a left view with a right one."""
    return _ensemble(
        Space("body", (_grid("coarse", 4),), frozenset({Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.UNKNOWN})),
        Space("back", (_grid("fine", 6),), frozenset({Viewpoint.TOP, Viewpoint.RIGHT}), weight=0.5),
    )


class FakeEmbedder:
    """The Embedder port on colour grids: a vector is what the preprocessing makes of a photograph."""

    def __init__(self, ensemble: Ensemble | None = None) -> None:
        self.loaded = ensemble or one_space()
        self.broken: str | None = None
        self.seen = 0
        self._images = PillowImages()

    @property
    def ensemble(self) -> Ensemble:
        if self.broken:
            raise ModelUnavailable(self.broken)
        return self.loaded

    def active_spaces(self) -> list[ActiveSpace]:
        return [ActiveSpace(s.name, s.fingerprint("exact"), s.dimension, s.viewpoints) for s in self.ensemble.spaces]

    def embed(self, crops: Sequence[tuple[Photograph, Box | None]], spaces: Sequence[Space]) -> dict[str, Float32]:
        self.seen += len(crops) if self.ensemble else 0
        return {space.name: space.join([self._rows(crops, member) for member in space.members]) for space in spaces}

    def _rows(self, crops: Sequence[tuple[Photograph, Box | None]], member: Member) -> Float32:
        tensors = [self._images.prepare(photograph, member.preprocessing, box) for photograph, box in crops]
        return np.array(tensors, np.float32).reshape(len(crops), member.dimension)


class _Unreadable:
    source = "upload"

    def layout(self, wanted: Any = None) -> Any:
        raise BadArchive("this is no ZIP")

    def read(self, path: str) -> bytes:
        raise BadArchive("this is no ZIP")


@dataclass
class FakeUploads:
    """The Uploads port: an archive is opened as the sheet that the test gave for its bytes."""

    sheets: dict[str, Any]
    archives: dict[bytes, FakeSheet] = field(default_factory=dict)
    count: int = 0

    def store(self, archive: BinaryIO) -> str:
        self.count += 1
        source = f"upload:{self.count}"
        self.sheets[source] = self.archives.get(archive.read(), _Unreadable())
        return source

    def discard(self, source: str) -> None:
        if source.startswith("upload:"):
            self.sheets.pop(source, None)

    def sweep(self, keep: Collection[str]) -> None:
        for source in set(self.sheets) - set(keep):
            self.discard(source)


def photo(whale: int, shot: int = 0, *, size: tuple[int, int] = (48, 64), kind: str = "PNG") -> bytes:
    """A photograph: the colours tell the whale, and each shot of it differs a little."""
    pattern = np.random.default_rng(whale).integers(0, 256, (8, 8, 3))
    noise = np.random.default_rng([whale, shot]).integers(-25, 26, (8, 8, 3)) if shot else 0
    picture = Image.fromarray(np.clip(pattern + noise, 0, 255).astype(np.uint8)).resize(size)
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def sighting(row: int, individual: str | None = None, **given: Any) -> Sighting:
    """A row of a sheet, named after its line, seen from the top on a day of 2019 unless given otherwise."""
    taken = given.pop("taken", datetime(2019, 7, 1 + row % 28))
    captured = CaptureDate(taken, DatePrecision.DAY) if taken else CaptureDate()
    return Sighting(
        source_id=given.pop("source_id", f"image{row:03}"),
        path=given.pop("path", f"{row:03}.png"),
        viewpoint=given.pop("viewpoint", Viewpoint.TOP),
        captured=given.pop("captured", captured),
        individual=individual,
        row=row,
        **given,
    )


@contextmanager
def remembered() -> Iterator[Remembered]:
    """A memory for one sheet."""
    yield Remembered()


class World:
    """Every port faked (photographs are read by the real adapter, which keeps nothing), and the services on them."""

    def __init__(self, ensemble: Ensemble | None = None) -> None:
        self.catalogue, self.blobs, self.index = FakeCatalogue(), FakeBlobs(), NumpyIndex()
        self.embedder, self.images = FakeEmbedder(ensemble), PillowImages()
        self.jobs, self.packs = FakeJobs(), FakePacks()
        self.runs, self.frozen, self.reports = FakeRuns(), FakeFrozen(), FakeReports()
        self.sources = FakeSources()
        self.calibrations, self.released = FakeCalibrations(), FakeCalibrations()
        self.features, self.marks = FakeFeatures(), FakeMarks()
        self.opened: dict[str, Any] = {}
        self.written: dict[Path, Any] = {}
        self.uploads = FakeUploads(self.opened)
        self.sessions = FakeSessions(self.opened)
        self.sheets = FakeSheets(self.opened)

    @property
    def vet(self) -> Vet:
        """Local features of faked photographs."""
        return Vet(self.blobs, self.images, self.features, self.marks)

    @property
    def evaluation_work(self) -> EvaluationWork:
        """The work of evaluations, on the same ports."""
        ports = (self.catalogue, self.blobs, self.images, self.embedder, self.index, self.packs)
        return EvaluationWork(*ports, self.runs, self.frozen, self.reports, "0", (self.calibrations, self.released))

    @property
    def services(self) -> Services:
        """The record that the doors are given."""
        ports = (self.catalogue, self.blobs, self.images, self.embedder, self.index)
        leftovers = Leftovers(self.catalogue, self.index, self.catalogue.rows)
        ingest, reindex = (
            Ingest(*ports, self.sheets, self.catalogue.rows),
            Reindex(*ports, Gate(Book(self.evaluation_work))),
        )
        calibrate = Calibrate(self.embedder, self.index, self.calibrations, self.released)
        self.jobs.works = {
            JobKind.IMPORT: ImportWork(ingest, self.uploads, self.jobs.stopping, self.jobs.reached),
            JobKind.REEMBED: ReembedWork(reindex, self.jobs.stopping),
            JobKind.REBUILD: RebuildWork(reindex),
            JobKind.EVALUATE: self.evaluation_work,
            JobKind.CALIBRATE: CalibrationWork(calibrate, reindex.refresh, self.jobs.stopping, self.jobs.reached),
        }
        return Services(
            match=Match(*ports, self.vet, (self.calibrations, self.released)),
            planning=Planning(self.catalogue, self.images, self.embedder, self.sheets, remembered),
            ingest=ingest,
            evaluate=Evaluate(self.evaluation_work, self.sources),
            browse=Browse(self.catalogue, self.blobs, self.images),
            curate=Curate(self.catalogue, *ports),
            duplicates=Duplicates(self.catalogue, self.index, self.catalogue.rows),
            extract=Extract(self.catalogue, self.embedder, self.index, self.written.__setitem__),
            reindex=reindex,
            calibrate=calibrate,
            health=Health(self.catalogue, self.embedder, self.index, self.blobs),
            jobs=self.jobs,
            works=self.jobs.works,
            control=Control(self.jobs, ingest, self.uploads, leftovers),
            uploads=self.uploads,
            upload=Upload(self.sessions, self.catalogue, self.catalogue.rows),
        )

    def begin(self, source: str = "folder:survey") -> int:
        """Plan and record what is open under this name; returns the import's id."""
        planning = self.services.planning
        return planning.begin(planning.plan(source))

    def bring(self, rows: Sequence[Sighting], photographs: Sequence[bytes], source: str = "folder:survey") -> int:
        """Import rows with their photographs; returns the import's id."""
        self.opened[source] = FakeSheet(rows, dict(zip([row.path for row in rows], photographs, strict=True)))
        import_id = self.begin(source)
        self.services.ingest.run(import_id)
        return import_id

    def survey(self, whales: int = 4, shots: int = 3) -> list[Annotation]:
        """A catalogue of whales, each seen ``shots`` times on days of their own; returns its annotations."""
        numbered = [(whale, shot) for whale in range(1, whales + 1) for shot in range(1, shots + 1)]
        rows = [
            sighting(row, f"whale{whale}", encounter=f"whale{whale}-{shot // 2}", viewpoint=Viewpoint.TOP)
            for row, (whale, shot) in enumerate(numbered, start=2)
        ]
        self.bring(rows, [photo(whale, shot) for whale, shot in numbered])
        return list(self.catalogue.annotations(range(1, len(rows) + 1)).values())
