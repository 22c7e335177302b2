"""Every error that Resight raises on purpose.

ResightError
├── InvalidInput          the caller sent something that cannot be used
│   ├── BadImage          a photograph that cannot be decoded or is not allowed
│   │   └── BadFormat     its format is not on the allow-list
│   ├── BadRows           faults of a sheet, each with row and column
│   ├── BadScenario       a scenario pack or a prediction file that breaks the contest's rules
│   ├── BadScope          a scope that contradicts itself
│   ├── BadArchive        a ZIP that cannot be read or is not safe
│   └── BadDigest         bytes that are not those that were announced
├── NotFound              no such thing (or not one that the caller may see)
│   ├── UnknownAnnotation, UnknownIndividual, UnknownImage, UnknownImport, UnknownEnsemble, UnknownJob,
│   │   UnknownEvaluation, UnknownUpload
├── Conflict              the request contradicts what the catalogue holds
│   ├── StaleRevision     somebody else changed the annotation meanwhile
│   ├── SpaceMismatch     vectors of two spaces were about to be mixed
│   ├── LosingEnsemble    an ensemble that a stored evaluation says to be worse was about to be made active
│   ├── UploadClosed      an upload session was committed already
│   └── KeyReused         an idempotency key stands for another request already
├── NotAllowed            the caller may not do this
├── LimitReached          more than the service accepts
│   ├── TooLarge          one request is too large
│   └── Overloaded        too many requests at once
├── Unavailable           the service cannot answer now
│   ├── ModelUnavailable, IndexUnavailable, CatalogueUnavailable, StorageFull
└── Corrupt               a stored file does not match its hash

The core knows no HTTP status: ``app/web/problems.py`` is the one table. A class's ``code`` is stable: clients match on
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class ResightError(Exception):
    """The root: ``str(error)`` is a sentence that may be shown to the user."""

    code: ClassVar[str] = "error"


class InvalidInput(ResightError):
    """The caller sent something that cannot be used."""

    code = "invalid_input"


class BadImage(InvalidInput):
    """A photograph that cannot be decoded or breaks a limit of size."""

    code = "bad_image"


class BadFormat(BadImage):
    """A photograph whose format is not on the allow-list."""

    code = "bad_format"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a sheet: ``row`` counts lines of the file from 1 (the header is row 1)."""

    row: int
    column: str
    reason: str


class BadRows(InvalidInput):
    """A sheet with faults; nothing of it was written. ``faults`` may be cut short, ``total`` is their true number."""

    code = "bad_rows"

    def __init__(self, faults: Sequence[Fault], total: int | None = None) -> None:
        self.faults = tuple(faults)
        self.total = len(self.faults) if total is None else total
        first = self.faults[0]
        super().__init__(
            f"{self.total} fault(s) in the sheet; the first in row {first.row}, column {first.column}: {first.reason}"
        )


class BadScenario(InvalidInput):
    """A scenario pack or a prediction file that breaks the contest's rules."""

    code = "bad_scenario"


class BadScope(InvalidInput):
    """A scope that contradicts itself, such as a date window that ends before it begins."""

    code = "bad_scope"


class BadArchive(InvalidInput):
    """A ZIP archive that cannot be read or is not safe to read."""

    code = "bad_archive"


class BadDigest(InvalidInput):
    """Bytes whose SHA-256 is not the one that was announced; they were not kept."""

    code = "bad_digest"


class NotFound(ResightError):
    """No such thing."""

    code = "not_found"


class UnknownAnnotation(NotFound):
    """No annotation with this id."""

    code = "unknown_annotation"


class UnknownIndividual(NotFound):
    """No individual with this id."""

    code = "unknown_individual"


class UnknownImage(NotFound):
    """No image with this SHA-256."""

    code = "unknown_image"


class UnknownImport(NotFound):
    """No import with this id."""

    code = "unknown_import"


class UnknownCalibration(NotFound):
    """No calibration for the ensemble and the ranking in force."""

    code = "unknown_calibration"


class UnknownEnsemble(NotFound):
    """No released ensemble under this name."""

    code = "unknown_ensemble"


class UnknownJob(NotFound):
    """No job with this id."""

    code = "unknown_job"


class UnknownEvaluation(NotFound):
    """No evaluation with this id."""

    code = "unknown_evaluation"


class UnknownUpload(NotFound):
    """No upload session with this id, or it was abandoned for too long."""

    code = "unknown_upload"


class Conflict(ResightError):
    """The request contradicts what the catalogue holds."""

    code = "conflict"


class StaleRevision(Conflict):
    """Somebody else changed the annotation since it was read; nothing was changed."""

    code = "stale_revision"


class SpaceMismatch(Conflict):
    """Vectors of two spaces were about to be mixed."""

    code = "space_mismatch"


class LosingEnsemble(Conflict):
    """An ensemble that a stored evaluation says to be worse was about to be made active."""

    code = "losing_ensemble"


class KeyReused(Conflict):
    """An idempotency key stands for another request already."""

    code = "key_reused"


class UploadClosed(Conflict):
    """An upload session that was committed already; what it holds belongs to its import."""

    code = "upload_closed"


class NotAllowed(ResightError):
    """The caller may not do this."""

    code = "not_allowed"


class LimitReached(ResightError):
    """More than the service accepts."""

    code = "limit_reached"


class TooLarge(LimitReached):
    """One request is too large."""

    code = "too_large"


class Overloaded(LimitReached):
    """Too many requests at once; try again after a moment."""

    code = "overloaded"


class Unavailable(ResightError):
    """The service cannot answer now."""

    code = "unavailable"


class ModelUnavailable(Unavailable):
    """The ensemble cannot be loaded: a member is missing or damaged."""

    code = "model_unavailable"


class IndexUnavailable(Unavailable):
    """No index generation is ready."""

    code = "index_unavailable"


class CatalogueUnavailable(Unavailable):
    """The catalogue database does not answer."""

    code = "catalogue_unavailable"


class StorageFull(Unavailable):
    """The disk is full; nothing was acknowledged that is not on it."""

    code = "storage_full"


class Corrupt(ResightError):
    """A stored file does not match its hash; it is never served."""

    code = "corrupt"
