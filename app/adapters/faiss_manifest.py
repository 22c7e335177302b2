"""What a generation of the index consists of, and its one exact spelling as a file.

A manifest carries its own SHA-256 and is accepted only when encoding what was read gives the very same bytes back:
no flipped bit, other format version or edited number passes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from app.domain.catalogue import Viewpoint
from app.domain.partition import Partition

FORMAT = 1
_HASH = re.compile(r"[0-9a-f]{64}")


class Stamp(NamedTuple):
    """What a partition was built from: its file is current while the catalogue says the same."""

    partition: Partition
    fingerprint: str
    signature: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file named by its SHA-256; ``size`` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One partition of a generation: ``count`` vectors of length ``dimension``."""

    stamp: Stamp
    count: int
    dimension: int
    file: StoredFile


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation: ``spaces`` gives each active space's fingerprint, also of a space without a vector.

    ``gallery`` is the SHA-256 of the gallery's columns, which are read from the catalogue and not stored again.
    """

    generation: int
    catalogue_version: int
    spaces: Mapping[str, str]
    gallery: str
    partitions: tuple[Entry, ...]

    @property
    def stamps(self) -> frozenset[Stamp]:
        """What all its partitions were built from."""
        return frozenset(entry.stamp for entry in self.partitions)

    @property
    def files(self) -> frozenset[str]:
        """The hashes of all files that it needs."""
        return frozenset(entry.file.sha256 for entry in self.partitions)


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON with a hash over the rest of it."""
    body = {
        "format": FORMAT,
        "generation": manifest.generation,
        "catalogue_version": manifest.catalogue_version,
        "spaces": dict(manifest.spaces),
        "gallery": manifest.gallery,
        "partitions": [_entry_body(entry) for entry in manifest.partitions],
    }
    digest = hashlib.sha256(_text(body)).hexdigest()
    return _text(body | {"sha256": digest})


def decode(content: bytes) -> Manifest:
    """Read a manifest; raises ValueError for anything that ``encode`` did not write."""
    try:
        raw: dict[str, Any] = json.loads(content)
        manifest = Manifest(
            generation=int(raw["generation"]),
            catalogue_version=int(raw["catalogue_version"]),
            spaces={str(name): str(value) for name, value in raw["spaces"].items()},
            gallery=str(raw["gallery"]),
            partitions=tuple(_entry(part) for part in raw["partitions"]),
        )
    except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    if encode(manifest) != content:
        raise ValueError("a manifest that does not match its own hash, or of another format")
    return manifest


def _text(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, indent=1).encode()


def _entry_body(entry: Entry) -> dict[str, Any]:
    stamp = entry.stamp
    return {
        **stamp.partition._asdict(),
        "fingerprint": stamp.fingerprint,
        "signature": stamp.signature,
        "count": entry.count,
        "dimension": entry.dimension,
        **asdict(entry.file),
    }


def _entry(raw: Mapping[str, Any]) -> Entry:
    partition = Partition(str(raw["space"]), Viewpoint(raw["viewpoint"]), int(raw["year"]))
    return Entry(
        stamp=Stamp(partition, str(raw["fingerprint"]), str(raw["signature"])),
        count=int(raw["count"]),
        dimension=int(raw["dimension"]),
        file=_stored(raw),
    )


def _stored(raw: Mapping[str, Any]) -> StoredFile:
    sha256 = str(raw["sha256"])
    # The hash becomes a file name: nothing else may, whatever a foreign manifest says.
    if not _HASH.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is not a SHA-256")
    return StoredFile(sha256, int(raw["size"]))
