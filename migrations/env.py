"""What Alembic runs: the migrations, inside the transaction that ``migrations.upgrade`` opened."""

from __future__ import annotations

from alembic import context

from app.adapters.sql_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by copying it, and can do so within a transaction.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
