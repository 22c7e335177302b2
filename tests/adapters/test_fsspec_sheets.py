"""Sheets from S3, on a double of it that listens on the loopback address."""

import sys
from collections.abc import Iterator

import pytest

from app.adapters.fsspec_sheets import S3Sheets
from app.domain.catalogue import Sighting
from app.domain.errors import BadArchive, BadImage, Fault, NotAllowed, Unavailable
from app.domain.formats import SheetFormat

SHEET = "image_id,path,viewpoint,date\n1,images/é.jpg,top,2019\n2,gone.jpg,top,2019\n".encode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 of its own with one bucket: a sheet and its photographs below 2019/, and what lies beside."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        keys(patch)
        files = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
        files.mkdir("survey")
        for key, content in {
            "2019/metadata.csv": SHEET,
            "2019/images/e\u0301.jpg": b"bytes",
            "2019/large.jpg": b"x" * 20,
            "2019-secret/metadata.csv": SHEET,
            "wildbook/Whales 2019.csv": b"Encounter.mediaAsset0\na.jpg\n",
            "wildbook/a.jpg": b"a",
            "two/a.csv": SHEET,
            "two/b.csv": SHEET,
        }.items():
            files.pipe_file(f"survey/{key}", content)
    yield address
    running.stop()


def keys(patch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def sheets(endpoint, monkeypatch) -> S3Sheets:
    keys(monkeypatch)
    prefixes = ["s3://survey/2019/", "survey/wildbook", "s3://survey/two", "s3://survey/empty", "s3://nowhere"]
    return S3Sheets(prefixes, endpoint=endpoint, max_bytes=10)


def test_a_prefix_gives_its_rows_and_photographs(sheets):
    """As a folder does: rows, faults of what is not there, and bytes under a limit."""
    sheet = sheets.open("//survey/2019")
    assert sheet.layout().format is SheetFormat.CONTEST
    said, fault = sheet.sightings()
    assert isinstance(said, Sighting)
    assert sheet.read(said.path) == b"bytes"
    assert isinstance(fault, Fault)
    assert fault.reason == "'gone.jpg' is not below the prefix"
    for path, reason in (("large.jpg", "more than 10 bytes"), ("gone.jpg", "not below"), ("../two/a.csv", "not below")):
        with pytest.raises(BadImage, match=reason):
            sheet.read(path)


def test_the_only_csv_is_the_sheet(sheets):
    """A sheet of another product keeps its name."""
    sheet = sheets.open("//survey/wildbook/")
    assert sheet.layout().format is SheetFormat.WILDBOOK
    assert [said.path for said in sheet.sightings() if isinstance(said, Sighting)] == ["a.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        "//survey",
        "//survey/2019-secret",
        "//survey/2019/../2019-secret",
        "//survey/2019/..",
        "//other/2019",
        "//169.254.169.254/latest",
        "",
        "//survey/2019\n",
    ],
)
def test_only_allowed_prefixes_are_read(sheets, name):
    """Whole folders of a key count, dots lead nowhere, and no address can be named."""
    with pytest.raises(NotAllowed):
        sheets.open(name)


@pytest.mark.parametrize(("name", "reason"), [("//survey/empty", "no sheet"), ("//survey/two", "more than one sheet")])
def test_a_prefix_without_a_sheet_is_refused(sheets, name, reason):
    """The reason says what is missing."""
    with pytest.raises(BadArchive, match=reason):
        sheets.open(name)


def test_a_photograph_that_goes_away_is_refused(sheets, endpoint):
    """Deleted after the listing: that row is refused, nothing else."""
    import s3fs

    files = s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True)
    files.pipe_file("survey/2019/short.jpg", b"bytes")
    sheet = sheets.open("//survey/2019")
    files.rm_file("survey/2019/short.jpg")
    with pytest.raises(BadImage, match="not there"):
        sheet.read("short.jpg")


def test_a_bucket_that_is_not_there_is_refused(sheets):
    """A slip in the settings is told."""
    with pytest.raises(BadArchive):
        sheets.open("//nowhere/2019")


def test_a_store_that_does_not_answer_may_come_back(sheets, monkeypatch):
    """Nobody listens: the import waits, it does not fail."""
    keys(monkeypatch)
    with pytest.raises(Unavailable, match="does not answer"):
        S3Sheets(["survey"], endpoint="http://127.0.0.1:9").open("//survey/2019")


def test_without_the_extra_it_says_what_is_missing(monkeypatch):
    """S3 is an optional part."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(BadArchive, match=r"resight\[s3\]"):
        S3Sheets(["survey"]).open("//survey/2019")
