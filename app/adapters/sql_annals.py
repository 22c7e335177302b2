"""Changing single annotations, and the history that each change leaves, in the tables."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.adapters import sql_reads, sql_vectors
from app.adapters.sql_engine import Database
from app.adapters.sql_intake import fact_columns, name_ids
from app.adapters.sql_tables import annotation_history, annotations, embeddings, encounters, images, individuals
from app.domain.catalogue import Annotation, Sighting, name_key
from app.domain.conflicts import Held, Remembered, crosscheck
from app.domain.curation import Action, Amendment, Edition, Facts, Signature, plain
from app.domain.errors import Conflict, StaleRevision, UnknownAnnotation


class SqlAnnals:
    """The Annals port, and that of hashes: the half of SqlCatalogue that editors see."""

    _database: Database

    def kept(self, annotation_id: int) -> Annotation:
        with self._database.reading() as connection:
            return sql_reads.kept(connection, annotation_id)

    def embedded_in(self, annotation_id: int) -> set[str]:
        with self._database.reading() as connection:
            return embedded_in(connection, annotation_id)

    def amend(self, amendment: Amendment) -> int:
        with self._database.writing() as connection:
            return amend(connection, amendment)

    def history(self, annotation_id: int) -> list[Edition]:
        with self._database.reading() as connection:
            return history(connection, annotation_id)

    def unhashed(self, limit: int) -> list[str]:
        query = select(images.c.sha256).where(images.c.phash.is_(None)).order_by(images.c.id).limit(limit)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def add_hashes(self, hashes: Mapping[str, int]) -> None:
        query = update(images).where(images.c.sha256 == bindparam("named")).values(phash=bindparam("bits"))
        with self._database.writing() as connection:
            number = sql_vectors.version(connection, lock=True) + 1
            if hashes:
                connection.execute(query, [{"named": name, "bits": bits} for name, bits in hashes.items()])
                sql_vectors.set_version(connection, number)


def embedded_in(connection: Connection, annotation_id: int) -> set[str]:
    """Names of the active spaces in which an annotation has a vector."""
    held = sql_reads.kept(connection, annotation_id)
    return sql_vectors.covered(connection, [held])[annotation_id]


def amend(connection: Connection, amendment: Amendment) -> int:
    """Change an annotation and write its history; returns the version that holds the change."""
    version = sql_vectors.version(connection, lock=True) + 1
    held = sql_reads.kept(connection, amendment.annotation_id)
    if held.revision != amendment.revision:
        raise StaleRevision(
            f"annotation {held.annotation_id} has revision {held.revision} by now, not {amendment.revision}"
        )
    if (Facts.of(held), held.removed) == (amendment.facts, amendment.removed):
        return held.revision
    if held.removed and amendment.removed:
        raise UnknownAnnotation(f"annotation {held.annotation_id} was removed: restore it first")
    _name(connection, held, amendment.facts)
    _rewrite(connection, held, amendment, version)
    _own_again(connection, {held.encounter, amendment.facts.encounter})
    _embed(connection, held, amendment, version)
    _write_down(connection, held, amendment, version)
    sql_vectors.set_version(connection, version)
    return version


def history(connection: Connection, annotation_id: int) -> list[Edition]:
    """Every change of an annotation, oldest first."""
    sql_reads.kept(connection, annotation_id)
    past = annotation_history
    query = select(past).where(past.c.annotation_id == annotation_id).order_by(past.c.id)
    return [
        Edition(
            action=Action(row.action),
            at=row.at.replace(tzinfo=UTC),
            signature=Signature(row.actor, row.reason),
            before=json.loads(row.before),
            after=json.loads(row.after),
            version=row.version,
        )
        for row in connection.execute(query)
    ]


def _name(connection: Connection, held: Annotation, facts: Facts) -> None:
    """Raise Conflict for names that contradict what the catalogue holds beside this annotation."""
    said = Sighting(held.source_id, "", facts.viewpoint, facts.captured, facts.individual, facts.encounter, facts.box)
    known = sql_reads.known_names(connection, [said])
    # An encounter in which nobody else is named goes with its annotation.
    others = _named_in(connection, facts.encounter, beside=held.annotation_id)
    known = replace(known, owners={key: name for key, name in known.owners.items() if name == others})
    if faults := crosscheck([said], Held([], known), Remembered()):
        raise Conflict("; ".join(f"{column}: {reason}" for _, column, reason in faults))
    taken = fact_columns(facts)["box_key"]
    same = (
        annotations.c.image_id
        == select(annotations.c.image_id).where(annotations.c.id == held.annotation_id).scalar_subquery()
    )
    twin = select(annotations.c.id).where(same, annotations.c.box_key == taken, annotations.c.id != held.annotation_id)
    if (other := connection.execute(twin).scalar()) is not None:
        raise Conflict(f"box: annotation {other} has this box of the same photograph already")


def _named_in(connection: Connection, encounter: str | None, *, beside: int) -> str | None:
    """The individual that the other annotations of an encounter name."""
    if encounter is None:
        return None
    query = (
        select(individuals.c.name)
        .join(annotations, annotations.c.individual_id == individuals.c.id)
        .join(encounters, encounters.c.id == annotations.c.encounter_id)
        .where(encounters.c.key == name_key(encounter), annotations.c.id != beside)
    )
    return connection.execute(query.limit(1)).scalar()


def _rewrite(connection: Connection, held: Annotation, amendment: Amendment, version: int) -> None:
    facts = amendment.facts
    whales = name_ids(connection, individuals, [facts.individual] if facts.individual else [])
    meetings = name_ids(connection, encounters, [facts.encounter] if facts.encounter else [])
    columns = fact_columns(facts) | {
        "individual_id": whales[name_key(facts.individual)] if facts.individual else None,
        "encounter_id": meetings[name_key(facts.encounter)] if facts.encounter else None,
        "revision": version,
        "removed": amendment.removed,
    }
    connection.execute(update(annotations).where(annotations.c.id == held.annotation_id).values(columns))


def _own_again(connection: Connection, names: set[str | None]) -> None:
    """Encounters belong to the individual that their annotations name now, to nobody when none does."""
    named = (
        select(annotations.c.individual_id)
        .where(annotations.c.encounter_id == encounters.c.id, annotations.c.individual_id.is_not(None))
        .limit(1)
        .scalar_subquery()
    )
    keys = [name_key(name) for name in names if name]
    connection.execute(update(encounters).where(encounters.c.key.in_(keys)).values(individual_id=named))


def _embed(connection: Connection, held: Annotation, amendment: Amendment, version: int) -> None:
    """Store the new vectors; those that stay and come to another partition, or back to one, get the new version.

    What is only named otherwise keeps it: no partition changes, and none is built anew.
    """
    own = embeddings.c.annotation_id == held.annotation_id
    if amendment.facts.box != held.box:
        connection.execute(delete(embeddings).where(own))
    spaces = sql_vectors.active(connection)
    covered = sql_vectors.covered(connection, [held])[held.annotation_id]
    new = {name: vector for name, vector in amendment.vectors.items() if name not in covered}
    stored = [(sql_vectors.known_space(spaces, name), held.annotation_id, vector) for name, vector in new.items()]
    sql_vectors.store(connection, stored, version)
    facts = amendment.facts
    place = facts.viewpoint, facts.captured.year, amendment.removed
    if place != (held.viewpoint, held.captured.year, held.removed):
        connection.execute(update(embeddings).where(own).values(version=version))


def _write_down(connection: Connection, held: Annotation, amendment: Amendment, version: int) -> None:
    before, after = plain(Facts.of(held), removed=held.removed), plain(amendment.facts, removed=amendment.removed)
    connection.execute(
        insert(annotation_history).values(
            annotation_id=held.annotation_id,
            action=amendment.action(held),
            at=datetime.now(UTC).replace(tzinfo=None),
            actor=amendment.signature.actor,
            reason=amendment.signature.reason,
            before=json.dumps(before),
            after=json.dumps(after),
            version=version,
        )
    )
