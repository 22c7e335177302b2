"""Wiring: settings in, services out. The only file that names adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from app.adapters.csv_scenarios import CsvScenarios
from app.adapters.csv_sheets import CsvSheet
from app.adapters.faiss_frozen import FaissFrozen
from app.adapters.faiss_index import FaissIndex
from app.adapters.file_blobs import FileBlobs
from app.adapters.file_runs import FileRuns
from app.adapters.file_uploads import FileUploads
from app.adapters.html_report import HtmlReports
from app.adapters.json_calibrations import JsonCalibrations
from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.path_sources import PathSources
from app.adapters.pillow_images import PillowImages
from app.adapters.pillow_survey import write_survey
from app.adapters.sql_calibrations import SqlCalibrations
from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_memory import sql_memory
from app.adapters.thread_jobs import ThreadJobs
from app.adapters.zip_sheets import ZipSheet
from app.config import Settings
from app.domain.survey import SurveyPlan
from app.services.browse import Browse
from app.services.bundle import Services
from app.services.calibrate import Calibrate
from app.services.evaluate import Evaluate
from app.services.health import Health
from app.services.ingest import Ingest
from app.services.evaluate_work import EvaluationWork
from app.services.match import Match
from app.services.plan import Planning
from app.services.reindex import Reindex
from migrations import upgrade


def bootstrap(settings: Settings) -> Services:
    """Build every use case on the adapters that the settings name; the database is brought to its newest form.

    Raises CatalogueUnavailable when the database cannot be reached or is newer than this program.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade(settings.catalogue_url)
    threads = settings.threads or os.cpu_count() or 1
    catalogue = SqlCatalogue(settings.catalogue_url)
    images = PillowImages(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    embedder = OnnxEmbedder(settings.ensemble_folder, images.prepare, threads=threads)
    calibrations, shipped = SqlCalibrations(settings.catalogue_url), JsonCalibrations(settings.ensemble_folder)
    index = FaissIndex(settings.data / "index", batch_threads=threads)
    # An empty folder may become a store only while the catalogue holds no image: later it is an unmounted disk.
    empty = next(catalogue.image_shas(), None) is None
    blobs = FileBlobs(settings.data / "originals", create=empty, reserve=settings.reserve_bytes)
    uploads = FileUploads(settings.data / "uploads", reserve=settings.reserve_bytes)
    sheets = PathSources(
        open_folder=partial(CsvSheet, max_bytes=settings.max_image_bytes),
        open_archive=partial(ZipSheet, max_bytes=settings.max_image_bytes),
        import_root=settings.import_root,
        uploads=settings.data / "uploads",
    )
    return Services(
        match=Match(catalogue, blobs, images, embedder, index, (calibrations, shipped)),
        planning=Planning(catalogue, images, embedder, sheets, sql_memory),
        ingest=Ingest(catalogue, blobs, images, embedder, index, sheets),
        evaluate=Evaluate(
            EvaluationWork(
                catalogue=catalogue,
                blobs=blobs,
                images=images,
                embedder=embedder,
                index=index,
                packs=CsvScenarios(),
                runs=FileRuns(settings.data / "evaluations"),
                frozen=FaissFrozen(batch_threads=threads),
                reports=HtmlReports(),
                release=version("resight"),
            )
        ),
        browse=Browse(catalogue, blobs, images),
        reindex=Reindex(catalogue, blobs, images, embedder, index),
        calibrate=Calibrate(embedder, index, calibrations, shipped),
        health=Health(catalogue, embedder, index, blobs),
        jobs=ThreadJobs(settings.data),
        uploads=uploads,
    )


def make_survey(plan: SurveyPlan, folder: Path) -> Iterator[int]:
    """Write a synthetic survey photograph by photograph; yields how many there are."""
    return write_survey(plan, folder)
