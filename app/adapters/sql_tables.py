"""The catalogue's tables. ``migrations/versions`` builds them; a test finds any drift between the two."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from app.domain.catalogue import DatePrecision, Viewpoint
from app.domain.curation import Action
from app.domain.ingestion import ImportState, RowState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LARGEST_ID = 2**31 - 1
"""What a key can be in both databases; a larger one is one that does not exist."""

# Names sort by code point in both databases, as they do in Python.
_Name = String().with_variant(String(collation="C"), "postgresql")


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


catalogue_version = Table(
    "catalogue_version",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)

individuals = Table(
    "individuals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", _Name, nullable=False, index=True),
    Column("key", _Name, nullable=False, unique=True),
)

encounters = Table(
    "encounters",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", _Name, nullable=False),
    Column("key", _Name, nullable=False, unique=True),
    Column("individual_id", ForeignKey("individuals.id"), index=True),
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("format", String, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("byte_size", Integer, nullable=False),
    Column("phash", BigInteger),  # the 64 bits of the perceptual hash, as a signed number; null until computed
)

imports = Table(
    "imports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("state", String, nullable=False),
    Column("started", DateTime, nullable=False),  # UTC, as is finished
    Column("finished", DateTime),
    Column("reason", Text),
    Column("request_key", String),  # what the client called its request, and what that was
    Column("request_sha256", String(64)),
    _one_of("state", ImportState),
    Index(None, "request_key", unique=True),
)

import_rows = Table(
    "import_rows",
    metadata,
    Column("import_id", ForeignKey("imports.id"), primary_key=True),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("source_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text),
    Column("sighting", Text, nullable=False),  # JSON: a resumed import needs no second look at its sheet
    Column("attempts", Integer, nullable=False, server_default="0"),  # begun, and neither ended nor given back
    _one_of("state", RowState),
    Index(None, "import_id", "state", "attempts", "row"),
)

annotations = Table(
    "annotations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", String, nullable=False, unique=True),
    Column("image_id", ForeignKey("images.id"), nullable=False),
    Column("box_x", Integer),
    Column("box_y", Integer),
    Column("box_width", Integer),
    Column("box_height", Integer),
    Column("box_key", String, nullable=False),  # the box as text: nulls would make every whole photograph unique
    Column("viewpoint", String, nullable=False),
    Column("taken", DateTime),  # the clock on the spot, no zone
    Column("precision", String, nullable=False),
    Column("year", Integer, nullable=False),
    Column("day", Integer, nullable=False),  # proleptic ordinal, 0 when undated: the gallery reads no dates
    Column("moment", BigInteger),  # seconds since 1970 by the clock on the spot, null unless known to the second
    Column("individual_id", ForeignKey("individuals.id"), index=True),
    Column("encounter_id", ForeignKey("encounters.id"), index=True),
    Column("import_id", ForeignKey("imports.id"), nullable=False),
    Column("source_row", Integer, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # the catalogue version that last changed it
    Column("removed", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("image_id", "box_key"),
    _one_of("viewpoint", Viewpoint),
    _one_of("precision", DatePrecision),
    Index(None, "viewpoint", "year"),
)

# Append-only: triggers of both databases refuse to change or delete a row.
annotation_history = Table(
    "annotation_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("annotation_id", ForeignKey("annotations.id"), nullable=False, index=True),
    Column("action", String, nullable=False),
    Column("at", DateTime, nullable=False),  # UTC
    Column("actor", Text),
    Column("reason", Text),
    Column("before", Text, nullable=False),  # JSON: the facts, as Facts names them
    Column("after", Text, nullable=False),
    Column("version", Integer, nullable=False),  # the catalogue version that the change made
    _one_of("action", Action),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("manifest_sha256", String(64), nullable=False),
    Column("profile", String, nullable=False),
    Column("profile_sha256", String(64), nullable=False),
    Column("catalogue_version", Integer),  # of the catalogue that it was fitted to
    Column("made", DateTime, nullable=False),  # UTC
    Column("content", Text, nullable=False),  # JSON: curves, their proof and the meter
    Index(None, "manifest_sha256", "profile_sha256", "id"),
)

spaces = Table(
    "spaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("viewpoints", String, nullable=False),  # comma-separated
    Column("active", Boolean, nullable=False),
    UniqueConstraint("name", "fingerprint"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("annotation_id", ForeignKey("annotations.id"), primary_key=True),
    Column("version", Integer, nullable=False),  # the catalogue version that brought it
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian
    # Signatures are computed from this index alone: the table's pages are full of vectors.
    Index(None, "space_id", "annotation_id", "version"),
)
