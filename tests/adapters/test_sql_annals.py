"""Editing keeps its contract on the fake, SQLite and PostgreSQL; that its history cannot be rewritten stands below."""

from contextlib import closing

import pytest
from sqlalchemy import text

from app.adapters.sql_catalogue import SqlCatalogue
from app.adapters.sql_engine import Database
from app.domain.errors import Conflict
from tests.contracts.annals import *  # noqa: F403 - the contract's tests are collected here
from tests.contracts.annals import change
from tests.contracts.catalogue import BODY, import_all, ready, said


@pytest.mark.parametrize("statement", ["UPDATE annotation_history SET actor = 'Eve'", "DELETE FROM annotation_history"])
def test_the_past_cannot_be_rewritten(url, statement):
    """Both databases refuse to change or delete a line of the history, whoever asks."""
    with closing(SqlCatalogue(url)) as opened:
        opened.use_spaces([BODY])
        import_all(opened, [ready(said("one"))])
        change(opened, removed=True)
        database = Database(url)
        with pytest.raises(Conflict), database.writing() as connection:
            connection.execute(text(statement))
        database.close()
        [kept] = opened.history(opened.annotation_ids(["one"], removed=True)["one"])
        assert kept.signature.actor == "Ann"
