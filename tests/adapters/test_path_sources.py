"""Sheets by the name that an import remembers."""

from pathlib import Path

import pytest

from app.adapters.path_sources import PathSources
from app.domain.errors import BadArchive, NotAllowed
from tests.fakes_files import FakeSheet


def opener(kind: str, opened: list[tuple[str, Path]]):
    def remember(path: Path, root: Path | None = None) -> FakeSheet:
        assert root is None or path.is_relative_to(root.resolve())
        opened.append((kind, path))
        return FakeSheet([], {})

    return remember


@pytest.fixture
def opened() -> list[tuple[str, Path]]:
    return []


@pytest.fixture
def sources(tmp_path, opened) -> PathSources:
    for name in ("base/2019", "uploads"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "base" / "out").symlink_to(tmp_path)
    return PathSources(
        open_folder=opener("folder", opened),
        open_archive=opener("archive", opened),
        import_root=tmp_path / "base",
        uploads=tmp_path / "uploads",
    )


@pytest.mark.parametrize(
    ("source", "kind", "path"),
    [
        ("folder:2019", "folder", "base/2019"),
        ("folder:2019/../2019", "folder", "base/2019"),
        ("folder:july.ZIP", "archive", "base/july.ZIP"),
        ("upload:0123.zip", "archive", "uploads/0123.zip"),
    ],
)
def test_a_name_is_found_under_its_root(sources, opened, tmp_path, source, kind, path):
    """Folders lie under the import root, uploads in their own folder, archives are opened as such."""
    sources.open(source)
    assert opened == [(kind, (tmp_path / path).resolve())]


def test_the_command_line_names_any_path(sources, opened, tmp_path):
    """Whoever has a shell may read what the shell may read."""
    sources.open(f"path:{tmp_path}")
    assert opened == [("folder", tmp_path)]


@pytest.mark.parametrize(
    "source",
    ["folder:../uploads", "folder:/etc", "folder:out/uploads", "folder:a\0b", "upload:../base/2019", "upload:a\0b"],
)
def test_names_that_leave_their_root_are_not_allowed(sources, opened, source):
    """Neither dots, nor absolute names, nor links, nor odd characters lead out; nothing is opened."""
    with pytest.raises(NotAllowed):
        sources.open(source)
    assert opened == []


def test_without_an_import_root_no_folder_is_read(tmp_path, opened):
    """A service imports folders only where it was told to."""
    sources = PathSources(
        open_folder=opener("folder", opened), open_archive=opener("archive", opened), import_root=None, uploads=tmp_path
    )
    with pytest.raises(NotAllowed):
        sources.open("folder:2019")


def test_other_kinds_are_opened_by_name(tmp_path, opened):
    """What is no path on this machine has an opener of its own."""
    others = {"s3": opener("s3", opened)}
    folders = {"import_root": None, "uploads": tmp_path}
    sources = PathSources(
        open_folder=opener("folder", opened), open_archive=opener("zip", opened), others=others, **folders
    )
    sources.open("s3://bucket/2019")
    assert opened == [("s3", "//bucket/2019")]


@pytest.mark.parametrize("source", ["", "2019", "http://example.org/a.zip", "s3:bucket"])
def test_other_names_are_no_sources(sources, source):
    """Nothing is fetched from anywhere else."""
    with pytest.raises(BadArchive):
        sources.open(source)
