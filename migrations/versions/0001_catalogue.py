"""The catalogue: individuals, encounters, images, annotations, spaces, embeddings, imports and their rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _names()
    _imports()
    _annotations()
    _vectors()
    version = op.create_table(
        "catalogue_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_version")),
        sa.CheckConstraint("id = 1", name=op.f("ck_catalogue_version_one_row")),
    )
    op.bulk_insert(version, [{"id": 1, "version": 0}])


def _names() -> None:
    op.create_table(
        "individuals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_individuals")),
        sa.UniqueConstraint("key", name=op.f("uq_individuals_key")),
    )
    op.create_index(op.f("ix_individuals_name"), "individuals", ["name"])
    op.create_table(
        "encounters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("individual_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encounters")),
        sa.UniqueConstraint("key", name=op.f("uq_encounters_key")),
        sa.ForeignKeyConstraint(
            ["individual_id"], ["individuals.id"], name=op.f("fk_encounters_individual_id_individuals")
        ),
    )
    op.create_index(op.f("ix_encounters_individual_id"), "encounters", ["individual_id"])


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("finished", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_imports_state")),
    )
    op.create_table(
        "import_rows",
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sighting", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "row", name=op.f("pk_import_rows")),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_rows_import_id_imports")),
        sa.CheckConstraint(
            "state IN ('waiting', 'stored', 'indexed', 'unchanged', 'refused')", name=op.f("ck_import_rows_state")
        ),
    )
    op.create_index(op.f("ix_import_rows_import_id_state"), "import_rows", ["import_id", "state"])


def _annotations() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("byte_size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("sha256", name=op.f("uq_images_sha256")),
    )
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("box_x", sa.Integer(), nullable=True),
        sa.Column("box_y", sa.Integer(), nullable=True),
        sa.Column("box_width", sa.Integer(), nullable=True),
        sa.Column("box_height", sa.Integer(), nullable=True),
        sa.Column("box_key", sa.String(), nullable=False),
        sa.Column("viewpoint", sa.String(), nullable=False),
        sa.Column("taken", sa.DateTime(), nullable=True),
        sa.Column("precision", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("individual_id", sa.Integer(), nullable=True),
        sa.Column("encounter_id", sa.Integer(), nullable=True),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("source_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
        sa.UniqueConstraint("source_id", name=op.f("uq_annotations_source_id")),
        sa.UniqueConstraint("image_id", "box_key", name=op.f("uq_annotations_image_id_box_key")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_annotations_image_id_images")),
        sa.ForeignKeyConstraint(
            ["individual_id"], ["individuals.id"], name=op.f("fk_annotations_individual_id_individuals")
        ),
        sa.ForeignKeyConstraint(
            ["encounter_id"], ["encounters.id"], name=op.f("fk_annotations_encounter_id_encounters")
        ),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_annotations_import_id_imports")),
        sa.CheckConstraint("viewpoint IN ('top', 'left', 'right', 'unknown')", name=op.f("ck_annotations_viewpoint")),
        sa.CheckConstraint(
            "precision IN ('second', 'day', 'month', 'year', 'unknown')", name=op.f("ck_annotations_precision")
        ),
    )
    op.create_index(op.f("ix_annotations_individual_id"), "annotations", ["individual_id"])
    op.create_index(op.f("ix_annotations_encounter_id"), "annotations", ["encounter_id"])
    op.create_index(op.f("ix_annotations_viewpoint_year"), "annotations", ["viewpoint", "year"])


def _vectors() -> None:
    op.create_table(
        "spaces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("viewpoints", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spaces")),
        sa.UniqueConstraint("name", "fingerprint", name=op.f("uq_spaces_name_fingerprint")),
    )
    op.create_table(
        "embeddings",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "annotation_id", name=op.f("pk_embeddings")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_embeddings_space_id_spaces")),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name=op.f("fk_embeddings_annotation_id_annotations")
        ),
    )
    op.create_index(
        op.f("ix_embeddings_space_id_annotation_id_version"), "embeddings", ["space_id", "annotation_id", "version"]
    )
