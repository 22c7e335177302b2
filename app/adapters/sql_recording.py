"""Recording an import: all its rows, in transactions so short that every other writer gets in between.

An import of few rows is recorded in one transaction. A larger one is ``recording`` until its last rows are in, and
nobody is told of it before. What a kill leaves half recorded is given up, never gone on with: its sheet may be another
one by now. Whoever gives up an import says so in the catalogue, so that a recorder that was only slow finds out and
stops.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from typing import Any

from app.adapters import sql_imports
from app.adapters.sql_engine import Database, batches
from app.disk import disk_errors
from app.domain.catalogue import Sighting
from app.domain.errors import Unavailable
from app.domain.ingestion import ImportState, RequestKey, RowState
from app.domain.sightings import dump_sighting

# A transaction: a quarter of a second on a slow machine. Others wait no longer for their turn.
_PAGE = 2_000
# Another process learns only by asking that the lock is free: so much of the time it must find it so.
_LEFT_FREE = 0.25
_COLUMNS = ("row", "source_id", "sighting")


class Recorder:
    """Records imports; used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._here: set[int] = set()  # what a thread of this process is recording now
        self._changed = threading.Condition()

    def record(self, source: str, sightings: Iterable[Sighting], request: RequestKey | None) -> int:
        """The id of the import with all these rows, or that of the import that the same request began."""
        with _spooled(sightings) as rows:
            pages = _ended(batches(rows, _PAGE))
            first, whole = next(pages, ([], True))
            state = ImportState.RUNNING if whole else ImportState.RECORDING
            while (begun := self._begun(source, first, state, request)) is None:
                pass
            import_id, ours = begun
            if ours and not whole:
                self._go_on(import_id, pages)
            return import_id

    def abandon(self, import_id: int) -> None:
        """End an import that is half recorded and forget its rows; may be repeated, and leaves any other alone."""
        with self._database.writing() as connection:
            if not sql_imports.give_up(connection, import_id):
                return
        left = 1
        while left:
            with self._database.writing() as connection:
                left = sql_imports.clear(connection, import_id)

    def half_recorded(self) -> dict[int, int]:
        """Imports whose recording has not ended, with a number that grows while it goes on."""
        with self._database.reading() as connection:
            return sql_imports.recording(connection)

    def _begun(
        self, source: str, rows: list[dict[str, Any]], state: ImportState, request: RequestKey | None
    ) -> tuple[int, bool] | None:
        """The import of these first rows, and whether it is a new one; None when that has to be asked again."""
        number = None
        try:
            with self._database.writing() as connection:
                number = sql_imports.begin(connection, source, state, request)
                if number is not None:
                    # Before anybody else can see it: an import that nobody here records counts as left by a kill.
                    self._note(number, recording=state is ImportState.RECORDING)
                    sql_imports.insert_rows(connection, number, rows)
                    return number, True
                earlier = sql_imports.earlier(connection, request)
        except BaseException:
            self._note(number, recording=False)
            raise
        if earlier is None:
            return None  # it was given up a moment ago
        if earlier.state != ImportState.RECORDING:
            return int(earlier.id), False
        with self._changed:
            under_way = earlier.id in self._here
            self._changed.wait_for(lambda: earlier.id not in self._here)
        if not under_way:
            self.abandon(earlier.id)
        return None

    def _go_on(self, import_id: int, pages: Iterable[tuple[list[dict[str, Any]], bool]]) -> None:
        """Record the other rows, and with the last of them that they are all; what fails leaves nothing behind."""
        try:
            for page, last in pages:
                begun = time.monotonic()
                with self._database.writing() as connection:
                    sql_imports.require_recording(connection, import_id)
                    sql_imports.insert_rows(connection, import_id, page)
                    if last:
                        sql_imports.recorded(connection, import_id)
                time.sleep(_LEFT_FREE * (time.monotonic() - begun))
        except BaseException:
            with suppress(Unavailable):
                self.abandon(import_id)
            raise
        finally:
            self._note(import_id, recording=False)

    def _note(self, import_id: int | None, *, recording: bool) -> None:
        with self._changed:
            if import_id is not None:
                (self._here.add if recording else self._here.discard)(import_id)
            self._changed.notify_all()


@contextmanager
def _spooled(sightings: Iterable[Sighting]) -> Iterator[Iterator[dict[str, Any]]]:
    """Columns of the rows of an import before it has an id, on disk: made first, so that transactions are short."""
    with ExitStack() as stack:
        with disk_errors("the disk is full: the import was not begun", _away):
            spool = stack.enter_context(TemporaryFile("w+", encoding="utf-8"))
        for said in sightings:
            line = json.dumps([said.row, said.source_id, dump_sighting(said)])
            with disk_errors("the disk is full: the import was not begun", _away):
                spool.write(line + "\n")
        with disk_errors("the disk is full: the import was not begun", _away):
            spool.seek(0)
        yield (dict(zip(_COLUMNS, json.loads(line), strict=True), state=RowState.WAITING) for line in spool)


def _ended(pages: Iterable[list[dict[str, Any]]]) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """Each page, and whether it is the last one."""
    held: list[dict[str, Any]] | None = None
    for page in pages:
        if held is not None:
            yield held, False
        held = page
    if held is not None:
        yield held, True


def _away(why: str) -> Unavailable:
    return Unavailable(f"the folder of temporary files does not answer: {why}")
