"""The order of a write: bytes, fsync, hash, rename, fsync of the folder, one transaction, and only then the answer."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event

from app.adapters.file_blobs import FileBlobs
from app.adapters.sql_catalogue import SqlCatalogue
from app.domain.catalogue import Image
from app.domain.ingestion import Embedded
from tests.contracts.catalogue import BODY, said, vector
from tests.databases import sqlite_catalogue

ANSWERS = 200


def order_fault(steps: list[tuple[str, str]], name: str) -> str | None:
    """What is wrong with the steps that led to one answer about the photograph ``name``, None when all is right."""
    at = {step: place for place, step in enumerate(steps)}
    written = [("fsync", f"incoming/{name}"), ("rename", name)]
    folders = [("fsync", name[:2]), ("fsync", "originals")]  # in any order
    if missing := {*written, *folders, ("commit", ""), ("answer", "")} - at.keys():
        return f"missing: {sorted(missing)}"
    right = [*written, *sorted(folders, key=lambda step: at[step]), ("commit", ""), ("answer", "")]
    return None if right == sorted(right, key=lambda step: at[step]) else f"out of order: {steps}"


class Recorder:
    """A store and a catalogue that tell every step; ``seed`` builds a bug into them."""

    def __init__(self, folder: Path, seed: str = "") -> None:
        self.steps: list[tuple[str, str]] = []
        self.seed = seed
        self.catalogue = SqlCatalogue(sqlite_catalogue(folder))
        self.catalogue.use_spaces([BODY])
        self.blobs = FileBlobs(folder / "originals", sync=self.sync, rename=self.rename)
        event.listen(self.catalogue._database.engine, "commit", lambda _: self.steps.append(("commit", "")))

    def sync(self, descriptor: int) -> None:
        if self.seed == "no fsync":
            return
        os.fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.steps.append(("fsync", f"incoming/{path.name}" if path.is_file() else path.name))

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)
        self.steps.append(("rename", target.name))

    def take(self, number: int) -> tuple[list[tuple[str, str]], str]:
        """Take one photograph in; the steps up to the answer, and its name."""
        content = b"photograph %d" % number
        name = hashlib.sha256(content).hexdigest()
        sighting = said(f"image{number}", number, individual=None, encounter=None)
        row = Embedded(sighting, Image(name, "JPEG", 90, 200, len(content)), {"body": vector(number)})
        import_id = self.catalogue.begin_import("a folder", [sighting])
        self.steps.clear()
        if self.seed == "answer before fsync":
            self.steps.append(("answer", ""))
        if self.seed == "row before photograph":
            self.catalogue.add(import_id, [row], [])
        self.blobs.put_all([content])
        if self.seed != "row before photograph":
            self.catalogue.add(import_id, [row], [])
        if self.seed != "answer before fsync":
            self.steps.append(("answer", ""))
        return list(self.steps), name


def test_every_answer_comes_last(tmp_path):
    """Twenty photographs, twenty answers in the right order; two hundred are traced below."""
    recorder = Recorder(tmp_path)
    assert [order_fault(*recorder.take(number)) for number in range(20)] == [None] * 20


@pytest.mark.parametrize("seed", ["no fsync", "answer before fsync", "row before photograph"])
def test_the_check_finds_a_wrong_order(tmp_path, seed):
    """Each seeded bug is seen at its first answer: a check that cannot fail would prove nothing."""
    assert order_fault(*Recorder(tmp_path, seed).take(1))


def test_originals_are_never_renamed_changed_or_deleted(tmp_path):
    """After imports, imports again, tidying and failed chunks each file is the same file with the same bytes."""
    recorder = Recorder(tmp_path)
    for number in range(20):
        recorder.take(number)
    root = tmp_path / "originals"

    def files() -> dict[Path, tuple[int, int, bytes]]:
        return {p: (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in root.glob("??/*")}

    before = files()
    recorder.blobs.put_all([b"photograph %d" % number for number in range(20)])
    FileBlobs(root).put_all([b"photograph 3", b"another"])
    after = files()
    assert {path: after.get(path) for path in before} == before
    assert len(after) == 21


_PROGRAM = """
import sys
from pathlib import Path
from tests.adapters.test_write_order import Recorder
recorder = Recorder(Path(sys.argv[1]))
recorder.steps = type("Deaf", (list,), {"append": lambda *_: None})()
for number in range(int(sys.argv[2])):
    _, name = recorder.take(number)
    print(f"answer {name}", flush=True)
"""


@pytest.mark.slow
def test_the_kernel_sees_the_same_order(tmp_path):
    """As strace tells it: per answer fsync of the file, rename, fsync of folder and root, fsync of the database."""
    if not shutil.which("strace"):
        pytest.skip("no strace here")
    trace, root = tmp_path / "trace", Path(__file__).parents[2]
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "80",
        "-e",
        calls,
        "-o",
        trace,
        sys.executable,
        "-c",
        _PROGRAM,
        tmp_path,
        "200",
    ]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip("no right to trace a process here")
    assert done.returncode == 0, done.stderr
    lines, found, start = trace.read_text().splitlines(), 0, 0
    for end, line in enumerate(lines):
        if answer := re.search(r'write\(1<.*"answer ([0-9a-f]{64})', line):
            assert kernel_fault(lines[start:end], answer[1]) is None
            found, start = found + 1, end
    assert found == ANSWERS


def kernel_fault(lines: list[str], name: str) -> str | None:
    """What is wrong with the system calls before one answer."""
    patterns = [
        rf"f(data)?sync\(\d+<[^>]*incoming/[^>]*/{name}>",
        rf'rename.*"[^"]*/{name}".*"[^"]*/originals/{name[:2]}/{name}"',
        rf"f(data)?sync\(\d+<[^>]*/originals/{name[:2]}>",
        r"f(data)?sync\(\d+<[^>]*catalogue\.sqlite(-wal)?>",
    ]
    at = [[place for place, line in enumerate(lines) if re.search(pattern, line)] for pattern in patterns]
    if not all(at):
        return f"{name}: missing: {[p for p, places in zip(patterns, at, strict=True) if not places]}"
    first, renamed, folder, last = at[0][0], at[1][0], at[2][-1], at[3][-1]
    return None if first < renamed < folder < last else f"{name}: out of order {(first, renamed, folder, last)}"
