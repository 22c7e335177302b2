"""Verify: compare originals, vectors and index with the catalogue; everything is read, nothing is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.errors import ModelUnavailable, Unavailable
from app.domain.findings import Finding
from app.domain.ports import Blobs, Catalogue, Embedder, VectorIndex

# Lacking vectors are counted up to here: beyond it the number says nothing more.
_COUNTED = 10_000

Progress = Callable[[int, int], None]
"""Called with (originals that were read, all originals)."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found: one sentence a fault, and how many annotations lack a vector, by space (at most 10,000).

    ``unreferenced`` names intact originals of no annotation, such as a cancelled import leaves: they do no harm.
    ``storage`` is why originals were not looked at: on a disk that is not there nothing is called missing.
    """

    ensemble: tuple[str, ...]
    index: tuple[str, ...]
    storage: tuple[str, ...]
    originals: tuple[str, ...]
    lacking: dict[str, int]
    unreferenced: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, changed, stale or too much."""
        return not (self.ensemble or self.index or self.storage or self.originals or any(self.lacking.values()))


@dataclass(frozen=True, slots=True)
class Verify:
    """The use case. It has no way to delete or mend anything, so a stale report can do no harm."""

    catalogue: Catalogue
    blobs: Blobs
    embedder: Embedder
    index: VectorIndex

    def __call__(self, progress: Progress | None = None) -> Verification:
        """Read every original and every file of the index; raises CatalogueUnavailable."""
        held = self.catalogue.fingerprints()
        storage, found = self._originals(progress or _quiet)
        return Verification(
            ensemble=tuple(self._foreign(held)),
            index=tuple(self.index.verify(self.catalogue)),
            storage=storage,
            originals=tuple(str(one) for one in found if not one.harmless),
            lacking={space: len(self.catalogue.missing_vectors(space, _COUNTED)) for space in held},
            unreferenced=tuple(str(one) for one in found if one.harmless),
        )

    def _originals(self, progress: Progress) -> tuple[tuple[str, ...], list[Finding]]:
        found: list[Finding] = []
        try:
            found.extend(self.blobs.faults(self._watched(progress)))
        except Unavailable as error:
            return (str(error),), found
        return (), found

    def _watched(self, progress: Progress) -> Iterator[str]:
        total = sum(1 for _ in self.catalogue.image_shas())
        for done, sha256 in enumerate(self.catalogue.image_shas(), 1):
            yield sha256
            progress(done, total)

    def _foreign(self, held: Mapping[str, str]) -> Iterator[str]:
        try:
            wanted = {space.name: space.fingerprint for space in self.embedder.active_spaces()}
        except ModelUnavailable as error:
            yield f"the ensemble cannot be loaded: {error}"
            return
        if not held:
            yield "the catalogue holds no vectors of any ensemble: nothing was imported into this data folder"
        elif dict(held) != wanted:
            yield "the catalogue's vectors are of another ensemble than the one in force; run `resight reindex`"


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""
