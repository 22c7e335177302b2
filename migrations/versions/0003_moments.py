"""The moment of a photograph as a number, so that bursts are found without reading a date."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("annotations", sa.Column("moment", sa.BigInteger(), nullable=True))
    sqlite = op.get_bind().dialect.name == "sqlite"
    seconds = "CAST(strftime('%s', taken) AS INTEGER)" if sqlite else "CAST(EXTRACT(EPOCH FROM taken) AS BIGINT)"
    op.execute(f"UPDATE annotations SET moment = {seconds} WHERE precision = 'second'")
