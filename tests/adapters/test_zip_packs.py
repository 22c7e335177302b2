"""Packs from a ZIP and from under the import root."""

import zipfile

import pytest

from app.adapters.csv_scenarios import CsvScenarios
from app.adapters.zip_packs import ZipPacks
from app.domain.errors import BadArchive, BadScenario, NotAllowed
from app.domain.scenario import Query, Scenario, ScenarioPack

PACK = ScenarioPack((Scenario("s1", (Query("q", "a"),), ("a", "b")),), {"q": frozenset("b")})
FILES = {
    "query_scenarios.csv": "scenario_id,queries_path,database_path\ns1,queries/s1.csv,databases/s1.csv\n",
    "queries/s1.csv": "query_id,query_image_id\nq,a\n",
    "databases/s1.csv": "database_image_id\na\nb\n",
    "ground_truth.csv": "query_id,database_image_id\nq,b\n",
}


@pytest.fixture
def packs(tmp_path) -> ZipPacks:
    return ZipPacks(CsvScenarios().read, tmp_path / "root")


def archive(tmp_path, files: dict[str, str]):
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    return path.open("rb")


@pytest.mark.parametrize("top", ["", "scenarios/"])
def test_a_pack_may_lie_at_the_top_or_in_a_folder(tmp_path, packs, top):
    """Other files, such as photographs, are never unpacked."""
    files = {f"{top}{name}": text for name, text in FILES.items()}
    with archive(tmp_path, files | {f"{top}images/a.jpg": "x" * 99}) as file:
        assert packs.archive(file) == PACK


@pytest.mark.parametrize(
    ("files", "error", "reason"),
    [
        ({}, BadArchive, "no query_scenarios.csv"),
        ({"a/query_scenarios.csv": "", "b/query_scenarios.csv": ""}, BadArchive, "2 query_scenarios.csv"),
        ({"../query_scenarios.csv": ""}, BadArchive, "not safe"),
        (FILES | {"queries/s1.csv": "query_id\nq\n"}, BadScenario, "queries/s1.csv, line 1, column query_image_id"),
    ],
)
def test_what_is_no_pack_is_refused(tmp_path, packs, files, error, reason):
    """By the archive's rules, then by those of the pack, with file and line."""
    with archive(tmp_path, files) as file, pytest.raises(error, match=reason):
        packs.archive(file)


def test_damaged_bytes_are_refused(tmp_path, packs):
    """A checksum that does not match."""
    with archive(tmp_path, FILES) as file:
        content = bytearray(file.read())
    packed = content.index(b"queries/s1.csv", content.index(b"PK\3\4", 4)) + len("queries/s1.csv")
    content[packed + 3] ^= 0xFF
    path = tmp_path / "damaged.zip"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(BadArchive):
        packs.archive(file)


def test_what_is_no_zip_is_refused(tmp_path, packs):
    """Told as a broken archive."""
    (tmp_path / "x").write_bytes(b"no zip")
    with (tmp_path / "x").open("rb") as file, pytest.raises(BadArchive):
        packs.archive(file)


def test_a_folder_under_the_import_root_is_read(tmp_path, packs):
    """By its name below the root, and only below it."""
    CsvScenarios().write(tmp_path / "root" / "mine", PACK)
    assert packs.folder("mine") == PACK
    for name in ("../root2", "/etc", "a\0b"):
        with pytest.raises(NotAllowed):
            packs.folder(name)


def test_without_an_import_root_no_folder_is_read():
    """Nothing is guessed."""
    with pytest.raises(NotAllowed, match="no import root"):
        ZipPacks(CsvScenarios().read, None).folder("mine")
