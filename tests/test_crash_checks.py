"""What the crash harness compares in the end: a sound data folder passes, and each way to break it is told."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from app.bootstrap import bootstrap
from app.config import Settings
from tests.crash.at_rest import faults
from tests.crash.book import Book, Bring
from tests.crash.photographs import Photograph, draw, write_folder
from tests.tiny_ensemble import build_tiny_ensemble

SURVEY = list(draw(6, seed=1))


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    """A data folder into which the survey was imported."""
    home = tmp_path_factory.mktemp("crash")
    write_folder(home / "survey", SURVEY)
    ensemble = build_tiny_ensemble(home / "tiny")
    services = bootstrap(Settings(_env_file=None, data=home / "data", ensemble=str(ensemble), threads=1))
    services.ingest.run(services.planning.begin(services.planning.plan(f"path:{home / 'survey'}")))
    services.jobs.close()
    services.browse.catalogue.close()
    return home / "data"


@pytest.fixture
def data(imported, tmp_path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(imported, tmp_path / "data")


def at_rest(data: Path, brought: list[Photograph] = SURVEY) -> list[str]:
    return faults(data, f"sqlite:///{data}/catalogue.sqlite", brought)


def sql(*statements: str) -> Callable[[Path], None]:
    def run(data: Path) -> None:
        engine = create_engine(f"sqlite:///{data}/catalogue.sqlite", poolclass=NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    return run


def original(data: Path) -> Path:
    return next((data / "originals").glob("??/*"))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "an original is lost": (lambda data: original(data).unlink(), "originals on disk: 1 lost"),
    "an original is changed": (lambda data: original(data).write_bytes(b"x"), "originals on disk: 1 lost"),
    "a temporary file is left": (lambda data: (data / "uploads" / "a.zip.partial").touch(), "files were left behind"),
    "a generation too many": (
        lambda data: [(data / "index" / f"generation-{name}.json").touch() for name in ("0", "00")],
        "more than two generations",
    ),
    "a row waits": (sql("UPDATE import_rows SET state = 'waiting'"), "import_rows that did not end"),
    "an import runs": (sql("UPDATE imports SET state = 'running'"), "imports that did not end"),
    "a vector is lost": (sql("DELETE FROM embeddings WHERE annotation_id = 1"), "vectors of tiny: 1 lost"),
    "a viewpoint changed": (sql("UPDATE annotations SET viewpoint = 'unknown' WHERE id = 1"), "index of"),
    "an annotation is lost": (
        sql("DELETE FROM embeddings WHERE annotation_id = 1", "DELETE FROM annotations WHERE id = 1"),
        "annotations: 1 lost",
    ),
    "an annotation came twice": (
        sql(
            "CREATE TABLE twin AS SELECT * FROM annotations WHERE id = 1",
            "UPDATE twin SET id = 99, source_id = 'again', box_key = 'again'",
            "INSERT INTO annotations SELECT * FROM twin",
        ),
        "annotations: 1 too many",
    ),
}


def test_a_sound_folder_passes(data):
    """No false alarm."""
    assert at_rest(data) == []


@pytest.mark.parametrize(("broken", "told"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_told(data, broken, told):
    """Each fault has its sentence."""
    broken(data)
    assert any(told in sentence for sentence in at_rest(data))


def test_a_photograph_that_is_not_there_is_told(data):
    """What was acknowledged counts, not what the folder holds."""
    assert any("1 lost" in sentence for sentence in at_rest(data, [*SURVEY, *draw(1, seed=2, prefix="q")]))


@pytest.mark.parametrize(
    "reports",
    [
        [("running", {"stored": 4, "waiting": 2}), ("running", {"stored": 3, "waiting": 3})],
        [("running", {"stored": 5})],
        [("done", {"indexed": 5, "waiting": 1})],
        [("done", {"indexed": 5, "quarantined": 1})],
        [("done", {"indexed": 6}), ("running", {"indexed": 6})],
        [("failed", {"stored": 4, "waiting": 2})],
    ],
)
def test_a_report_that_takes_back_what_it_said_is_told(reports):
    """Rows that are final stay so, one population is counted, and done means all."""
    book = Book()
    book.acknowledge(1, Bring(SURVEY))
    for state, rows in reports:
        book.read(1, {"state": state, "rows": rows, "total": sum(rows.values()), "progress": 0.5, "reason": ""})
    assert len(book.faults) == 1


def test_a_match_that_changes_its_mind_is_told():
    """A photograph keeps its annotation, is shown once, and versions of receipts never go back."""
    book = Book()
    for versions, ids in [((1, 1), [7]), ((1, 1), [8]), ((1, 1), [7, 8]), ((0, 1), [7])]:
        candidates = [{"annotation_id": number, "same_photograph": True} for number in ids]
        receipt = dict(zip(("catalogue_version", "index_generation"), versions, strict=True))
        book.show("a", {"candidates": candidates, "receipt": receipt})
    assert [fault.split()[0] for fault in book.faults] == ["a", "a", "a", "catalogue"]
