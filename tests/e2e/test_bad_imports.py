"""Files that nobody here wrote, brought through every door of an import: each ends with a reason, none does harm.

A dry run and the import that follows are held together on all of them.
"""

import io
import os
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import bootstrap
from app.config import read_settings
from app.main import create_app
from tests.web.test_bad_inputs import corpus, quiet_libraries

HEADER = "image_id,path,viewpoint,date,whale_id"
_PATIENCE = 600


# Every tenth file in the quick suite, all of them in the slow one.
@pytest.fixture(params=[10, pytest.param(1, marks=pytest.mark.slow)], ids=["tenth", "whole"])
def step(request) -> int:
    return request.param


@pytest.fixture
def client(tmp_path, monkeypatch) -> Iterator[TestClient]:
    """A real service whose temporary files have a folder of their own."""
    for name in ("brought", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    settings = read_settings(import_root=tmp_path / "brought")
    with TestClient(create_app(bootstrap(settings), settings), raise_server_exceptions=False) as opened:
        yield opened


def outside(tmp_path: Path) -> list[str]:
    """Everything but the data folder, and the uploads in it."""
    found = [path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "data")]
    return sorted(map(str, [*found, *(tmp_path / "data" / "uploads").iterdir()]))


def ended(client: TestClient, address: str) -> dict[str, Any]:
    for _ in range(_PATIENCE):
        report = client.get(address).json()
        if report["state"] != "running":
            return report
        time.sleep(0.1)
    raise AssertionError(report)


def brought(client: TestClient, address: str, fields: dict[str, str], content: bytes | None = None) -> str:
    """Bring something twice, dry and in earnest; returns what became of it once both have said the same."""
    files = {} if content is None else {"archive": ("survey.zip", content)}
    trial = client.post(address, data=fields | {"dry_run": "true"}, files=files)
    answer = client.post(address, data=fields, files=files)
    if trial.status_code != 200:
        assert 400 <= trial.status_code < 500, trial.text
        assert trial.headers["content-type"] == "application/problem+json"
        assert trial.json()["detail"]
        assert answer.json() == trial.json()
        return trial.json()["code"]
    assert answer.status_code == 202, answer.text
    report, told = ended(client, answer.headers["location"]), trial.json()
    assert (report["state"], report["progress"]) == ("done", 1)
    assert report["rows"]["quarantined"] == 0
    assert report["rows"]["indexed"] == told["new"]
    assert report["rows"]["unchanged"] == told["unchanged"]
    assert report["rows"]["refused"] == told["refused_rows"]
    assert report["refused"] == told["refused"]
    assert all(row["reason"] for row in report["refused"])
    return "done"


def test_every_photograph_of_the_corpus_ends_with_a_reason(client, shared_data, tmp_path, step):
    """Broken, hostile and odd images, as one folder and as one archive: the import ends, sound ones are taken."""
    files = corpus(shared_data, "img", "exif")[::step]
    folder = tmp_path / "brought" / "odd"
    folder.mkdir()
    rows = []
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / f"{number:04}.bin")
        rows.append(f"n{number},{number:04}.bin,top,,")
    sheet = "\n".join([HEADER, *rows])
    (folder / "metadata.csv").write_text(sheet)
    before = outside(tmp_path)
    with quiet_libraries():
        assert brought(client, "/imports", {"folder": "odd"}) == "done"
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        assert brought(client, "/imports", {}, stream.getvalue()) == "done"
    report = client.get("/imports/1").json()
    print(f"\n{len(files)} photographs: {report['rows']}")
    assert report["total"] == len(files)
    assert report["rows"]["indexed"]
    assert report["rows"]["refused"]
    assert client.get("/imports/2").json()["rows"]["indexed"] == 0
    assert outside(tmp_path) == before


def test_every_archive_of_the_corpus_is_answered(client, shared_data, tmp_path, step):
    """Damaged, encrypted and lying ZIPs: a reason each, nothing unpacked anywhere, no upload left behind."""
    before, ends = outside(tmp_path), Counter[str]()
    for file in corpus(shared_data, "zip")[::step]:
        ends[brought(client, "/imports", {}, file.read_bytes())] += 1
    print(f"\n{ends.total()} archives: {dict(ends)}")
    assert outside(tmp_path) == before


def test_every_sheet_of_the_corpus_is_answered(client, shared_data, tmp_path, step):
    """Odd and broken CSV as the sheet of an upload session: faults with rows, and the session can be mended."""
    before, ends = outside(tmp_path), Counter[str]()
    address = client.post("/uploads").headers["location"]
    for file in corpus(shared_data, "csv")[::step]:
        assert client.put(f"{address}/sheet", content=file.read_bytes()).status_code == 201
        ends[brought(client, f"{address}/commit", {})] += 1
    print(f"\n{ends.total()} sheets: {dict(ends)}")
    assert set(ends) == {"bad_rows"}
    assert client.put(f"{address}/photographs/a.jpg", content=b"GIF").status_code == 201
    client.put(f"{address}/sheet", content=f"{HEADER}\n1,a.jpg,top,,\n".encode())
    assert brought(client, f"{address}/commit", {}) == "done"
    assert outside(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_odd_files_of_a_folder_are_told(client, tmp_path):
    """A named pipe, a link out, a hard link, /proc and a folder: each is a fault of its row; nobody waits for ever."""
    folder = tmp_path / "brought" / "odd"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "proc.jpg").symlink_to("/proc/self/environ")
    (folder / "hard.jpg").hardlink_to(tmp_path / "secret.jpg")
    (folder / "folder.jpg").mkdir()
    names = ["pipe", "link", "proc", "hard", "folder", "gone"]
    (folder / "metadata.csv").write_text("\n".join([HEADER, *(f"{name},{name}.jpg,top,," for name in names)]))
    answer = client.post("/imports", data={"folder": "odd"})
    assert answer.status_code == 422
    assert [fault["row"] for fault in answer.json()["faults"]] == [2, 3, 4, 5, 6, 7]
    assert brought(client, "/imports", {"folder": "odd"}) == "bad_rows"
    (tmp_path / "brought" / "out").symlink_to(tmp_path)
    for name in ("..", "../data", "/etc", "out", "odd/../.."):
        assert client.post("/imports", data={"folder": name}).status_code in {403, 422}
    assert client.post("/imports", data={"s3": "s3://bucket/survey"}).json()["code"] == "not_allowed"
