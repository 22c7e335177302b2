"""One state of the catalogue: what an index is built from, read in one transaction."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from app.adapters import sql_vectors
from app.domain.ensemble import Float32
from app.domain.partition import Gallery, Int64, Partition


class SqlState:
    """The VectorSource port on one connection, whose transaction sees one state of the database throughout."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def at_once(self) -> AbstractContextManager["SqlState"]:
        return nullcontext(self)

    def version(self) -> int:
        return sql_vectors.version(self._connection)

    def fingerprints(self) -> Mapping[str, str]:
        return {name: stored.space.fingerprint for name, stored in sql_vectors.active(self._connection).items()}

    def signatures(self) -> Mapping[Partition, str]:
        return sql_vectors.signatures(self._connection)

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        return sql_vectors.partition(self._connection, partition)

    def gallery(self) -> Gallery:
        return sql_vectors.gallery(self._connection)
