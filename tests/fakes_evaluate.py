"""The ports of evaluations in memory, but for the folders of runs, which are real: services name paths in them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from app.domain.errors import BadArchive, NotAllowed, UnknownEvaluation
from app.domain.frozen import Frozen
from app.domain.partition import Partition
from app.domain.report import Report
from app.domain.scenario import Prediction, ScenarioPack
from tests.fakes_index import NumpySnapshot


@dataclass
class FakePacks:
    """The ScenarioPacks port: packs and prediction files by the text of their path; a file is touched where it lies."""

    packs: dict[str, ScenarioPack] = field(default_factory=dict)
    files: dict[str, list[Prediction]] = field(default_factory=dict)

    def read(self, folder: Any) -> ScenarioPack:
        return self.packs[str(folder).replace(".partial", "")]

    def write(self, folder: Any, pack: ScenarioPack) -> None:
        self.packs[str(folder).replace(".partial", "")] = pack

    def read_predictions(self, path: Any) -> list[Prediction]:
        return self.files[str(path)]

    def write_predictions(self, path: Any, predictions: Any) -> None:
        self.files[str(path)] = list(predictions)
        if Path(path).parent.is_dir():
            Path(path).touch()


class FakeRuns:
    """The Runs port on a folder of its own, which goes with it; ids count."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="runs-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._ids: list[str] = []

    def create(self, write: Callable[[Path], None]) -> str:
        run_id = f"run{len(self._ids) + 1}"
        folder = Path(self._folder, run_id)
        folder.mkdir()
        write(folder)
        self._ids.append(run_id)
        return run_id

    def adopt(self, folder: Path) -> str:
        if not folder.is_dir():
            raise UnknownEvaluation(folder.name)
        self._ids.append(folder.name)
        shutil.copytree(folder, self.folder(folder.name))
        return folder.name

    def ids(self) -> list[str]:
        return self._ids[::-1]

    def begun(self, run_id: str) -> float:
        return 1.6e9 + int(self.folder(run_id).name.removeprefix("run"))

    def folder(self, run_id: str) -> Path:
        if run_id not in self._ids:
            raise UnknownEvaluation(run_id)
        return Path(self._folder, run_id)

    def put(self, run_id: str, name: str, content: bytes) -> None:
        (self.folder(run_id) / name).write_bytes(content)

    def get(self, run_id: str, name: str) -> bytes | None:
        path = self.folder(run_id) / name
        return path.read_bytes() if path.exists() else None

    def drop(self, run_id: str, pattern: str) -> None:
        for path in list(self.folder(run_id).glob(pattern)):
            path.unlink(missing_ok=True)


class _Source:
    """Frozen vectors as a source of the numpy index."""

    def __init__(self, frozen: Frozen) -> None:
        self.frozen = frozen

    @contextmanager
    def at_once(self) -> Iterator[_Source]:
        yield self

    def version(self) -> int:
        return self.frozen.catalogue_version

    def fingerprints(self) -> dict[str, str]:
        return dict(self.frozen.fingerprints)

    def gallery(self) -> Any:
        return self.frozen.gallery

    def signatures(self) -> dict[Partition, str]:
        return {Partition(space, "", 0): "" for space in self.frozen.vectors}

    def partition(self, partition: Partition) -> Any:
        return self.frozen.vectors[partition.space]


class FakeFrozen:
    """The FrozenVectors port in a dictionary; a test may lose what it holds."""

    def __init__(self) -> None:
        self.kept: dict[str, Frozen] = {}

    def write(self, path: Path, frozen: Frozen) -> None:
        self.kept[str(path)] = frozen

    def read(self, path: Path) -> Frozen | None:
        return self.kept.get(str(path))

    def snapshot(self, frozen: Frozen) -> NumpySnapshot:
        return NumpySnapshot(1, _Source(frozen))


@dataclass
class FakeSources:
    """The PackSources port: packs by the bytes of their archive, or by their folder's name."""

    packs: dict[str | bytes, ScenarioPack] = field(default_factory=dict)

    def archive(self, file: BinaryIO) -> ScenarioPack:
        content = file.read()
        if content not in self.packs:
            raise BadArchive("this is no ZIP")
        return self.packs[content]

    def folder(self, name: str) -> ScenarioPack:
        if name not in self.packs:
            raise NotAllowed("lies outside")
        return self.packs[name]


@dataclass
class FakeCache:
    """The VectorCache port in a dictionary."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def get(self, fingerprint: str, keys: Any) -> dict[str, Any]:
        own = self.held.get(fingerprint, {})
        return {key: own[key] for key in keys if key in own}

    def put(self, fingerprint: str, vectors: Any) -> None:
        self.held.setdefault(fingerprint, {}).update(vectors)


@dataclass
class FakeReports:
    """The Reports port: keeps what it was given."""

    reports: list[Report] = field(default_factory=list)

    def render(self, report: Report) -> bytes:
        self.reports.append(report)
        return repr(report.pins).encode()
