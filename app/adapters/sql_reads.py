"""Reading annotations, individuals, encounters and images from the tables."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    distinct,
    exists,
    func,
    select,
)

from app.adapters.sql_engine import batches
from app.adapters.sql_tables import LARGEST_ID, annotations, encounters, images, individuals
from app.domain.catalogue import (
    Annotation,
    Box,
    CaptureDate,
    DatePrecision,
    Image,
    Individual,
    Sighting,
    Viewpoint,
    name_key,
)
from app.domain.conflicts import KnownNames
from app.domain.errors import BadScope, UnknownAnnotation, UnknownIndividual

AnyRow = Row[*tuple[Any, ...]]

_IMAGE = (images.c.sha256, images.c.format, images.c.width, images.c.height, images.c.byte_size, images.c.phash)
_ANNOTATION = (
    select(
        annotations.c.id,
        annotations.c.source_id,
        annotations.c.viewpoint,
        annotations.c.taken,
        annotations.c.precision,
        annotations.c.box_key,
        annotations.c.box_x,
        annotations.c.box_y,
        annotations.c.box_width,
        annotations.c.box_height,
        annotations.c.revision,
        annotations.c.removed,
        individuals.c.name,
        encounters.c.name,
        *_IMAGE,
    )
    .join(images, images.c.id == annotations.c.image_id)
    .outerjoin(individuals, individuals.c.id == annotations.c.individual_id)
    .outerjoin(encounters, encounters.c.id == annotations.c.encounter_id)
)

# Built once: each match runs it, and to compile it anew takes longer than to answer it.
_BY_IDS = _ANNOTATION.where(annotations.c.id.in_(bindparam("ids", expanding=True)), ~annotations.c.removed).order_by(
    annotations.c.id
)


def find(connection: Connection, condition: ColumnElement[bool]) -> list[Annotation]:
    """Annotations that meet a condition, by id."""
    query = _ANNOTATION.where(condition).order_by(annotations.c.id)
    return [_annotation(row) for row in connection.execute(query)]


def by_ids(connection: Connection, annotation_ids: Iterable[int]) -> dict[int, Annotation]:
    """Those annotations that exist and were not removed, by id."""
    wanted = {number for number in annotation_ids if 0 < number <= LARGEST_ID}
    found = (row for batch in batches(wanted) for row in connection.execute(_BY_IDS, {"ids": batch}))
    return {annotation.annotation_id: annotation for annotation in map(_annotation, found)}


def kept(connection: Connection, annotation_id: int) -> Annotation:
    """One annotation, be it removed; raises UnknownAnnotation."""
    in_range = 0 < annotation_id <= LARGEST_ID
    found = find(connection, annotations.c.id == annotation_id) if in_range else []
    if not found:
        raise UnknownAnnotation(f"no annotation has the id {annotation_id}")
    return found[0]


def ids_of(connection: Connection, source_ids: Iterable[str], *, removed: bool) -> dict[str, int]:
    """Those source ids that exist, or were removed, with their annotation ids."""
    known: dict[str, int] = {}
    for batch in batches(set(source_ids)):
        query = select(annotations.c.source_id, annotations.c.id)
        query = query.where(annotations.c.source_id.in_(batch), annotations.c.removed == removed)
        known.update((source_id, number) for source_id, number in connection.execute(query))
    return known


def of_sources(connection: Connection, source_ids: Iterable[str]) -> Iterator[Annotation]:
    """Annotations with one of these source ids, removed ones too."""
    for batch in batches(set(source_ids)):
        yield from find(connection, annotations.c.source_id.in_(batch))


def of_photographs(connection: Connection, sha256s: Iterable[str]) -> Iterator[Annotation]:
    """Annotations in one of these photographs, removed ones too."""
    for batch in batches(set(sha256s)):
        yield from find(connection, images.c.sha256.in_(batch))


def known_names(connection: Connection, sightings: Iterable[Sighting]) -> KnownNames:
    """The names in these sightings that the catalogue holds, perhaps under another spelling.

    A name that edits have left without any annotation, be it a removed one, is free again.
    """
    sightings = list(sightings)
    whales = {name_key(s.individual) for s in sightings if s.individual}
    meetings = {name_key(s.encounter) for s in sightings if s.encounter}
    spelled: dict[str, str] = {}
    for batch in batches(whales):
        query = select(individuals.c.key, individuals.c.name).where(individuals.c.key.in_(batch), meant(individuals))
        spelled.update((key, name) for key, name in connection.execute(query))
    met: dict[str, str] = {}
    owners: dict[str, str] = {}
    for batch in batches(meetings):
        owned = select(encounters.c.key, encounters.c.name, individuals.c.name).outerjoin(individuals)
        for key, name, owner in connection.execute(owned.where(encounters.c.key.in_(batch), meant(encounters))):
            met[key] = name
            if owner is not None:
                owners[key] = owner
    return KnownNames(spelled, met, owners)


def meant(table: Table) -> ColumnElement[bool]:
    """Whether an annotation, be it removed, names this individual or encounter: no edit has left it behind."""
    own = annotations.c.individual_id if table is individuals else annotations.c.encounter_id
    return exists().where(own == table.c.id)


def page(connection: Connection, after: str, limit: int) -> list[Individual]:
    """Individuals by name, those behind ``after``."""
    seen = exists().where(annotations.c.individual_id == individuals.c.id, ~annotations.c.removed)
    behind = select(individuals.c.id).where(individuals.c.name > after, seen).order_by(individuals.c.name).limit(limit)
    return [_individual(row) for row in connection.execute(_counted(individuals.c.id.in_(behind)))]


def individual(connection: Connection, name: str) -> tuple[Individual, list[Annotation]]:
    """One individual, in any spelling, with its annotations by date, undated ones last."""
    row = connection.execute(_counted(individuals.c.key == name_key(name))).one_or_none()
    if row is None or not row[1]:
        raise UnknownIndividual(f"no individual is called {name!r}")
    order = (annotations.c.taken.is_(None), annotations.c.taken, annotations.c.id)
    own = _ANNOTATION.where(individuals.c.key == name_key(name), ~annotations.c.removed).order_by(*order)
    return _individual(row), [_annotation(found) for found in connection.execute(own)]


def keys(connection: Connection, whales: Iterable[str], meetings: Iterable[str]) -> tuple[set[int], set[int]]:
    """Database keys of named individuals and encounters."""
    named = {name_key(name): name for name in whales}
    found = _keys(connection, individuals, named)
    if stray := sorted(name for key, name in named.items() if key not in found):
        raise UnknownIndividual(f"no individual is called {stray[0]!r}")
    met = {name_key(name): name for name in meetings}
    held = _keys(connection, encounters, met)
    if stray := sorted(name for key, name in met.items() if key not in held):
        raise BadScope(f"no encounter is called {stray[0]!r}")
    return set(found.values()), set(held.values())


def _keys(connection: Connection, table: Table, wanted: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for batch in batches(set(wanted)):
        query = select(table.c.key, table.c.id).where(table.c.key.in_(batch))
        found.update((key, number) for key, number in connection.execute(query))
    return found


def image(connection: Connection, sha256: str) -> Image | None:
    """One image, None when there is no such."""
    row = connection.execute(select(*_IMAGE).where(images.c.sha256 == sha256)).one_or_none()
    return None if row is None else Image(*row)


def image_shas(connection: Connection, after: int, limit: int) -> list[tuple[int, str]]:
    """Database key and SHA-256 of the images behind the key ``after``."""
    query = select(images.c.id, images.c.sha256).where(images.c.id > after).order_by(images.c.id).limit(limit)
    return [(number, sha256) for number, sha256 in connection.execute(query)]


def _counted(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    shown = (func.max(case((annotations.c.viewpoint == v, 1), else_=0)) for v in Viewpoint)
    return (
        select(
            individuals.c.name,
            func.count(annotations.c.id),
            func.count(distinct(annotations.c.encounter_id)),
            func.min(annotations.c.taken),
            func.max(annotations.c.taken),
            *shown,
        )
        .outerjoin(annotations, and_(annotations.c.individual_id == individuals.c.id, ~annotations.c.removed))
        .where(condition)
        .group_by(individuals.c.id, individuals.c.name)
        .order_by(individuals.c.name)
    )


def _individual(row: AnyRow) -> Individual:
    name, count, meetings, first, last, *shown = row
    viewpoints = tuple(viewpoint for viewpoint, seen in zip(Viewpoint, shown, strict=True) if seen)
    return Individual(name, count, meetings, viewpoints, first and first.date(), last and last.date())


def _annotation(row: AnyRow) -> Annotation:
    number, source_id, viewpoint, taken, precision, box_key, *rest = row
    x, y, width, height, revision, removed, whale, meeting, *stored = rest
    return Annotation(
        annotation_id=number,
        source_id=source_id,
        image=Image(*stored),
        viewpoint=Viewpoint(viewpoint),
        captured=CaptureDate(taken, DatePrecision(precision)),
        individual=whale,
        encounter=meeting,
        box=Box(x, y, width, height) if box_key else None,
        revision=revision,
        removed=removed,
    )
