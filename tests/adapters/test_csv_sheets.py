"""Sheets from a folder."""

import os
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters.csv_sheets import CsvSheet
from app.domain.errors import BadArchive, BadImage, BadRows, Fault, NotAllowed, ResightError

HEADER = "image_id,path,viewpoint,date"


def folder(tmp_path: Path, *paths: str) -> Path:
    """A folder with a sheet that names ``paths``; photographs are written for those that stay inside."""
    survey = tmp_path / "survey"
    (survey / "images").mkdir(parents=True)
    rows = [f"i{number},{path},top,2019-08-05" for number, path in enumerate(paths)]
    (survey / "metadata.csv").write_text("\n".join([HEADER, *rows]))
    for path in paths:
        (survey / path).write_bytes(path.encode())
    return survey


def sheet_reasons(path: Path) -> list[str]:
    return [said.reason for said in CsvSheet(path).sightings() if isinstance(said, Fault)]


def test_a_folder_gives_its_rows_and_photographs(tmp_path):
    """metadata.csv names the photographs that lie beside it."""
    sheet = CsvSheet(folder(tmp_path, "images/a.jpg", "b.jpg"))
    assert [sighting.path for sighting in sheet.sightings()] == ["images/a.jpg", "b.jpg"]
    assert sheet.read("images/a.jpg") == b"images/a.jpg"


def test_a_csv_file_stands_for_its_folder(tmp_path):
    """A sheet of another name is opened by that name."""
    survey = folder(tmp_path, "a.jpg")
    (survey / "metadata.csv").rename(survey / "July.CSV")
    sheet = CsvSheet(survey / "July.CSV")
    assert sheet.read(next(sheet.sightings()).path) == b"a.jpg"


def test_the_users_own_path_may_be_a_link(tmp_path):
    """Whoever opens a folder through a link means its target."""
    (tmp_path / "link").symlink_to(folder(tmp_path, "a.jpg"))
    assert CsvSheet(tmp_path / "link").read("a.jpg") == b"a.jpg"


@pytest.mark.parametrize("name", ["absent", "empty", "pipe", "directory"])
def test_what_holds_no_sheet_is_refused(tmp_path, name):
    """A missing folder, one without metadata.csv, and a pipe or a folder of that name are no sheets; nothing waits."""
    if name != "absent":
        (tmp_path / name).mkdir()
    if name == "pipe":
        os.mkfifo(tmp_path / name / "metadata.csv")
    if name == "directory":
        (tmp_path / name / "metadata.csv").mkdir()
    with pytest.raises(BadArchive, match="holds no sheet") as error:
        CsvSheet(tmp_path / name)
    assert str(tmp_path) not in str(error.value)


def test_a_sheet_that_links_out_of_its_folder_is_refused(tmp_path):
    """metadata.csv itself must lie in the folder."""
    (tmp_path / "secret.csv").write_text(HEADER)
    survey = tmp_path / "survey"
    survey.mkdir()
    (survey / "metadata.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(BadArchive, match="leads out"):
        CsvSheet(survey)


def test_links_inside_the_folder_are_followed(tmp_path):
    """A link from one photograph to another, or to a folder of them, is as good as the photograph."""
    survey = folder(tmp_path, "images/a.jpg", "alias.jpg", "b.jpg")
    (survey / "alias.jpg").unlink()
    (survey / "alias.jpg").symlink_to("images/a.jpg")
    (survey / "more").symlink_to("images")
    sheet = CsvSheet(survey)
    assert len(list(sheet.sightings())) == 3
    assert sheet.read("alias.jpg") == sheet.read("more/a.jpg") == b"images/a.jpg"


def test_photographs_that_cannot_be_used_are_faults_of_the_sheet(tmp_path):
    """Missing files, folders, pipes and every way out are named by row before anything is imported."""
    paths = ["gone.jpg", "images", "pipe.jpg", "out.jpg", "away/passwd", "loop.jpg", "a" * 300 + ".jpg"]
    survey = folder(tmp_path)
    (survey / "metadata.csv").write_text(
        "\n".join([HEADER, *(f"i{number},{path},top," for number, path in enumerate(paths))])
    )
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    os.mkfifo(survey / "pipe.jpg")
    (survey / "out.jpg").symlink_to(tmp_path / "outside.jpg")
    (survey / "away").symlink_to("/etc")
    (survey / "loop.jpg").symlink_to("loop.jpg")
    reasons = sheet_reasons(survey)
    for part, reason in zip(
        ["No such file", "not a plain file", "not a plain file", "leads out", "leads out", "", "name too long"],
        reasons,
        strict=True,
    ):
        assert part in reason
    sheet_of_others = CsvSheet(survey)
    for path in paths:
        with pytest.raises(BadImage):
            sheet_of_others.read(path)


@pytest.mark.parametrize("path", ["../outside.jpg", "/etc/passwd", "images/../../outside.jpg", "a\0b", "\udc80", ""])
def test_no_path_reads_anything_outside(tmp_path, path):
    """Reading holds paths against the same rules, wherever they come from."""
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    sheet = CsvSheet(folder(tmp_path, "a.jpg"))
    with pytest.raises(BadImage):
        sheet.read(path)


def test_a_folder_swapped_for_a_link_leads_nowhere(tmp_path):
    """A link that appears between the check and the reading is not followed out."""
    survey = folder(tmp_path, "images/a.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jpg").write_bytes(b"secret")
    sheet = CsvSheet(survey)
    list(sheet.sightings())
    (survey / "images").rename(survey / "old")
    (survey / "images").symlink_to(outside)
    with pytest.raises(BadImage, match="leads out"):
        sheet.read("images/a.jpg")


def test_a_link_that_appears_after_resolving_is_not_followed(tmp_path, monkeypatch):
    """Even between resolving a path and opening it no link is followed."""
    survey = folder(tmp_path, "images/a.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"secret")
    sheet = CsvSheet(survey)
    (survey / "images").rename(survey / "old")
    (survey / "images").symlink_to(tmp_path / "images")
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    with pytest.raises(BadImage, match=r"symbolic|directory"):
        sheet.read("images/a.jpg")


def test_below_a_root_nothing_has_a_second_name(tmp_path):
    """Where others may write, a hard link could show anybody's file; on a user's own path it is not our business."""
    survey = folder(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "secret").write_bytes(b"secret")
    (survey / "b.jpg").unlink()
    (survey / "b.jpg").hardlink_to(tmp_path / "secret")
    strict = CsvSheet(survey, tmp_path)
    assert [said.reason for said in strict.sightings() if isinstance(said, Fault)] == [
        "'b.jpg' has a second name elsewhere (a hard link)"
    ]
    with pytest.raises(BadImage, match="hard link"):
        strict.read("b.jpg")
    assert strict.read("a.jpg") == b"a.jpg"
    assert CsvSheet(survey).read("b.jpg") == b"secret"


def test_a_folder_outside_its_root_is_not_opened(tmp_path):
    """Even when a link inside the root names it."""
    survey = folder(tmp_path, "a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(survey)
    with pytest.raises(NotAllowed):
        CsvSheet(root / "out", root)


def test_races_of_links_never_lead_out(tmp_path):
    """A hundred times a photograph, its folder or the sheet's own folder is swapped for a link while it is read."""
    survey, outside = folder(tmp_path, "images/a.jpg"), tmp_path / "outside"
    (outside / "images").mkdir(parents=True)
    for path in (outside / "a.jpg", outside / "images" / "a.jpg"):
        path.write_bytes(b"secret")
    sheet, stop, seen = CsvSheet(survey, tmp_path / "survey"), threading.Event(), Counter()
    swaps = [
        (survey / "images" / "a.jpg", outside / "a.jpg"),
        (survey / "images", outside / "images"),
        (survey, outside),
    ]

    def swap():
        while not stop.is_set():
            for place, target in swaps:
                kept = place.with_name("kept")
                place.rename(kept)
                place.symlink_to(target)
                place.unlink()
                kept.rename(place)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        while seen.total() < 100:
            try:
                seen[sheet.read("images/a.jpg")] += 1
            except BadImage:
                seen["refused"] += 1
    finally:
        stop.set()
        swapping.join()
    assert b"secret" not in seen
    assert set(seen) <= {b"images/a.jpg", "refused"}


def test_a_photograph_has_a_limit_of_size(tmp_path):
    """Exactly the limit is read, one byte more is not."""
    survey = folder(tmp_path, "a.jpg")
    assert CsvSheet(survey, max_bytes=5).read("a.jpg") == b"a.jpg"
    with pytest.raises(BadImage, match="more than 4 bytes"):
        CsvSheet(survey, max_bytes=4).read("a.jpg")


def test_a_sheet_that_disappears_is_a_bad_archive(tmp_path):
    """A folder that is unmounted between opening and reading is named as such."""
    survey = folder(tmp_path, "a.jpg")
    sheet = CsvSheet(survey)
    (survey / "metadata.csv").unlink()
    with pytest.raises(BadArchive):
        list(sheet.sightings())
    with pytest.raises(BadArchive):
        sheet.layout()


def test_reading_leaves_no_descriptor_open(tmp_path):
    """Refusals close what they opened."""
    survey = folder(tmp_path, "images/a.jpg")
    os.mkfifo(survey / "pipe.jpg")
    sheet = CsvSheet(survey, max_bytes=3)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    for path in ["images/a.jpg", "pipe.jpg", "gone/a.jpg", "images", "images/a.jpg/b"] * 5:
        with pytest.raises(BadImage):
            sheet.read(path)
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


def test_every_foreign_csv_ends_in_rows_or_faults(shared_data):
    """Broken and hostile csv files that nobody here wrote: no other exception, whatever they hold."""
    files = [file for file in (shared_data / "bad-inputs" / "csv").rglob("*") if file.is_file()]
    assert files
    with tempfile.TemporaryDirectory() as place:
        for file in files:
            copy = Path(place) / "sheet.csv"
            copy.write_bytes(file.read_bytes())
            with suppress(BadRows, BadArchive):
                CsvSheet(copy).layout()
            with suppress(BadArchive):
                assert list(CsvSheet(copy).sightings())


def test_the_belugas(belugas):
    """The contest's folder reads whole, photographs included."""
    sheet = CsvSheet(belugas)
    sightings = list(sheet.sightings())
    assert len(sightings) == 4_400
    assert sheet.read(sightings[0].path).startswith(b"\xff\xd8")


def test_faults_are_errors_of_the_house(tmp_path):
    """Everything that a sheet raises is a ResightError."""
    with pytest.raises(ResightError):
        CsvSheet(tmp_path / "\0")
