"""Services: the record of all use cases, handed to the HTTP door and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.jobs import JobKind
from app.domain.ports import Uploads
from app.domain.ports_jobs import Jobs, Work
from app.services.browse import Browse
from app.services.calibrate import Calibrate
from app.services.control import Control
from app.services.curate import Curate
from app.services.duplicates import Duplicates
from app.services.evaluate import Evaluate
from app.services.extract import Extract
from app.services.health import Health
from app.services.ingest import Ingest
from app.services.match import Match
from app.services.plan import Planning
from app.services.reindex import Reindex
from app.services.upload import Upload


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, wired once in ``bootstrap``."""

    match: Match
    planning: Planning
    ingest: Ingest
    evaluate: Evaluate
    browse: Browse
    curate: Curate
    duplicates: Duplicates
    extract: Extract
    reindex: Reindex
    calibrate: Calibrate
    health: Health
    upload: Upload
    jobs: Jobs
    works: Mapping[JobKind, Work]
    control: Control
    uploads: Uploads
