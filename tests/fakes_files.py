"""Photographs and sheets in memory."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.catalogue import Sighting
from app.domain.errors import BadImage, Corrupt, Fault, StorageFull, Unavailable, UnknownImage
from app.domain.findings import Finding
from app.domain.formats import Layout, SheetFormat


@dataclass
class FakeBlobs:
    """The Blobs port in a dictionary; a test may spoil what it holds."""

    stored: dict[str, bytes] = field(default_factory=dict)
    away: str | None = None
    full: bool = False

    def check(self) -> None:
        if self.away:
            raise Unavailable(self.away)

    def room(self) -> None:
        if self.full:
            raise StorageFull("the disk is full")

    def intact(self, sha256: str) -> bool:
        return hashlib.sha256(self.stored.get(sha256, b"")).hexdigest() == sha256

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        self.check()
        self.room()
        names = [hashlib.sha256(content).hexdigest() for content in contents]
        self.stored |= zip(names, contents, strict=True)
        return names

    def get(self, sha256: str) -> bytes:
        if sha256 not in self.stored:
            raise UnknownImage(f"no photograph {sha256} is stored")
        content = self.stored[sha256]
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Corrupt(f"the stored photograph {sha256} does not match its hash")
        return content

    def faults(self, sha256s: Iterable[str]) -> Iterator[Finding]:
        self.check()
        expected = list(sha256s)
        for sha256 in expected:
            if sha256 not in self.stored:
                yield Finding(f"{sha256} is missing")
            elif hashlib.sha256(self.stored[sha256]).hexdigest() != sha256:
                yield Finding(f"{sha256} is changed")
        for sha256 in sorted(self.stored.keys() - set(expected)):
            yield Finding(f"{sha256} is unreferenced", harmless=True)


@dataclass
class FakeSheet:
    """The Sheet port over rows and photographs given by a test."""

    rows: Sequence[Sighting | Fault]
    photographs: Mapping[str, bytes]

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        return Layout(wanted or SheetFormat.CONTEST, {}, ("height", "width"))

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        yield from self.rows

    def read(self, path: str) -> bytes:
        if path not in self.photographs:
            raise BadImage(f"{path} is missing")
        return self.photographs[path]


@dataclass
class FakeSheets:
    """The Sheets port: opens what a test put under a name."""

    sheets: Mapping[str, FakeSheet]

    def open(self, source: str) -> FakeSheet:
        return self.sheets[source]
