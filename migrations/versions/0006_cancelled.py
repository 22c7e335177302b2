"""Imports that were cancelled, and their rows whose turn never came."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # The table that others refer to is made anew on SQLite: ``migrations.upgrade`` looks at the references afterwards.
    with op.batch_alter_table("imports") as table:
        table.drop_constraint(op.f("ck_imports_state"), type_="check")
        table.create_check_constraint(op.f("ck_imports_state"), "state IN ('running', 'done', 'failed', 'cancelled')")
    states = "state IN ('waiting', 'stored', 'indexed', 'unchanged', 'refused', 'quarantined', 'cancelled')"
    with op.batch_alter_table("import_rows") as table:
        table.drop_constraint(op.f("ck_import_rows_state"), type_="check")
        table.create_check_constraint(op.f("ck_import_rows_state"), states)
    op.execute("UPDATE imports SET state = 'cancelled' WHERE state = 'failed' AND reason = 'cancelled on request'")
    op.execute(
        "UPDATE import_rows SET state = 'cancelled', reason = 'the import was cancelled before its turn' "
        "WHERE state = 'waiting' AND import_id IN (SELECT id FROM imports WHERE state = 'cancelled')"
    )
