"""How often each row of an import was tried, rows that were set apart, and the keys of requests that began imports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("imports", sa.Column("request_key", sa.String(), nullable=True))
    op.add_column("imports", sa.Column("request_sha256", sa.String(64), nullable=True))
    op.create_index(op.f("ix_imports_request_key"), "imports", ["request_key"], unique=True)
    op.drop_index(op.f("ix_import_rows_import_id_state"), "import_rows")
    states = "state IN ('waiting', 'stored', 'indexed', 'unchanged', 'refused', 'quarantined')"
    with op.batch_alter_table("import_rows") as table:
        table.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        table.drop_constraint(op.f("ck_import_rows_state"), type_="check")
        table.create_check_constraint(op.f("ck_import_rows_state"), states)
    op.create_index(
        op.f("ix_import_rows_import_id_state_attempts_row"), "import_rows", ["import_id", "state", "attempts", "row"]
    )
