"""Migrations bring both databases from nothing to exactly the tables of the code."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from app.adapters.sql_engine import Database
from app.adapters.sql_tables import metadata
from app.domain.errors import CatalogueUnavailable
from migrations import upgrade
from tests.databases import new_postgres_database


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request, tmp_path):
    """Makes empty databases."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            yield lambda: f"sqlite:///{tmp_path / uuid4().hex}.sqlite"
        else:
            yield lambda: opened.enter_context(new_postgres_database())


@pytest.fixture
def url(new_url):
    """An empty database."""
    return new_url()


@pytest.fixture
def database(url):
    made = Database(url)
    yield made
    made.close()


def _drift(database: Database) -> list[object]:
    with database.reading() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def _schema(database: Database) -> dict[str, list[str]]:
    found = inspect(database.engine)
    looks = (found.get_columns, found.get_check_constraints, found.get_unique_constraints, found.get_indexes)
    looks += (found.get_foreign_keys, lambda name: [found.get_pk_constraint(name)])
    return {
        name: sorted(str(_plain(part)) for look in looks for part in look(name))
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def _plain(part: dict[str, object]) -> dict[str, object]:
    """A described column or constraint with its type, and its collation, as text."""
    kind = part.get("type")
    return part | {"type": f"{kind!r} {getattr(kind, 'collation', None)}"}


def test_migrations_build_the_tables_of_the_code(url, database):
    """From an empty database the migrations lead to the tables that the code uses, without drift."""
    assert len(_drift(database)) >= len(metadata.tables)
    upgrade(url)
    assert _drift(database) == []


def test_migrations_and_code_build_the_same_schema(url, new_url, database):
    """Checks, collations and names agree with the tables of the code too: drift detection sees none of them."""
    upgrade(url)
    drawn = Database(new_url())
    with drawn.writing() as connection:
        metadata.create_all(connection)
    assert _schema(database) == _schema(drawn)
    drawn.close()


def test_upgrading_again_keeps_what_is_there(url, database):
    """Every start upgrades: a database that is up to date is left alone, with its rows."""
    upgrade(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE catalogue_version SET version = 5"))
    upgrade(url)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version FROM catalogue_version")).scalar() == 5


def test_several_programs_may_upgrade_at_once(url, database):
    """Service and commands that start together find one schema, built once."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [url] * 4))
    assert _drift(database) == []


def test_a_newer_catalogue_is_refused(url, database):
    """A database that a later Resight migrated is not touched, and the message says what to do."""
    upgrade(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CatalogueUnavailable, match="newer"):
        upgrade(url)


def test_an_upgrade_that_fails_leaves_nothing(url, database):
    """All of an upgrade is one transaction: a table in its way leaves the database as it was."""
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE catalogue_version (odd INTEGER)"))
    with pytest.raises(CatalogueUnavailable):
        upgrade(url)
    assert inspect(database.engine).get_table_names() == ["catalogue_version"]


def test_imports_that_were_cancelled_are_told_so_after_the_upgrade(url, monkeypatch):
    """Rows refer to their imports before and after; one whose cancelling was called a failure has its own state."""
    with monkeypatch.context() as patched:
        patched.setattr("migrations.NEWEST", "0005")
        upgrade(url)
    database = Database(url)
    with database.writing() as connection:
        for number, reason in ((1, "cancelled on request"), (2, "the archive is damaged")):
            connection.execute(
                text(
                    "INSERT INTO imports (id, source, state, started, reason) "
                    "VALUES (:number, 'x', 'failed', '2026-01-01', :reason)"
                ),
                {"number": number, "reason": reason},
            )
            connection.execute(
                text(
                    "INSERT INTO import_rows (import_id, row, source_id, state, sighting) "
                    "VALUES (:number, 2, 'a', 'waiting', '{}')"
                ),
                {"number": number},
            )
    database.close()
    upgrade(url)
    database = Database(url)
    with database.reading() as connection:
        joined = "SELECT i.state, r.state FROM imports i JOIN import_rows r ON r.import_id = i.id ORDER BY i.id"
        assert connection.execute(text(joined)).fetchall() == [("cancelled", "cancelled"), ("failed", "waiting")]
    database.close()
