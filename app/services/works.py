"""The works of jobs: what an import, a re-embedding and a rebuilt index do in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.domain.errors import BadArchive, NotAllowed
from app.domain.jobs import JSON, Step
from app.domain.ports import Snapshot, Uploads
from app.services.ingest import Ingest, Progress
from app.services.reindex import Reindex

Stopping = Callable[[], bool]

# Annotations are embedded in batches; so many of them are a step, of some seconds.
_BATCHES = 8


@dataclass(frozen=True, slots=True)
class ImportWork:
    """An import, told by its ``import_id``; the upload that it came with is forgotten when it has ended."""

    ingest: Ingest
    uploads: Uploads
    stopping: Stopping
    reached: Progress

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:  # noqa: ARG002 - the catalogue knows how far it is
        """Work off the next rows; raises Unavailable, and what the import itself fails with."""
        import_id = import_of(arguments)
        source = self.ingest.report(import_id).source
        try:
            step = self.ingest.step(import_id, self.reached, stopping=self.stopping)
        except (BadArchive, NotAllowed):
            # What was brought is at fault: the import has failed and is not taken up again.
            self.uploads.discard(source)
            raise
        if step.finished:
            self.uploads.discard(source)
        return step


@dataclass(frozen=True, slots=True)
class ReembedWork:
    """Vectors of the ensemble in force for every annotation that lacks one, then an index of them."""

    reindex: Reindex
    stopping: Stopping

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:  # noqa: ARG002 - there is nothing to be told
        """Embed the next annotations; raises LosingEnsemble, Unavailable, Corrupt."""
        total = seen + self.reindex.activate()
        done = seen
        for _ in range(_BATCHES):
            count = self.reindex.embed_some()
            done += count
            if not count:
                return Step(done, done, finished=True, result=_told(self.reindex.refresh()))
            if self.stopping():
                break
        return Step(done, total)


@dataclass(frozen=True, slots=True)
class RebuildWork:
    """An index of the vectors that the catalogue holds."""

    reindex: Reindex

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:  # noqa: ARG002 - all of it is one step
        """Build and swap in what is not as the catalogue says; raises Unavailable."""
        snapshot = self.reindex.refresh()
        return Step(len(snapshot.gallery), len(snapshot.gallery), finished=True, result=_told(snapshot))


def import_of(arguments: Mapping[str, JSON]) -> int:
    """The import that the arguments of its job name."""
    import_id = arguments["import_id"]
    if not isinstance(import_id, int):
        raise TypeError("an import's id is a number")
    return import_id


def _told(snapshot: Snapshot) -> dict[str, JSON]:
    return {
        "generation": snapshot.generation,
        "catalogue_version": snapshot.catalogue_version,
        "annotations": len(snapshot.gallery),
    }
