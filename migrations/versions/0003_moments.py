"""The moment of a photograph as a number, so that bursts are found without reading a date."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("annotations", sa.Column("moment", sa.BigInteger(), nullable=True))
    sqlite = op.get_bind().dialect.name == "sqlite"
    taken = sa.column("taken")
    seconds = sa.func.strftime("%s", taken) if sqlite else sa.extract("epoch", taken)
    table = sa.table("annotations", sa.column("moment"), sa.column("precision"), taken)
    op.execute(sa.update(table).where(table.c.precision == "second").values(moment=sa.cast(seconds, sa.BigInteger)))
