"""Taking rows of an import into the catalogue, a chunk at a time."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from app.adapters import sql_imports, sql_reads, sql_vectors
from app.adapters.sql_engine import batches
from app.adapters.sql_tables import annotations, encounters, images, individuals
from app.domain.catalogue import Box, DatePrecision, Image, Sighting, name_key
from app.domain.conflicts import Held, Ledger, Verdict
from app.domain.curation import Facts
from app.domain.ensemble import Float32
from app.domain.errors import SpaceMismatch
from app.domain.ingestion import Embedded, RowState
from app.domain.partition import UNDATED

_EPOCH = datetime(1970, 1, 1)


def held(connection: Connection, sightings: Sequence[Sighting], sha256s: Iterable[str] = ()) -> Held:
    """Annotations with the source ids of these rows or in these photographs, and the names that the rows use."""
    found = {a.annotation_id: a for a in sql_reads.of_sources(connection, (said.source_id for said in sightings))}
    found.update({a.annotation_id: a for a in sql_reads.of_photographs(connection, sha256s)})
    return Held(list(found.values()), sql_reads.known_names(connection, sightings))


def known(connection: Connection, sightings: Sequence[tuple[Sighting, str]]) -> set[int]:
    """Sheet rows of those that the catalogue holds with all vectors that they need."""
    ledger = _ledger(connection, sightings)
    twins = {said.row: twin for said, sha256 in sightings if (twin := ledger.judge(said, sha256).twin)}
    covered = sql_vectors.covered(connection, twins.values())
    spaces = [stored.space for stored in sql_vectors.active(connection).values()]
    return {
        row
        for row, twin in twins.items()
        if {space.name for space in spaces if twin.viewpoint in space.viewpoints} <= covered[twin.annotation_id]
    }


def add(connection: Connection, import_id: int, rows: Sequence[Embedded], refused: Sequence[tuple[int, str]]) -> None:
    """Store a chunk: annotations with vectors, and row states."""
    sql_imports.require(connection, import_id)
    version = sql_vectors.version(connection, lock=True) + 1
    ledger = _ledger(connection, [(row.sighting, row.image.sha256) for row in rows])
    judged = [(row, ledger.judge(row.sighting, row.image.sha256)) for row in rows]
    new = [row for row, verdict in judged if verdict.state is RowState.STORED]
    ids = _insert(connection, import_id, new, version)
    vectors = _vectors(connection, judged, ids)
    sql_vectors.store(connection, vectors, version)
    states = {row.sighting.row: (verdict.state, verdict.reason) for row, verdict in judged}
    states.update({row: (RowState.REFUSED, reason) for row, reason in refused})
    sql_imports.mark(connection, import_id, states)
    if new or vectors:
        sql_vectors.set_version(connection, version)


def _ledger(connection: Connection, rows: Sequence[tuple[Sighting, str]]) -> Ledger:
    bearing = held(connection, [said for said, _ in rows], (sha256 for _, sha256 in rows))
    return Ledger(bearing.annotations, bearing.names)


def _vectors(
    connection: Connection, judged: Sequence[tuple[Embedded, Verdict]], ids: dict[str, int]
) -> list[tuple[sql_vectors.StoredSpace, int, Float32]]:
    """The vectors of a chunk that the catalogue lacks."""
    spaces = sql_vectors.active(connection)
    covered = sql_vectors.covered(connection, [verdict.twin for _, verdict in judged if verdict.twin])
    lacking: dict[tuple[str, int], Float32] = {}
    for row, verdict in judged:
        if stray := sorted(set(row.vectors) - set(spaces)):
            raise SpaceMismatch(f"{stray[0]!r} is not an active space")
        if verdict.state is RowState.STORED:
            annotation = ids[row.sighting.source_id]
        elif verdict.twin:
            annotation = verdict.twin.annotation_id
        else:
            continue
        for name, vector in row.vectors.items():
            if name not in covered.get(annotation, ()):
                lacking.setdefault((name, annotation), vector)
    return [(spaces[name], annotation, vector) for (name, annotation), vector in lacking.items()]


def _insert(connection: Connection, import_id: int, rows: Sequence[Embedded], version: int) -> dict[str, int]:
    """New annotations with what they refer to; their ids by source id."""
    said = [row.sighting for row in rows]
    whale_ids = name_ids(connection, individuals, [s.individual for s in said if s.individual])
    owners = {name_key(s.encounter): whale_ids[name_key(s.individual)] for s in said if s.encounter and s.individual}
    meeting_ids = name_ids(connection, encounters, [s.encounter for s in said if s.encounter])
    _own(connection, owners)
    image_ids = _ids(connection, images, "sha256", {row.image.sha256: _image(row.image) for row in rows})
    values = [
        fact_columns(row.sighting)
        | {
            "source_id": row.sighting.source_id,
            "source_row": row.sighting.row,
            "revision": version,
            "import_id": import_id,
            "image_id": image_ids[row.image.sha256],
            "individual_id": whale_ids[name_key(row.sighting.individual)] if row.sighting.individual else None,
            "encounter_id": meeting_ids[name_key(row.sighting.encounter)] if row.sighting.encounter else None,
        }
        for row in rows
    ]
    return dict(_returned(connection, annotations, "source_id", values))


def name_ids(connection: Connection, table: Table, names: Sequence[str]) -> dict[str, int]:
    """Database keys of individuals or encounters by ``name_key``; the first spelling of a new name stands for all.

    A name that edits have left without any annotation is new.
    """
    wanted = {name_key(name): name for name in reversed(names)}
    free = table.c.key == bindparam("wanted"), table.c.name != bindparam("spelled"), ~sql_reads.meant(table)
    if wanted:
        query = update(table).where(*free).values(name=bindparam("spelled"))
        connection.execute(query, [{"wanted": key, "spelled": name} for key, name in wanted.items()])
    return _ids(connection, table, "key", {key: {"name": name} for key, name in wanted.items()})


def _ids(connection: Connection, table: Table, key: str, wanted: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Database keys of rows by their unique column, inserting those that are not there yet."""
    found: dict[str, int] = {}
    for batch in batches(list(wanted)):
        query = select(table.c[key], table.c.id).where(table.c[key].in_(batch))
        found.update((value, number) for value, number in connection.execute(query))
    new = [{key: value, **columns} for value, columns in wanted.items() if value not in found]
    found.update(_returned(connection, table, key, new))
    return found


def _returned(
    connection: Connection, table: Table, key: str, values: list[dict[str, Any]]
) -> Iterable[tuple[str, int]]:
    if not values:
        return []
    query = insert(table).returning(table.c[key], table.c.id)
    return [(value, number) for value, number in connection.execute(query, values)]


def _own(connection: Connection, owners: dict[str, int]) -> None:
    """Say to which individual an encounter belongs, where nothing said it before."""
    if owners:
        unowned = encounters.c.key == bindparam("meeting"), encounters.c.individual_id.is_(None)
        query = update(encounters).where(*unowned).values(individual_id=bindparam("whale"))
        connection.execute(query, [{"meeting": meeting, "whale": whale} for meeting, whale in owners.items()])


def _image(image: Image) -> dict[str, Any]:
    size = {"width": image.width, "height": image.height, "byte_size": image.byte_size}
    return {"format": image.format, **size, "phash": image.phash}


def fact_columns(said: Sighting | Facts) -> dict[str, Any]:
    """Columns of what is said of an animal, but for the keys of its individual and encounter."""
    taken, day = said.captured.taken, said.captured.day
    local = taken and taken.replace(tzinfo=None)
    timed = local is not None and said.captured.precision is DatePrecision.SECOND
    return {
        "viewpoint": said.viewpoint,
        "taken": local,
        "precision": said.captured.precision,
        "year": said.captured.year,
        "day": day.toordinal() if day else UNDATED,
        "moment": int((local - _EPOCH).total_seconds()) if local and timed else None,
        **_box(said.box),
    }


def _box(box: Box | None) -> dict[str, Any]:
    if box is None:
        return {"box_key": "", "box_x": None, "box_y": None, "box_width": None, "box_height": None}
    x, y, width, height = box.x, box.y, box.width, box.height
    key = f"{x},{y},{width},{height}"
    return {"box_key": key, "box_x": x, "box_y": y, "box_width": width, "box_height": height}
