"""Wiring of the contest mode: an ensemble and a folder, no catalogue."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from app.adapters.csv_scenarios import CsvScenarios
from app.adapters.csv_sheets import CsvSheet
from app.adapters.faiss_frozen import FaissFrozen
from app.adapters.file_vectors import FileVectors
from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.adapters.toml_profiles import read_profiles
from app.config import Settings
from app.domain.profiles import use_own
from app.services.contest import Contest


def contest(settings: Settings, cache: Path) -> Contest:
    """The contest mode with the ensemble in force; vectors are kept in ``cache``."""
    use_own(read_profiles(settings.profiles))
    threads = settings.threads or os.cpu_count() or 1
    images = PillowImages(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    return Contest(
        open_sheet=partial(CsvSheet, max_bytes=settings.max_image_bytes),
        images=images,
        embedder=OnnxEmbedder(settings.ensemble_folder, images.prepare, threads=threads),
        packs=CsvScenarios(),
        frozen=FaissFrozen(batch_threads=threads),
        cache=FileVectors(cache),
    )
