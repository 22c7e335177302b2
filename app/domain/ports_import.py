"""The port of the rows of an import, and of what they became; the others stand in ``ports.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.domain.ingestion import RequestKey, Waiting


class ImportRows(Protocol):
    """The rows of imports, in the catalogue's database. Raises CatalogueUnavailable."""

    def waiting(self, import_id: int, limit: int) -> list[Waiting]:
        """The next ``limit`` rows, those tried least often first, then in order; raises UnknownImport."""

    def attempt(self, import_id: int, rows: Sequence[int]) -> None:
        """Count one attempt more for these rows, on disk before their photographs are touched."""

    def give_back(self, import_id: int, rows: Sequence[int]) -> None:
        """Take back an attempt of those of these rows that still wait: it ended without being their fault."""

    def quarantine(self, import_id: int, rows: Sequence[tuple[int, str]]) -> None:
        """Set rows apart for good, each with its reason."""

    def brought(self, import_id: int) -> list[int]:
        """The ids of the annotations that an import has added and that were not removed since, in order."""

    def requested(self, request: RequestKey) -> int | None:
        """The import that this request began, if any; raises KeyReused when its key stands for another one.

        One that is not recorded whole counts for nothing.
        """

    def unsettled(self) -> list[int]:
        """Cancelled imports that have rows which are not in a final state, oldest first."""

    def half_recorded(self) -> Mapping[int, int]:
        """Imports whose recording has not ended, each with a number that grows while it goes on."""

    def abandon(self, import_id: int) -> None:
        """End an import that is half recorded as failed, and forget its rows; any other is left alone.

        Whoever still records it is told so by Unavailable. May be repeated.
        """
