"""What a sheet said so far: the dictionary and the temporary file say the same."""

from collections.abc import Iterator

import pytest
from pysqlite3 import dbapi2 as sqlite

from app.adapters import sql_memory as module
from app.adapters.sql_memory import sql_memory
from app.domain.conflicts import Memory, Remembered
from app.domain.errors import StorageFull, Unavailable


@pytest.fixture(params=["dictionary", "file"])
def memory(request) -> Iterator[Memory]:
    if request.param == "dictionary":
        yield Remembered()
        return
    with sql_memory() as opened:
        yield opened


def test_the_first_word_counts(memory):
    """For each kind and key, however many come at once; what is only asked for is not remembered."""
    assert memory.first("name", {"a": "Ana", "b": "Bo"}) == {"a": "Ana", "b": "Bo"}
    assert memory.first("name", {"b": "BO", "c": "Cy"}) == {"b": "Bo", "c": "Cy"}
    assert memory.first("other", {"a": "x"}) == {"a": "x"}
    assert memory.known("name", ["a", "z"]) == {"a": "Ana"}
    assert memory.known("never", ["a"]) == {}
    assert (memory.count("name"), memory.count("other"), memory.count("never")) == (3, 1, 0)
    many = {str(number): "x" for number in range(1_700)}
    assert memory.first("many", many) == memory.first("many", many) == many


@pytest.mark.parametrize(
    ("reason", "error"), [("database or disk is full", StorageFull), ("disk I/O error", Unavailable)]
)
def test_a_disk_that_fails_is_told(monkeypatch, reason, error):
    """A full disk for temporary files is a full disk; the file is gone either way."""

    def fail(*_: object) -> None:
        raise sqlite.OperationalError(reason)

    monkeypatch.setattr(module.SqlMemory, "count", fail)
    with pytest.raises(error), sql_memory() as opened:
        opened.count("name")
