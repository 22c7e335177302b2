"""The catalogue's schema, one change a file; ``upgrade`` brings a database to the newest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, text

from app.adapters.sql_engine import Database
from app.domain.errors import CatalogueUnavailable

# Any number will do, as long as it is ours: whoever holds it may change the schema of this PostgreSQL database.
_ADVISORY_LOCK = 0x52455349
NEWEST = "head"


def upgrade(url: str) -> None:
    """Bring the database at ``url`` to the newest schema: all of it in one transaction, or nothing.

    Several programs may start at once: the first one upgrades, the others wait and find it done. Raises
    CatalogueUnavailable when the database does not answer or was made by a newer Resight.
    """
    database = Database(url)
    # SQLite changes a table by making it anew, and would not let go of one that others refer to. A pragma of this kind
    # counts only outside of transactions; afterwards the references are looked at instead.
    event.listen(database.engine, "connect", _unreferenced)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, NEWEST)
            _require_references(connection)
    except CommandError as error:
        raise CatalogueUnavailable("the catalogue was made by a newer Resight; install that one") from error
    finally:
        database.close()


def _unreferenced(opened: Any, _record: object) -> None:
    if hasattr(opened, "in_transaction"):  # SQLite's connections, not those of PostgreSQL
        opened.execute("PRAGMA foreign_keys=OFF").close()


def _require_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise CatalogueUnavailable("the catalogue refers to rows that it does not hold; restore it from a backup")
