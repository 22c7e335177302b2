"""Chunks: the waiting rows of an import, decoded and embedded, in pieces that are stored together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from app.domain.catalogue import Image, Sighting
from app.domain.ensemble import Float32
from app.domain.errors import BadImage, TooLarge
from app.domain.ingestion import Embedded
from app.domain.ports import Catalogue, Embedder, Images, Sheet
from app.services.opened import Opened, open_photograph

# A chunk is one transaction and one round of fsync, of so many rows or bytes of originals; a batch is what is decoded
# in memory at a time.
CHUNK = 200
CHUNK_BYTES = 64_000_000
BATCH = 32

Stopping = Callable[[], bool]
"""Asked between batches: once it says so, what is in memory is stored and the rest is left for another run."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What is stored together: rows, refused rows with their reasons, and the originals of the rows."""

    rows: list[Embedded] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    originals: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.refused)

    @property
    def full(self) -> bool:
        """Whether it is time to store it."""
        return len(self) >= CHUNK or sum(map(len, self.originals)) >= CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Chunks:
    """What makes chunks; decoding runs one batch ahead of the ensemble."""

    catalogue: Catalogue
    images: Images
    embedder: Embedder
    begin: Callable[[Sequence[Sighting]], None]
    """Told of each batch before the first of its photographs is read."""

    def __call__(self, sheet: Sheet, waiting: Sequence[Sighting], stopping: Stopping) -> Generator[Chunk, None, None]:
        """The rows ``waiting`` in order, until ``stopping`` says so; raises Unavailable."""
        with ThreadPoolExecutor(1, "ingest-decode") as ahead:
            chunk = Chunk()
            upcoming = ahead.submit(self._decode, sheet, waiting[:BATCH], stopping)
            for start in range(BATCH, len(waiting) + BATCH, BATCH):
                batch, refused = upcoming.result()
                if stopping():
                    break
                upcoming = ahead.submit(self._decode, sheet, waiting[start : start + BATCH], stopping)
                chunk.rows.extend(self._embed(batch))
                chunk.refused.extend(refused)
                chunk.originals.extend(decoded.content for decoded in batch)
                if chunk.full:
                    yield chunk
                    chunk = Chunk()
            if len(chunk):
                yield chunk

    def _decode(
        self, sheet: Sheet, part: Sequence[Sighting], stopping: Stopping
    ) -> tuple[list[Opened], list[tuple[int, str]]]:
        batch, refused = [], []
        self.begin(part)
        for sighting in part:
            if stopping():
                break
            try:
                batch.append(open_photograph(sheet, self.images, sighting))
            except (BadImage, TooLarge) as error:
                refused.append((sighting.row, str(error)))
        return batch, refused

    def _embed(self, batch: Sequence[Opened]) -> list[Embedded]:
        known = self.catalogue.known([(decoded.sighting, decoded.sha256) for decoded in batch])
        fresh = [decoded for decoded in batch if decoded.sighting.row not in known]
        vectors = self._vectors(fresh)
        return [Embedded(d.sighting, _image(d), _of_row(vectors, d.sighting.row)) for d in batch]

    def _vectors(self, fresh: Sequence[Opened]) -> Mapping[str, Mapping[int, Float32]]:
        """Vectors by space name and row: each photograph in the spaces that serve its viewpoint."""
        found: dict[str, dict[int, Float32]] = {}
        for space in self.embedder.ensemble.spaces:
            served = [decoded for decoded in fresh if decoded.sighting.viewpoint in space.viewpoints]
            if served:
                block = self.embedder.embed([(d.photograph, d.sighting.box) for d in served], [space])[space.name]
                found[space.name] = {d.sighting.row: vector for d, vector in zip(served, block, strict=True)}
        return found


def _image(decoded: Opened) -> Image:
    shot = decoded.photograph
    return Image(decoded.sha256, shot.format, shot.width, shot.height, len(decoded.content), decoded.phash)


def _of_row(vectors: Mapping[str, Mapping[int, Float32]], row: int) -> dict[str, Float32]:
    return {space: block[row] for space, block in vectors.items() if row in block}
