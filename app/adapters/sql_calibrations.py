"""The Calibrations port in the catalogue's database."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from sqlalchemy import insert, select

from app.adapters.sql_engine import Database
from app.adapters.sql_tables import calibrations
from app.domain.calibration_record import Calibrated, Purpose, from_json, to_json

_KEPT = 8


class SqlCalibrations:
    """Calibrations as JSON beside what they are looked up by; ``url`` is that of the catalogue.

    A calibration that was read is kept in memory: each match asks for the newest.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._parsed = lru_cache(_KEPT)(from_json)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def newest(self, purpose: Purpose) -> Calibrated | None:
        """The newest calibration for exactly this purpose."""
        meant = (
            calibrations.c.manifest_sha256 == purpose.manifest_sha256,
            calibrations.c.profile == purpose.profile,
            calibrations.c.profile_sha256 == purpose.profile_sha256,
        )
        query = select(calibrations.c.id, calibrations.c.content).where(*meant)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(calibrations.c.id.desc()).limit(1)).one_or_none()
        return None if row is None else self._parsed(row.content, row.id)

    def add(self, calibrated: Calibrated) -> Calibrated:
        """Store a calibration; gives it with its id."""
        row = {
            "manifest_sha256": calibrated.purpose.manifest_sha256,
            "profile": calibrated.purpose.profile,
            "profile_sha256": calibrated.purpose.profile_sha256,
            "catalogue_version": calibrated.catalogue_version,
            "made": calibrated.made.replace(tzinfo=None),
            "content": to_json(calibrated),
        }
        with self._database.writing() as connection:
            added = connection.execute(insert(calibrations).values(row).returning(calibrations.c.id)).scalar_one()
        return replace(calibrated, calibration_id=int(added))
