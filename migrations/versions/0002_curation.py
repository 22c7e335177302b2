"""Curation: annotations that are edited and removed, their append-only history, and perceptual hashes of images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSED = "the history of annotations is append-only"


def upgrade() -> None:
    op.add_column("annotations", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("annotations", sa.Column("removed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("images", sa.Column("phash", sa.BigInteger(), nullable=True))
    op.create_table(
        "annotation_history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_history")),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotations.id"], name=op.f("fk_annotation_history_annotation_id_annotations")
        ),
        sa.CheckConstraint("action IN ('edited', 'removed', 'restored')", name=op.f("ck_annotation_history_action")),
    )
    op.create_index(op.f("ix_annotation_history_annotation_id"), "annotation_history", ["annotation_id"])
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgres()


def _guard_sqlite() -> None:
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER annotation_history_no_{change.lower()} BEFORE {change} ON annotation_history "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


def _guard_postgres() -> None:
    op.execute(
        "CREATE FUNCTION annotation_history_is_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER annotation_history_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON annotation_history "
        "FOR EACH STATEMENT EXECUTE FUNCTION annotation_history_is_kept()"
    )
