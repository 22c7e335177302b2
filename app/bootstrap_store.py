"""Wiring of what looks after the data folder itself: verify, backup and restore."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from app.adapters.faiss_index import FaissIndex
from app.adapters.file_backups import FileBackup
from app.adapters.file_blobs import FileBlobs
from app.adapters.onnx_embedder import OnnxEmbedder
from app.adapters.pillow_images import PillowImages
from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_copies import SqlCopies
from app.config import Settings
from app.domain.errors import InvalidInput
from app.services.backup import Backup, Restore
from app.services.verify import Verify


def verification(settings: Settings) -> Verify:
    """A check that makes, mends and tidies nothing; raises InvalidInput where there is no data folder."""
    _require(settings)
    images = PillowImages(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    return Verify(
        SqlCatalogue(settings.catalogue_url),
        _originals(settings),
        OnnxEmbedder(settings.ensemble_folder, images.prepare, threads=1),
        FaissIndex(settings.data / "index"),
    )


def backup(settings: Settings, folder: Path) -> Backup:
    """A backup of the data folder in force into ``folder``; raises InvalidInput where there is none."""
    _require(settings)
    place = FileBackup(folder, settings.data)
    return Backup(_originals(settings), SqlCopies(settings.catalogue_url), place, version("resight"))


def restore(settings: Settings, folder: Path) -> Restore:
    """A restore of the backup in ``folder`` into the data folder in force, which is made when it is missing."""
    return Restore(
        SqlCopies(settings.catalogue_url),
        FileBackup(folder, settings.data),
        lambda: FileBlobs(settings.data / "originals"),
    )


def index(settings: Settings) -> None:
    """Build the index of a data folder from the vectors in its catalogue; no ensemble is needed."""
    FaissIndex(settings.data / "index").refresh(SqlCatalogue(settings.catalogue_url))


def _originals(settings: Settings) -> FileBlobs:
    return FileBlobs(settings.data / "originals", create=False, tidy=False)


def _require(settings: Settings) -> None:
    if not settings.data.is_dir() or (not settings.database_url and not (settings.data / "catalogue.sqlite").is_file()):
        raise InvalidInput(f"there is no catalogue in the data folder {settings.data}")
