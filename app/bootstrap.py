"""Wiring: settings in, services out. The only file that names adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

from app.adapters.csv_scenarios import CsvScenarios
from app.adapters.csv_sheets import CsvSheet
from app.adapters.dbos_jobs import DbosJobs
from app.adapters.faiss_frozen import FaissFrozen
from app.adapters.faiss_index import FaissIndex
from app.adapters.file_blobs import FileBlobs
from app.adapters.file_marks import FileMarks
from app.adapters.file_runs import FileRuns
from app.adapters.file_sessions import FileSessions, SessionLimits
from app.adapters.file_uploads import FileUploads
from app.adapters.fsspec_sheets import S3Sheets
from app.adapters.html_report import HtmlReports
from app.adapters.json_calibrations import JsonCalibrations
from app.adapters.npz_arrays import write_arrays
from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.opencv_local import OpencvLocal
from app.adapters.path_sources import PathSources
from app.adapters.pillow_bounded import BoundedImages
from app.adapters.pillow_survey import write_survey
from app.adapters.sql_calibrations import SqlCalibrations
from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_memory import sql_memory
from app.adapters.toml_profiles import read_profiles
from app.adapters.zip_packs import ZipPacks
from app.adapters.zip_sheets import ZipSheet
from app.config import Settings
from app.domain.jobs import JobKind
from app.domain.profiles import use_own
from app.domain.survey import SurveyPlan
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
from migrations import upgrade


def bootstrap(settings: Settings) -> Services:
    """Build every use case on the adapters that the settings name; the database is brought to its newest form.

    Raises CatalogueUnavailable when the database cannot be reached or is newer than this program, and InvalidInput for
    ranking profiles that are none.
    """
    use_own(read_profiles(settings.profiles))
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade(settings.catalogue_url)
    threads = settings.threads or os.cpu_count() or 1
    catalogue = SqlCatalogue(settings.catalogue_url)
    images = BoundedImages(
        max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels, children=max(2, threads)
    )
    embedder = OnnxEmbedder(settings.ensemble_folder, images.prepare, threads=threads)
    calibrations, shipped = catalogue.calibrations, JsonCalibrations(settings.ensemble_folder)
    index = FaissIndex(settings.data / "index", batch_threads=threads)
    # An empty folder may become a store only while the catalogue holds no image: later it is an unmounted disk.
    empty = next(catalogue.image_shas(), None) is None
    blobs = FileBlobs(settings.data / "originals", create=empty, reserve=settings.reserve_bytes)
    sessions = _sessions(settings)
    uploads = FileUploads(settings.data / "uploads", sessions, reserve=settings.reserve_bytes)
    sheets = _sheets(settings, sessions)
    evaluation = _evaluation(settings, (catalogue, blobs, images, embedder, index), threads, (calibrations, shipped))
    ingest = Ingest(catalogue, blobs, images, embedder, index, sheets, catalogue.rows)
    gate = (lambda: None) if settings.force_ensemble else Gate(Book(evaluation))
    reindex = Reindex(catalogue, blobs, images, embedder, index, gate)
    vet = Vet(blobs, images, OpencvLocal(), FileMarks(settings.data / "marks"))
    jobs = DbosJobs(settings.data, settings.jobs_url)
    calibrate = Calibrate(embedder, index, calibrations, shipped)
    return Services(
        match=Match(catalogue, blobs, images, embedder, index, vet, (calibrations, shipped)),
        planning=Planning(catalogue, images, embedder, sheets, sql_memory),
        ingest=ingest,
        evaluate=Evaluate(evaluation, ZipPacks(evaluation.packs.read, settings.import_root)),
        browse=Browse(catalogue, blobs, images),
        curate=Curate(catalogue, catalogue, blobs, images, embedder, index),
        duplicates=Duplicates(catalogue, index, catalogue.rows),
        extract=Extract(catalogue, embedder, index, write_arrays),
        reindex=reindex,
        calibrate=calibrate,
        health=Health(catalogue, embedder, index, blobs),
        upload=Upload(sessions, catalogue, catalogue.rows),
        jobs=jobs,
        works={
            JobKind.IMPORT: ImportWork(ingest, uploads, jobs.stopping, jobs.reached),
            JobKind.REEMBED: ReembedWork(reindex, jobs.stopping),
            JobKind.REBUILD: RebuildWork(reindex),
            JobKind.EVALUATE: evaluation,
            JobKind.CALIBRATE: CalibrationWork(calibrate, reindex.refresh, jobs.stopping, jobs.reached),
        },
        control=Control(jobs, ingest, uploads, Leftovers(catalogue, index, catalogue.rows)),
        uploads=uploads,
    )


def _evaluation(
    settings: Settings,
    ports: tuple[SqlCatalogue, FileBlobs, BoundedImages, OnnxEmbedder, FaissIndex],
    threads: int,
    calibrations: tuple[SqlCalibrations, JsonCalibrations],
) -> EvaluationWork:
    return EvaluationWork(
        *ports,
        packs=CsvScenarios(),
        runs=FileRuns(settings.data / "evaluations"),
        frozen=FaissFrozen(batch_threads=threads),
        reports=HtmlReports(),
        release=version("resight"),
        calibrations=calibrations,
    )


def _sessions(settings: Settings) -> FileSessions:
    limits = SessionLimits(
        photograph=settings.max_image_bytes,
        sheet=settings.max_sheet_bytes,
        whole=settings.max_session_bytes,
        idle=timedelta(days=settings.upload_days),
    )
    return FileSessions(settings.data / "sessions", limits, reserve=settings.reserve_bytes)


def _sheets(settings: Settings, sessions: FileSessions) -> PathSources:
    prefixes = [prefix.strip() for prefix in settings.s3_prefixes.split(",") if prefix.strip()]
    s3 = S3Sheets(prefixes, endpoint=settings.s3_endpoint, max_bytes=settings.max_image_bytes)
    return PathSources(
        open_folder=partial(CsvSheet, max_bytes=settings.max_image_bytes),
        open_archive=partial(ZipSheet, max_bytes=settings.max_image_bytes),
        import_root=settings.import_root,
        uploads=settings.data / "uploads",
        others={"session": sessions.open, "s3": s3.open},
    )


def make_survey(plan: SurveyPlan, folder: Path) -> Iterator[int]:
    """Write a synthetic survey photograph by photograph; yields how many there are."""
    return write_survey(plan, folder)
