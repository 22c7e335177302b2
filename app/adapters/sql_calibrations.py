"""The Calibrations port in the catalogue's database."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import bindparam, func, insert, select

from app.adapters.sql_engine import Database
from app.adapters.sql_tables import calibrations
from app.domain.calibration_record import Calibrated, Purpose, from_json, to_json
from app.domain.errors import UnknownCalibration

_KEPT = 8
_LARGEST = 2**31 - 1
_PURPOSE = ("manifest_sha256", "profile", "profile_sha256")
# Built once: each match runs it, and to compile it anew takes longer than to answer it.
_NEWEST = select(func.max(calibrations.c.id)).where(*(calibrations.c[name] == bindparam(name) for name in _PURPOSE))


class SqlCalibrations:
    """Calibrations as JSON beside what they are looked up by, on the database of the catalogue.

    None is ever changed, so that one that was read is kept in memory by its id; which is the newest is asked each
    time, since another process may have added one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[int, Calibrated] = {}

    def newest(self, purpose: Purpose) -> Calibrated | None:
        """The newest calibration for exactly this purpose."""
        meant = {name: getattr(purpose, name) for name in _PURPOSE}
        with self._database.reading() as connection:
            number = connection.execute(_NEWEST, meant).scalar_one()
            if number is None or number in self._read:
                return self._read.get(number)
            text = connection.execute(select(calibrations.c.content).where(calibrations.c.id == number)).scalar_one()
        found = from_json(text, number)
        # Another dictionary takes the place of the old one, which threads may be reading.
        self._read = dict([*self._read.items(), (number, found)][-_KEPT:])
        return found

    def add(self, calibrated: Calibrated) -> Calibrated:
        """Store a calibration; gives it with its id."""
        row = {
            **{name: getattr(calibrated.purpose, name) for name in _PURPOSE},
            "catalogue_version": calibrated.catalogue_version,
            "made": calibrated.made.replace(tzinfo=None),
            "content": to_json(calibrated),
        }
        with self._database.writing() as connection:
            added = connection.execute(insert(calibrations).values(row).returning(calibrations.c.id)).scalar_one()
        return replace(calibrated, calibration_id=int(added))

    def get(self, calibration_id: int) -> Calibrated:
        """One calibration; raises UnknownCalibration."""
        query = select(calibrations.c.content).where(calibrations.c.id == min(calibration_id, _LARGEST))
        with self._database.reading() as connection:
            text = connection.execute(query).scalar_one_or_none()
        if text is None:
            raise UnknownCalibration(f"no calibration has the id {calibration_id}")
        return from_json(text, calibration_id)

    def listed(self, limit: int, offset: int = 0) -> list[Calibrated]:
        """Calibrations for any purpose, newest first."""
        query = select(calibrations.c.id, calibrations.c.content).order_by(calibrations.c.id.desc())
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit).offset(offset)).all()
        return [from_json(row.content, row.id) for row in rows]
