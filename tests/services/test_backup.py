"""Backup and restore on fakes: what is copied in which order, and what is said of what cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.domain.backup import BackupReceipt, KeptFile
from app.services.backup import Backup, Restore
from tests.fakes_files import FakeBlobs

COPY = KeptFile("catalogue", "0" * 64, 1)


@dataclass
class FakeCopies:
    """The CatalogueCopies port: a catalogue is the names of its images."""

    held: list[str]
    steps: list[str]

    def write(self, file: Path) -> None:
        self.steps.append("catalogue copied")

    def names(self, file: Path) -> Iterator[str]:
        yield from self.held

    def require_empty(self) -> None:
        self.steps.append("catalogue must be empty")

    def read(self, file: Path) -> None:
        self.steps.append("catalogue restored")


@dataclass
class FakeFolder:
    """The BackupFolder port in memory."""

    steps: list[str]
    originals: FakeBlobs = field(default_factory=FakeBlobs)
    sealed: BackupReceipt | None = None

    @contextmanager
    def writing(self) -> Iterator[Path]:
        yield Path("new")

    def keep_uploads(self) -> None:
        self.steps.append("uploads copied")

    def seal(self, receipt: BackupReceipt) -> BackupReceipt:
        self.steps.append("sealed")
        self.sealed = replace(receipt, catalogue=COPY)
        return self.sealed

    def receipt(self) -> BackupReceipt:
        assert self.sealed
        return self.sealed

    def open(self, kept: KeptFile) -> Path:
        return Path(kept.path)

    def require_empty(self) -> None:
        self.steps.append("data must be empty")

    def restore_uploads(self, receipt: BackupReceipt) -> None:
        self.steps.append("uploads restored")


def test_the_catalogue_is_copied_between_the_uploads_and_before_its_originals():
    """An upload that goes or comes meanwhile is not lost, no original is forgotten, and the receipt is the last."""
    steps: list[str] = []
    blobs, folder = FakeBlobs(), FakeFolder(steps)
    names = blobs.put_all([b"%d" % number for number in range(450)])
    seen: list[tuple[int, int]] = []
    receipt = Backup(blobs, FakeCopies(names, steps), folder, "1.0")(lambda *at: seen.append(at))
    assert steps == ["uploads copied", "catalogue copied", "uploads copied", "sealed"]
    assert (receipt.version, receipt.originals, receipt.copied, receipt.lacking) == ("1.0", 450, 450, ())
    assert folder.originals.stored == blobs.stored
    assert seen == [(200, 450), (400, 450), (450, 450)]


def test_an_empty_catalogue_has_a_backup_too():
    """No photograph, and a receipt all the same."""
    assert Backup(FakeBlobs(), FakeCopies([], []), FakeFolder([]), "1.0")().originals == 0


def test_a_restore_looks_first_and_gives_the_catalogue_last():
    """Nothing is written before both places are known to be empty, and damage is named without stopping."""
    steps: list[str] = []
    source, target, folder = FakeBlobs(), FakeBlobs(), FakeFolder(steps)
    names = source.put_all([b"one", b"two", b"three"])
    Backup(source, FakeCopies(names, steps), folder, "1.0")()
    steps.clear()
    folder.originals.stored[names[0]] = b"rotten"
    del folder.originals.stored[names[1]]
    receipt = Restore(FakeCopies(names, steps), folder, lambda: target)()
    assert steps == ["data must be empty", "catalogue must be empty", "uploads restored", "catalogue restored"]
    assert (receipt.copied, len(receipt.lacking), list(target.stored)) == (1, 2, [names[2]])
