"""Opening the photograph of a row: one way for the dry run and the import, so that both say the same of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from app.domain.catalogue import Sighting
from app.domain.errors import BadImage
from app.domain.photograph import Photograph
from app.domain.ports import Images, Sheet


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A row whose photograph is in memory; ``sha256`` is that of its bytes, ``phash`` its perceptual hash."""

    sighting: Sighting
    content: bytes
    sha256: str
    photograph: Photograph
    phash: int


def open_photograph(sheet: Sheet, images: Images, sighting: Sighting) -> Opened:
    """Read and decode the photograph of a row and hold it against what the row says of it.

    Raises BadImage or TooLarge where the row must be refused.
    """
    content = sheet.read(sighting.path)
    sha256 = hashlib.sha256(content).hexdigest()
    if sighting.sha256 not in {None, sha256}:
        raise BadImage(f"its SHA-256 is {sha256}; the sheet says {sighting.sha256}")
    box = sighting.box
    photograph = images.decode(content, whole=box is not None)
    if box and (box.x + box.width > photograph.width or box.y + box.height > photograph.height):
        raise BadImage(f"the box lies outside the photograph of {photograph.width} x {photograph.height} pixels")
    return Opened(sighting, content, sha256, photograph, images.phash(photograph))
