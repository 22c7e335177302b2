"""Health: whether the service can answer a match now, and if not, why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.errors import ResightError
from app.domain.ports import Blobs, Catalogue, Embedder, VectorIndex
from app.services.rank import current_snapshot


@dataclass(frozen=True, slots=True)
class Readiness:
    """One sentence for each part: "ok" or why it cannot serve."""

    catalogue: str
    ensemble: str
    index: str
    storage: str

    @property
    def ready(self) -> bool:
        """Whether every part can serve."""
        return {self.catalogue, self.ensemble, self.index, self.storage} == {"ok"}


@dataclass(frozen=True, slots=True)
class Health:
    """The use case; asks each part and never raises a ResightError."""

    catalogue: Catalogue
    embedder: Embedder
    index: VectorIndex
    blobs: Blobs

    def __call__(self) -> Readiness:
        """Ask catalogue, ensemble, index and storage in turn."""
        return Readiness(
            _state(self.catalogue.version),
            _state(lambda: self.embedder.ensemble),
            _state(lambda: current_snapshot(self.index, self.embedder)),
            _state(self.blobs.check),
        )


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ResightError as error:
        return str(error)
    return "ok"
