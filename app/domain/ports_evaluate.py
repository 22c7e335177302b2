"""The ports of evaluations; the others stand in ``ports.py``. Their fakes live in ``tests/fakes_evaluate.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from app.domain.ensemble import Float32
from app.domain.frozen import Frozen
from app.domain.ports import Snapshot
from app.domain.report import Report
from app.domain.scenario import ScenarioPack


class Runs(Protocol):
    """Folders of evaluations: each appears whole, and each of its documents is written whole or not at all."""

    def create(self, write: Callable[[Path], None]) -> str:
        """A new run with what ``write`` puts into its folder; its id. Raises StorageFull, Unavailable."""

    def adopt(self, folder: Path) -> str:
        """Take over a run of another data folder under its own id; one that is here already stays as it is.

        Raises UnknownEvaluation for a folder that is none, StorageFull, Unavailable.
        """

    def ids(self) -> list[str]:
        """Every run, newest first."""

    def begun(self, run_id: str) -> float:
        """When it was created, in seconds of Unix time; raises UnknownEvaluation."""

    def folder(self, run_id: str) -> Path:
        """Where a run lies; raises UnknownEvaluation."""

    def put(self, run_id: str, name: str, content: bytes) -> None:
        """Write a document durably, in place of any that is there. Raises UnknownEvaluation, StorageFull."""

    def get(self, run_id: str, name: str) -> bytes | None:
        """A document, None when there is none; raises UnknownEvaluation."""

    def drop(self, run_id: str, pattern: str) -> None:
        """Forget the documents whose names match, ``*`` for anything; that there are none is no fault."""


class FrozenVectors(Protocol):
    """Vectors kept beside a piece of work, and searched as the index searches."""

    def write(self, path: Path, frozen: Frozen) -> None:
        """Keep them, whole or not at all. Raises StorageFull, Unavailable."""

    def read(self, path: Path) -> Frozen | None:
        """What was kept, None when nothing is there or its bytes are not those that were written."""

    def snapshot(self, frozen: Frozen) -> Snapshot:
        """Them as a generation that can be searched."""


class PackSources(Protocol):
    """Scenario packs as people bring them."""

    def archive(self, file: BinaryIO) -> ScenarioPack:
        """A checked pack from a ZIP that was posted; raises BadArchive, BadScenario, StorageFull."""

    def folder(self, name: str) -> ScenarioPack:
        """A checked pack from a folder under the import root; raises NotAllowed, BadScenario."""


class VectorCache(Protocol):
    """Vectors by the content of their photographs, kept between runs; what is lost is computed again."""

    def get(self, fingerprint: str, keys: Sequence[str]) -> dict[str, Float32]:
        """Those that are kept for a space, by key; raises Unavailable."""

    def put(self, fingerprint: str, vectors: Mapping[str, Float32]) -> None:
        """Keep vectors, all of them or none. Raises StorageFull, Unavailable."""


class Reports(Protocol):
    """Draws a report."""

    def render(self, report: Report) -> bytes:
        """One HTML file that needs nothing beside itself; the same report gives the same bytes."""
