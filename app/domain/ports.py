"""The ports: what the services need of the world, each fitted by shape. Fakes live in ``tests/fakes.py``.

A Catalogue method is one transaction, durable before it returns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from app.domain.catalogue import Annotation, Box, Image, Individual, Sighting
from app.domain.conflicts import Held
from app.domain.ensemble import ActiveSpace, Ensemble, Float32, Preprocessing, Space
from app.domain.errors import Fault
from app.domain.findings import Finding
from app.domain.formats import Layout, SheetFormat
from app.domain.ingestion import Embedded, ImportReport, ImportState, Refused, RequestKey, RowState
from app.domain.occasions import DaySums
from app.domain.partition import Gallery, Int64, Mask, Partition
from app.domain.photograph import Photograph
from app.domain.ports_hashes import Hashes
from app.domain.scenario import Prediction, ScenarioPack


class Images(Protocol):
    """Photographs to numbers and back."""

    def probe(self, content: bytes) -> tuple[str, int, int]:
        """Format, upright width and height, from the header alone; raises BadImage and its kin."""

    def decode(self, content: bytes, *, whole: bool = False) -> Photograph:
        """Upright RGB pixels; raises BadImage, BadFormat or TooLarge."""

    def prepare(self, photograph: Photograph, recipe: Preprocessing, box: Box | None = None) -> Float32:
        """A member's input, 3 x height x width; raises BadImage for a box outside the photograph."""

    def phash(self, photograph: Photograph) -> int:
        """The 64 bits of its perceptual hash as a signed number, 0 for a picture without structure."""

    def render(self, photograph: Photograph, *, longest: int, box: Box | None = None) -> bytes:
        """A JPEG without metadata, at most ``longest`` pixels on its longest side."""


class Embedder(Protocol):
    """The ensemble at work."""

    @property
    def ensemble(self) -> Ensemble:
        """What is loaded; raises ModelUnavailable when it is not."""

    def active_spaces(self) -> list[ActiveSpace]:
        """Its spaces as they are computed here: the fingerprint includes the precision."""

    def embed(self, crops: Sequence[tuple[Photograph, Box | None]], spaces: Sequence[Space]) -> dict[str, Float32]:
        """Unit vectors (n, space.dimension) by space name; raises ModelUnavailable."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Search results: annotation ids (n, k) and cosines (n, k), best first, ties by id.

    Short rows are filled up with id -1 and a cosine of minus infinity.
    """

    annotations: Int64
    cosines: Float32


class Snapshot(Protocol):
    """One immutable generation of the index, in memory: everything it answers belongs together."""

    @property
    def generation(self) -> int:
        """Its number, growing."""

    @property
    def catalogue_version(self) -> int:
        """The catalogue version that it was built from."""

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint of each of its spaces, by name: vectors of another fingerprint must not be asked about."""

    @property
    def gallery(self) -> Gallery:
        """The columns of all its annotations."""

    @property
    def days(self) -> DaySums:
        """What the vectors of each viewpoint and day sum up to."""

    def held(self, space: str) -> Mask:
        """Which gallery rows have a vector in this space; raises SpaceMismatch."""

    def search(self, space: str, queries: Float32, mask: Mask, k: int) -> Neighbours:
        """The ``k`` best of the gallery rows in ``mask`` for each query (n, d).

        Raises SpaceMismatch for queries of another dimension or a space that it does not hold.
        """

    def vectors(self, space: str, annotations: Int64) -> Float32:
        """Stored unit vectors (n, d); rows of zeros for annotations that have none in this space."""


class VectorIndex(Protocol):
    """A cache of the catalogue's vectors, in immutable generations."""

    def current(self) -> Snapshot:
        """The generation that answers now; raises IndexUnavailable before the first one."""

    def refresh(self, source: VectorSource) -> Snapshot:
        """Build what changed since the current generation aside, write it durably, swap it in by reference.

        Damaged, missing, stale or foreign files are found by their hash and signature, and built again.
        """

    def verify(self, source: VectorSource) -> list[str]:
        """Read-only: one sentence for each file that is damaged, missing, stale or foreign."""


class VectorSource(Protocol):
    """What an index is built from; the catalogue fits it."""

    def at_once(self) -> AbstractContextManager[VectorSource]:
        """One state of it: whatever is read through the source that it gives belongs to one version."""

    def version(self) -> int:
        """The catalogue version: grows with every change."""

    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint of each active space, by name."""

    def signatures(self) -> Mapping[Partition, str]:
        """For each partition of the active spaces a text that changes whenever its members or vectors change."""

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        """Annotation ids (n), ascending, and their vectors (n, d)."""

    def gallery(self) -> Gallery:
        """The columns of all annotations."""


class Catalogue(VectorSource, Hashes, Protocol):
    """The catalogue database. Raises CatalogueUnavailable when it does not answer."""

    def use_spaces(self, spaces: Sequence[ActiveSpace]) -> None:
        """Make these the active spaces; vectors of other fingerprints stay stored but are not served."""

    def annotation(self, annotation_id: int) -> Annotation:
        """One annotation; raises UnknownAnnotation."""

    def annotations(self, annotation_ids: Iterable[int]) -> dict[int, Annotation]:
        """Those annotations that exist, by id."""

    def annotation_ids(self, source_ids: Iterable[str], *, removed: bool = False) -> dict[str, int]:
        """Those source ids that exist, with their annotation ids; those of removed annotations when asked for."""

    def individuals(self, *, after: str = "", limit: int = 100) -> list[Individual]:
        """Individuals by name, those behind ``after``."""

    def individual(self, name: str) -> tuple[Individual, list[Annotation]]:
        """One individual with its annotations by date; raises UnknownIndividual."""

    def keys(self, *, individuals: Iterable[str] = (), encounters: Iterable[str] = ()) -> tuple[set[int], set[int]]:
        """Database keys of named individuals and encounters; raises UnknownIndividual or BadScope for a stray name."""

    def image(self, sha256: str) -> Image:
        """One image; raises UnknownImage."""

    def image_shas(self) -> Iterator[str]:
        """The SHA-256 of every image, streamed."""

    def held(self, sightings: Sequence[Sighting], sha256s: Sequence[str] = ()) -> Held:
        """What these rows must agree with: annotations with their source ids or in these photographs, and names."""

    def begin_import(self, source: str, sightings: Iterable[Sighting], request: RequestKey | None = None) -> int:
        """Record an import with all its rows as waiting; returns its id, or that of the import of the same ``request``.

        In short transactions, yet all rows or none: what a kill cut short never runs. Raises KeyReused, Unavailable.
        """

    def running_imports(self) -> list[int]:
        """Imports that have not ended, oldest first."""

    def add(
        self, import_id: int, rows: Sequence[Embedded], refused: Refused, fingerprints: Mapping[str, str] | None = None
    ) -> None:
        """Store a chunk: annotations with vectors, and row states (``refused`` among them), in one transaction.

        Raises SpaceMismatch unless ``fingerprints``, of the vectors' spaces by name, are those of the active ones.
        A row whose photograph and box are known already becomes ``unchanged`` and adds nothing; a row that gives the
        source id of another photograph is refused.
        """

    def known(self, sightings: Sequence[tuple[Sighting, str]]) -> set[int]:
        """Rows of those (sighting, sha256 of its file) that the catalogue holds with every vector they need."""

    def finish_import(self, import_id: int, state: ImportState, reason: str | None = None) -> None:
        """End a running import; stored rows become indexed when it is done (the index was refreshed before)."""

    def settle_rows(
        self, import_id: int, old: RowState, new: RowState, reason: str | None = None, version: int | None = None
    ) -> None:
        """Bring all rows in one state to another, in short transactions; with ``version`` while it holds."""

    def import_report(self, import_id: int) -> ImportReport:
        """Where an import stands; raises UnknownImport."""

    def lacking(self, space: str) -> int:
        """How many annotations this active space serves that lack a vector in it."""

    def missing_vectors(self, space: str, limit: int) -> list[Annotation]:
        """Annotations that this active space serves but that lack a vector in it: a new ensemble must embed them."""

    def add_vectors(
        self, space: str, vectors: Mapping[int, Float32], revisions: Mapping[int, int] | None = None
    ) -> None:
        """Store vectors of annotations in an active space.

        With ``revisions`` an annotation that has another one by now is passed over: its vector shows what it was.
        """


class Blobs(Protocol):
    """Original photographs, stored once by SHA-256, never renamed, changed or deleted."""

    def check(self) -> None:
        """Raise Unavailable while nothing may be stored: no marker file, a disk that is read-only or has failed."""

    def room(self) -> None:
        """Raise StorageFull while the disk is full up to the reserve that imports leave free."""

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store durably (on disk before this returns); the SHA-256 of each. Raises StorageFull or Unavailable."""

    def intact(self, sha256: str) -> bool:
        """Whether this one is stored and matches its hash."""

    def get(self, sha256: str) -> bytes:
        """The bytes, checked against their hash; raises UnknownImage or Corrupt."""

    def faults(self, sha256s: Iterable[str]) -> Iterator[Finding]:
        """Read-only: what is missing or changed, then each file too many; Unavailable on a disk that is not there."""


class Sheet(Protocol):
    """Rows of a metadata sheet beside its photographs, in a folder or an archive."""

    def layout(self, wanted: SheetFormat | None = None) -> Layout:
        """How the sheet will be read, from its header alone; raises BadRows or BadArchive."""

    def sightings(self, wanted: SheetFormat | None = None) -> Iterator[Sighting | Fault]:
        """Every row, one after the other, as a sighting or as its faults; raises BadArchive."""

    def read(self, path: str) -> bytes:
        """The bytes of a photograph named by the sheet; raises BadImage when it is missing or too large."""


class Sheets(Protocol):
    """Opens what a user brings."""

    def open(self, source: str) -> Sheet:
        """A folder with metadata.csv, the csv itself, or a ZIP of both, under the name that an import remembers.

        ``path:/somewhere`` is for the command line, ``folder:name`` lies under the import root, ``upload:name`` a
        posted ZIP, ``session:id`` an upload session, ``s3://bucket/prefix`` what lies there. Raises BadArchive,
        BadRows, or NotAllowed for a name that leaves its root.
        """


class Uploads(Protocol):
    """Archives that were posted and wait for their import."""

    def store(self, archive: BinaryIO) -> str:
        """Keep a copy, on disk before this returns: its source, ``upload:name``; raises StorageFull, Unavailable."""

    def discard(self, source: str) -> None:
        """Forget an upload that no import needs any more; any other source is left alone. Raises Unavailable."""

    def sweep(self, keep: Collection[str]) -> None:
        """Forget what an earlier run left, whole or in part, except for the sources in ``keep``. Raises Unavailable."""


class ScenarioPacks(Protocol):
    """The contest's files."""

    def read(self, folder: Path) -> ScenarioPack:
        """A folder with query_scenarios.csv; raises BadScenario naming file and line."""

    def write(self, folder: Path, pack: ScenarioPack) -> None:
        """Write a pack into a folder in the contest's layout; raises StorageFull, Unavailable."""

    def read_predictions(self, path: Path) -> list[Prediction]:
        """The rows of a prediction file, in its order; raises BadScenario."""

    def write_predictions(self, path: Path, predictions: Iterable[Prediction]) -> None:
        """Write query_id, database_image_id, score: whole or not at all."""
