"""Catalogues of every kind, each new and empty."""

from contextlib import closing

import pytest

from app.adapters.sql_catalogue import SqlCatalogue
from tests.databases import postgres_catalogue, sqlite_catalogue
from tests.fakes_catalogue import FakeCatalogue


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A database with the newest schema."""
    if request.param == "sqlite":
        yield sqlite_catalogue(tmp_path)
    else:
        with postgres_catalogue() as found:
            yield found


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def catalogue(request, tmp_path):
    """An empty catalogue of every kind."""
    if request.param == "fake":
        yield FakeCatalogue()
    elif request.param == "sqlite":
        with closing(SqlCatalogue(sqlite_catalogue(tmp_path))) as made:
            yield made
    else:
        with postgres_catalogue() as found, closing(SqlCatalogue(found)) as made:
            yield made
