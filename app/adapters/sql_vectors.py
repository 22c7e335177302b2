"""Spaces, their vectors, and what an index is built from, in the tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, insert, select, update

from app.adapters import sql_reads
from app.adapters.sql_engine import batches
from app.adapters.sql_tables import annotations, catalogue_version, embeddings, images, spaces
from app.domain.catalogue import Annotation, Viewpoint
from app.domain.duplicates import FLAT, UNTIMED, gallery_of
from app.domain.ensemble import ActiveSpace, Float32, require_spaces
from app.domain.errors import SpaceMismatch, UnknownAnnotation
from app.domain.partition import NOBODY, VIEWPOINTS, Gallery, Int64, Partition

_STREAM = 1000
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """An active space with its database key."""

    space_id: int
    space: ActiveSpace

    def encode(self, vector: Float32) -> bytes:
        """A vector as it is stored; raises SpaceMismatch for another dimension."""
        if vector.shape != (self.space.dimension,):
            raise SpaceMismatch(
                f"the catalogue holds vectors of {self.space.dimension} numbers in space {self.space.name!r}, the "
                f"ensemble that is loaded gives {vector.size}: re-embed with it first (`resight reindex`)"
            )
        return np.asarray(vector, dtype=_FLOAT).tobytes()


def version(connection: Connection, *, lock: bool = False) -> int:
    """The catalogue version; ``lock`` makes writers of PostgreSQL wait for each other here, as SQLite's do anyway."""
    query = select(catalogue_version.c.version)
    return int(connection.execute(query.with_for_update() if lock else query).scalar_one())


def set_version(connection: Connection, number: int) -> None:
    """Move the catalogue version on."""
    connection.execute(update(catalogue_version).values(version=number))


def active(connection: Connection) -> dict[str, StoredSpace]:
    """The active spaces by name."""
    found: dict[str, StoredSpace] = {}
    for row in connection.execute(select(spaces).where(spaces.c.active).order_by(spaces.c.name)):
        served = frozenset(Viewpoint(value) for value in row.viewpoints.split(","))
        found[row.name] = StoredSpace(row.id, ActiveSpace(row.name, row.fingerprint, row.dimension, served))
    return found


def require(connection: Connection, fingerprints: Mapping[str, str]) -> None:
    """Raise SpaceMismatch unless these are the active spaces, and hold off whoever would make others active."""
    version(connection, lock=True)
    require_spaces({name: stored.space.fingerprint for name, stored in active(connection).items()}, fingerprints)


def active_space(connection: Connection, name: str) -> StoredSpace:
    """One active space; raises SpaceMismatch for any other name."""
    return known_space(active(connection), name)


def known_space(spaces: Mapping[str, StoredSpace], name: str) -> StoredSpace:
    """One of these active spaces; raises SpaceMismatch for any other name."""
    if name not in spaces:
        raise SpaceMismatch(f"{name!r} is not an active space")
    return spaces[name]


def use(connection: Connection, wanted: Sequence[ActiveSpace]) -> None:
    """Make these the active spaces."""
    number = version(connection, lock=True)
    if {s.space.name: s.space for s in active(connection).values()} == {space.name: space for space in wanted}:
        return
    connection.execute(update(spaces).values(active=False))
    for space in wanted:
        known = spaces.c.name == space.name, spaces.c.fingerprint == space.fingerprint
        served = ",".join(sorted(space.viewpoints))
        dimension = connection.execute(select(spaces.c.dimension).where(*known)).scalar_one_or_none()
        if dimension is None:
            row = {"name": space.name, "fingerprint": space.fingerprint, "dimension": space.dimension}
            connection.execute(insert(spaces).values(**row, viewpoints=served, active=True))
        elif dimension == space.dimension:
            connection.execute(update(spaces).where(*known).values(viewpoints=served, active=True))
        else:
            raise SpaceMismatch(f"space {space.name!r} holds vectors of {dimension} numbers under this fingerprint")
    set_version(connection, number + 1)


def covered(connection: Connection, held: Iterable[Annotation]) -> dict[int, set[str]]:
    """Names of the active spaces in which each of these annotations has a vector."""
    found: dict[int, set[str]] = {annotation.annotation_id: set() for annotation in held}
    names = {stored.space_id: name for name, stored in active(connection).items()}
    for batch in batches(list(found)):
        query = select(embeddings.c.annotation_id, embeddings.c.space_id)
        query = query.where(embeddings.c.space_id.in_(names), embeddings.c.annotation_id.in_(batch))
        for annotation_id, space_id in connection.execute(query):
            found[annotation_id].add(names[space_id])
    return found


def store(connection: Connection, rows: Sequence[tuple[StoredSpace, int, Float32]], number: int) -> None:
    """Insert vectors of annotations (space, annotation id, vector) under a catalogue version."""
    if rows:
        connection.execute(
            insert(embeddings),
            [
                {"space_id": s.space_id, "annotation_id": a, "version": number, "vector": s.encode(vector)}
                for s, a, vector in rows
            ],
        )


def replace(
    connection: Connection, name: str, vectors: Mapping[int, Float32], revisions: Mapping[int, int] | None
) -> None:
    """Store vectors of annotations in an active space, in place of any that are there.

    With ``revisions`` those that were changed or removed meanwhile are passed over.
    """
    stored = active_space(connection, name)
    number = version(connection, lock=True) + 1
    held = sql_reads.by_ids(connection, vectors)
    if revisions is not None:
        vectors = {a: vectors[a] for a, one in held.items() if one.revision == revisions[a]}
    elif stray := sorted(set(vectors) - set(held)):
        raise UnknownAnnotation(f"no annotation has the id {stray[0]}")
    for batch in batches(list(vectors)):
        same = embeddings.c.space_id == stored.space_id, embeddings.c.annotation_id.in_(batch)
        connection.execute(delete(embeddings).where(*same))
    store(connection, [(stored, annotation, vector) for annotation, vector in vectors.items()], number)
    if vectors:
        set_version(connection, number)


def lacking(connection: Connection, name: str) -> int:
    """How many annotations an active space serves that have no vector in it."""
    query = select(func.count()).select_from(annotations).where(*_lacks(active_space(connection, name)))
    return int(connection.execute(query).scalar_one())


def missing(connection: Connection, name: str, limit: int) -> list[Annotation]:
    """Annotations that an active space serves but that have no vector in it."""
    lacks = _lacks(active_space(connection, name))
    # Ids first: only these are sorted, not every annotation that lacks a vector.
    first = select(annotations.c.id).where(*lacks).order_by(annotations.c.id).limit(limit)
    found = sql_reads.by_ids(connection, connection.execute(first).scalars())
    return [found[number] for number in sorted(found)]


def _lacks(stored: StoredSpace) -> tuple[ColumnElement[bool], ...]:
    own = select(embeddings.c.annotation_id).where(
        embeddings.c.space_id == stored.space_id, embeddings.c.annotation_id == annotations.c.id
    )
    return annotations.c.viewpoint.in_(sorted(stored.space.viewpoints)), ~annotations.c.removed, ~own.exists()


def signatures(connection: Connection) -> dict[Partition, str]:
    """A text for each partition that changes with its members and vectors."""
    found: dict[Partition, str] = {}
    group = annotations.c.viewpoint, annotations.c.year
    count, latest, total = func.count(), func.max(embeddings.c.version), func.sum(annotations.c.id)
    for name, stored in active(connection).items():
        query = _members(stored, select(*group, count, latest, total)).group_by(*group).order_by(*group)
        for viewpoint, year, *summary in connection.execute(query):
            found[Partition(name, Viewpoint(viewpoint), year)] = ":".join(str(int(part)) for part in summary)
    return found


def partition(connection: Connection, wanted: Partition) -> tuple[Int64, Float32]:
    """Annotation ids, ascending, and their vectors."""
    stored = active_space(connection, wanted.space)
    own = annotations.c.viewpoint == wanted.viewpoint, annotations.c.year == wanted.year
    count = connection.execute(_members(stored, select(func.count())).where(*own)).scalar_one()
    ids, vectors = np.empty(count, np.int64), np.empty((count, stored.space.dimension), np.float32)
    query = _members(stored, select(annotations.c.id, embeddings.c.vector)).where(*own).order_by(annotations.c.id)
    streamed = query.execution_options(yield_per=_STREAM)
    row = 0
    # Filled in as it streams: a second copy of a large partition would be hundreds of megabytes.
    for part in connection.execute(streamed).partitions():
        numbers, blobs = zip(*part, strict=True)
        end = row + len(numbers)
        ids[row:end] = numbers
        vectors[row:end] = np.frombuffer(b"".join(blobs), _FLOAT).reshape(len(numbers), -1)
        row = end
    return ids, vectors


def gallery(connection: Connection) -> Gallery:
    """The columns of all annotations that were not removed."""
    position = case(
        {viewpoint.value: place for place, viewpoint in enumerate(VIEWPOINTS)}, value=annotations.c.viewpoint
    )
    query = select(
        annotations.c.id,
        func.coalesce(annotations.c.individual_id, NOBODY),
        func.coalesce(annotations.c.encounter_id, NOBODY),
        annotations.c.image_id,
        position,
        annotations.c.year,
        annotations.c.day,
        func.coalesce(images.c.phash, FLAT),
        func.coalesce(annotations.c.moment, UNTIMED),
    ).join(images, images.c.id == annotations.c.image_id)
    query = query.where(~annotations.c.removed).order_by(annotations.c.id)
    numbers = np.fromiter(chain.from_iterable(connection.execute(query)), dtype=np.int64)
    *known, phash, moment = np.ascontiguousarray(numbers.reshape(-1, 9).T)
    return gallery_of(known, phash, moment)


def _members(stored: StoredSpace, query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The query over the annotations of a space: those that it serves and that have a vector in it."""
    return (
        query.select_from(annotations)
        .join(embeddings, embeddings.c.annotation_id == annotations.c.id)
        .where(
            embeddings.c.space_id == stored.space_id,
            annotations.c.viewpoint.in_(sorted(stored.space.viewpoints)),
            ~annotations.c.removed,
        )
    )
