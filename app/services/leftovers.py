"""Leftovers: what a kill left of an import between two steps, and how rows of a cancelled one come to their ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app.domain.errors import Unavailable
from app.domain.ingestion import ImportReport, ImportState, RowState
from app.domain.ports import Catalogue, VectorIndex
from app.domain.ports_import import ImportRows

# In seconds; far longer than a writer waits for its turn with the next rows.
STANDS_STILL = 60.0
_CANCELLED = "the import was cancelled before its turn"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The use case, to be called now and then; by one thread at a time."""

    catalogue: Catalogue
    index: VectorIndex
    rows: ImportRows
    clock: Callable[[], float] = time.monotonic
    _halves: dict[int, tuple[int, float]] = field(default_factory=dict)  # how far each was, and since when

    def __call__(self) -> None:
        """Settle the rows of cancelled imports, and give up imports that nobody records any more; raises Unavailable.

        Who still records is told by the rows that come in: an import whose recording stands still is given up at a
        later call.
        """
        for import_id in self.rows.unsettled():
            settled(self.catalogue, self.index, self.catalogue.import_report(import_id))
        now, halves = self.clock(), self.rows.half_recorded()
        for import_id, reached in halves.items():
            before, since = self._halves.get(import_id, (None, now))
            self._halves[import_id] = reached, since if reached == before else now
            if reached == before and now - since > STANDS_STILL:
                _log().warning("half an import given up", import_id=import_id)
                self.rows.abandon(import_id)
        for import_id in self._halves.keys() - halves.keys():
            del self._halves[import_id]


def settled(catalogue: Catalogue, index: VectorIndex, report: ImportReport) -> ImportReport:
    """Bring the rows of a cancelled import to their ends, those too that a step stored meanwhile."""
    if report.state is not ImportState.CANCELLED or not {RowState.WAITING, RowState.STORED} & set(report.rows):
        return report
    catalogue.settle_rows(report.import_id, RowState.WAITING, RowState.CANCELLED, _CANCELLED)
    try:
        snapshot = index.refresh(catalogue)
        # What a step has stored meanwhile is not in that generation: its own end, or the next look, sees to it.
        catalogue.settle_rows(report.import_id, RowState.STORED, RowState.INDEXED, version=snapshot.catalogue_version)
    except Unavailable as error:
        _log().warning("cancelled import not indexed yet", import_id=report.import_id, reason=str(error))
    return catalogue.import_report(report.import_id)


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log
