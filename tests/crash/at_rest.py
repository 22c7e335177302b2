"""What must hold on disk once everything has been brought and the service has stopped.

It is read without the service's own code wherever that is short, so that a mistake there cannot hide itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from app.adapters.faiss_manifest import Manifest, decode
from tests.crash.photographs import Photograph

# What may lie in a data folder when nothing is under way; anything else was left behind.
_EXPECTED = (
    r"catalogue\.sqlite(-wal|-shm)?",
    r"(jobs|worker)\.lock",
    r"jobs\.sqlite(-wal|-shm)?",
    r"originals/resight-blobs",
    r"originals/[0-9a-f]{2}/[0-9a-f]{64}",
    r"index/generation-\d+\.json",
    r"index/[0-9a-f]{64}\.rows",
)
_SHOWN = 5

Partition = tuple[str, str, int]


def faults(data: Path, database_url: str, brought: Iterable[Photograph]) -> list[str]:
    """One sentence for each promise that the disk does not keep."""
    expected = {one.image_id: one for one in brought}
    shas = {one.sha256 for one in expected.values()}
    with _connection(database_url) as connection:
        found = [
            *_differ("originals on disk", _originals(data / "originals"), shas),
            *_differ("images of the catalogue", _column(connection, "SELECT sha256 FROM images"), shas),
            *_annotation_faults(connection, expected),
            *_vector_faults(connection),
            *_import_faults(connection),
            *_index_faults(data / "index", connection),
        ]
    return [*found, *_left_behind(data)]


def _connection(database_url: str) -> Connection:
    url = make_url(database_url)
    driver = "postgresql+psycopg" if url.get_backend_name().startswith("postgres") else "sqlite"
    # No pool: it would keep the file open, and a disk with an open file cannot be unmounted.
    return create_engine(url.set(drivername=driver), poolclass=NullPool).connect()


def _column(connection: Connection, query: str) -> list[str]:
    return list(connection.execute(text(query)).scalars())


def _differ(what: str, found: Iterable[object], expected: Iterable[object]) -> Iterator[str]:
    """Lost, strange and double members of what should be the same set."""
    have, want = Counter(found), Counter(set(expected))
    for said, rest in (("lost", want - have), ("too many", have - want)):
        if rest:
            yield f"{what}: {rest.total()} {said}, as {sorted(map(str, rest))[:_SHOWN]}"


def _originals(folder: Path) -> list[str]:
    """The hash of every file, one that is not what its name says under another one."""
    found = []
    for path in sorted(folder.glob("??/*")):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(sha256 if sha256 == path.name else f"{path.name} holds {sha256}")
    return found


def _annotation_faults(connection: Connection, expected: Mapping[str, Photograph]) -> Iterator[str]:
    query = "SELECT a.source_id, i.sha256, a.viewpoint, a.year FROM annotations a JOIN images i ON i.id = a.image_id"
    have = [tuple(row) for row in connection.execute(text(query))]
    want = [(one.image_id, one.sha256, one.viewpoint, int(one.date[:4])) for one in expected.values()]
    yield from _differ("annotations", have, want)


def _members(connection: Connection) -> list[tuple[str, str, int, int]]:
    """(space, viewpoint, year, annotation id) of every vector that should be searched."""
    query = """SELECT s.name, a.viewpoint, a.year, a.id FROM embeddings e
               JOIN annotations a ON a.id = e.annotation_id JOIN spaces s ON s.id = e.space_id WHERE s.active"""
    return [(space, viewpoint, year, number) for space, viewpoint, year, number in connection.execute(text(query))]


def _vector_faults(connection: Connection) -> Iterator[str]:
    ids = _column(connection, "SELECT id FROM annotations")
    for space in _column(connection, "SELECT name FROM spaces WHERE active"):
        yield from _differ(f"vectors of {space}", (m[3] for m in _members(connection) if m[0] == space), ids)


def _import_faults(connection: Connection) -> Iterator[str]:
    for table, over in (("imports", {"done"}), ("import_rows", {"indexed", "unchanged"})):
        counts = dict(map(tuple, connection.execute(text(f"SELECT state, count(*) FROM {table} GROUP BY state"))))
        if stuck := {state: count for state, count in counts.items() if state not in over}:
            yield f"{table} that did not end as they should: {stuck}"


def _index_faults(folder: Path, connection: Connection) -> Iterator[str]:
    want: dict[Partition, list[int]] = {}
    for space, viewpoint, year, number in _members(connection):
        want.setdefault((space, viewpoint, year), []).append(number)
    have = _indexed(folder)
    for partition in sorted(have.keys() | want.keys()):
        yield from _differ(f"index of {partition}", have.get(partition, []), want.get(partition, []))


def _indexed(folder: Path) -> dict[Partition, list[int]]:
    """The annotation ids in the files of the newest generation."""
    manifest = newest(folder)
    found: dict[Partition, list[int]] = {}
    for entry in manifest.partitions:
        content = (folder / f"{entry.file.sha256}.rows").read_bytes()
        space, viewpoint, year = entry.stamp.partition
        found[space, str(viewpoint), year] = np.frombuffer(content, "<i8", count=entry.count).tolist()
    return found


def newest(folder: Path) -> Manifest:
    """The manifest of the newest generation."""
    return decode(max(folder.glob("generation-*.json")).read_bytes())


def _left_behind(data: Path) -> Iterator[str]:
    files = sorted(str(path.relative_to(data)) for path in data.rglob("*") if not path.is_dir())
    strange = [name for name in files if not any(re.fullmatch(pattern, name) for pattern in _EXPECTED)]
    if strange:
        yield f"{len(strange)} files were left behind, as {strange[:_SHOWN]}"
    if len(list((data / "index").glob("generation-*"))) > 2:
        yield "more than two generations of the index are kept"
    if folders := [path.name for path in (data / "originals" / "incoming").glob("*")]:
        yield f"{len(folders)} folders of temporary files were left behind"
