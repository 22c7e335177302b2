"""The catalogue in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from app.adapters import sql_imports, sql_intake, sql_reads, sql_vectors
from app.adapters.sql_annals import SqlAnnals
from app.adapters.sql_calibrations import SqlCalibrations
from app.adapters.sql_engine import Database
from app.adapters.sql_rows import SqlRows
from app.adapters.sql_state import SqlState
from app.domain.catalogue import Annotation, Image, Individual, Sighting
from app.domain.conflicts import Held
from app.domain.ensemble import ActiveSpace, Float32
from app.domain.errors import UnknownAnnotation, UnknownImage
from app.domain.ingestion import Embedded, ImportReport, ImportState, Refused, RequestKey, RowState
from app.domain.partition import Gallery, Int64, Partition

_SHAS = 5000


class SqlCatalogue(SqlAnnals):
    """The Catalogue port. ``url`` is ``sqlite:///file`` or ``postgresql://...``; ``migrations.upgrade`` comes first.

    Safe to be called from many threads: each call is a transaction on a connection of its own.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.rows = SqlRows(self._database)
        """The ImportRows port on the same connections."""
        self.calibrations = SqlCalibrations(self._database)
        """The Calibrations port on the same connections."""

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    @contextmanager
    def at_once(self) -> Iterator[SqlState]:
        with self._database.reading() as connection:
            yield SqlState(connection)

    def version(self) -> int:
        with self.at_once() as state:
            return state.version()

    def fingerprints(self) -> Mapping[str, str]:
        with self.at_once() as state:
            return state.fingerprints()

    def signatures(self) -> Mapping[Partition, str]:
        with self.at_once() as state:
            return state.signatures()

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        with self.at_once() as state:
            return state.partition(partition)

    def gallery(self) -> Gallery:
        with self.at_once() as state:
            return state.gallery()

    def use_spaces(self, spaces: Sequence[ActiveSpace]) -> None:
        with self._database.writing() as connection:
            sql_vectors.use(connection, spaces)

    def annotation(self, annotation_id: int) -> Annotation:
        found = self.kept(annotation_id)
        if found.removed:
            raise UnknownAnnotation(f"annotation {annotation_id} was removed; its history is kept")
        return found

    def annotations(self, annotation_ids: Iterable[int]) -> dict[int, Annotation]:
        with self._database.reading() as connection:
            return sql_reads.by_ids(connection, annotation_ids)

    def annotation_ids(self, source_ids: Iterable[str], *, removed: bool = False) -> dict[str, int]:
        with self._database.reading() as connection:
            return sql_reads.ids_of(connection, source_ids, removed=removed)

    def individuals(self, *, after: str = "", limit: int = 100) -> list[Individual]:
        with self._database.reading() as connection:
            return sql_reads.page(connection, after, limit)

    def individual(self, name: str) -> tuple[Individual, list[Annotation]]:
        with self._database.reading() as connection:
            return sql_reads.individual(connection, name)

    def keys(self, *, individuals: Iterable[str] = (), encounters: Iterable[str] = ()) -> tuple[set[int], set[int]]:
        with self._database.reading() as connection:
            return sql_reads.keys(connection, individuals, encounters)

    def image(self, sha256: str) -> Image:
        with self._database.reading() as connection:
            found = sql_reads.image(connection, sha256)
        if found is None:
            raise UnknownImage(f"no image has the SHA-256 {sha256!r}")
        return found

    def image_shas(self) -> Iterator[str]:
        # A transaction a page: whoever reads the files behind these names takes hours for a large catalogue.
        last = 0
        while True:
            with self._database.reading() as connection:
                page = sql_reads.image_shas(connection, last, _SHAS)
            if not page:
                return
            yield from (sha256 for _, sha256 in page)
            last = page[-1][0]

    def held(self, sightings: Sequence[Sighting], sha256s: Sequence[str] = ()) -> Held:
        with self._database.reading() as connection:
            return sql_intake.held(connection, sightings, sha256s)

    def begin_import(self, source: str, sightings: Iterable[Sighting], request: RequestKey | None = None) -> int:
        return self.rows.recorder.record(source, sightings, request)

    def running_imports(self) -> list[int]:
        with self._database.reading() as connection:
            return sql_imports.running(connection)

    def add(
        self, import_id: int, rows: Sequence[Embedded], refused: Refused, fingerprints: Mapping[str, str] | None = None
    ) -> None:
        with self._database.writing() as connection:
            if fingerprints is not None:
                sql_vectors.require(connection, fingerprints)
            sql_intake.add(connection, import_id, rows, refused)

    def known(self, sightings: Sequence[tuple[Sighting, str]]) -> set[int]:
        with self._database.reading() as connection:
            return sql_intake.known(connection, sightings)

    def finish_import(self, import_id: int, state: ImportState, reason: str | None = None) -> None:
        with self._database.reading() as connection:
            runs = sql_imports.require(connection, import_id).state == ImportState.RUNNING
        if runs and state is ImportState.DONE:
            self.settle_rows(import_id, RowState.STORED, RowState.INDEXED)
        with self._database.writing() as connection:
            sql_imports.finish(connection, import_id, state, reason)

    def settle_rows(
        self, import_id: int, old: RowState, new: RowState, reason: str | None = None, version: int | None = None
    ) -> None:
        settled = 1
        while settled:
            with self._database.writing() as connection:
                sql_imports.require(connection, import_id)
                if version not in {None, sql_vectors.version(connection, lock=True)}:
                    return
                settled = sql_imports.settle(connection, import_id, old, new, reason)

    def import_report(self, import_id: int) -> ImportReport:
        with self._database.reading() as connection:
            return sql_imports.report(connection, import_id)

    def lacking(self, space: str) -> int:
        with self._database.reading() as connection:
            return sql_vectors.lacking(connection, space)

    def missing_vectors(self, space: str, limit: int) -> list[Annotation]:
        with self._database.reading() as connection:
            return sql_vectors.missing(connection, space, limit)

    def add_vectors(
        self, space: str, vectors: Mapping[int, Float32], revisions: Mapping[int, int] | None = None
    ) -> None:
        with self._database.writing() as connection:
            sql_vectors.replace(connection, space, vectors, revisions)
