"""Plan: a sheet is checked whole before anything of it is written, tried out on request, and recorded as an import.

Faults of the sheet refuse all of it: they are told by row and column. What is wrong with a photograph itself refuses
its row alone, with the reason, when its turn comes; ``try_out`` says beforehand which rows these are. Memory is bounded
by a batch, whatever the length of the sheet.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from threading import BoundedSemaphore
from typing import TypeVar

from app.domain.catalogue import Sighting
from app.domain.conflicts import Ledger, Memory, crosscheck
from app.domain.ensemble import require_spaces
from app.domain.errors import BadImage, BadRows, Fault, Overloaded, TooLarge
from app.domain.formats import Layout, SheetFormat
from app.domain.ingestion import Plan, RequestKey, RowState, Trial
from app.domain.ports import Catalogue, Embedder, Images, Sheets
from app.domain.sheet import Faults
from app.domain.sightings import dump_sighting, load_sighting
from app.services.opened import open_photograph

BATCH = 2_000
OPENED = 100
TRIALS = 2
_SHOWN = 1_000

Progress = Callable[[int, int], None]
"""Called with (rows that are through, all rows)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Planning:
    """The use case; each method may run in many threads. ``memory`` opens a place for what one sheet says."""

    catalogue: Catalogue
    images: Images
    embedder: Embedder
    sheets: Sheets
    memory: Callable[[], AbstractContextManager[Memory]]
    _trials: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(TRIALS))

    def plan(self, source: str, wanted: SheetFormat | None = None, progress: Progress | None = None) -> Plan:
        """Check every row of a sheet against its form, the other rows and the catalogue; no photograph is opened.

        Raises BadRows with the first 1,000 faults and their number, BadArchive or NotAllowed; nothing is written.
        ``progress`` is told of rows and 0, as their number is not known yet; what it raises ends the check.
        """
        sheet = self.sheets.open(source)
        layout = sheet.layout(wanted)
        faults, seal = Faults(), _Seal()
        viewpoints: Counter[str] = Counter()
        with self.memory() as memory:
            for batch in _batches(sheet.sightings(layout.format), BATCH):
                sound = [said for said in batch if isinstance(said, Sighting)]
                faults.extend(said for said in batch if isinstance(said, Fault))
                faults.extend(self._conflicts(sound, layout, memory))
                viewpoints.update(said.viewpoint for said in sound)
                seal.add(sound)
                (progress or _quiet)(viewpoints.total(), 0)
            faults.raise_any()
            return Plan(
                source=source,
                layout=layout,
                seal=seal.text,
                rows=viewpoints.total(),
                individuals=memory.count("whale_id"),
                encounters=memory.count("encounter_id"),
                viewpoints=dict(sorted(viewpoints.items())),
            )

    def try_out(self, plan: Plan, progress: Progress | None = None) -> Trial:
        """Open every photograph of a plan and say what an import of it would do with each row; nothing is written.

        Raises what ``begin`` and the import would raise: SpaceMismatch, ModelUnavailable, BadArchive; and Overloaded
        while two others are at it: each decodes as much as an import does. What ``progress`` raises ends it.
        """
        if not self._trials.acquire(blocking=False):
            raise Overloaded(f"{TRIALS} dry runs are under way already; try again when one of them is through")
        try:
            return self._try_out(plan, progress or _quiet)
        finally:
            self._trials.release()

    def _try_out(self, plan: Plan, progress: Progress) -> Trial:
        self._require_spaces()
        sheet = self.sheets.open(plan.source)
        counts, refused = Counter[RowState](), list[tuple[int, str, str]]()
        with self.memory() as memory:
            for batch in _batches(self._recorded(plan), OPENED):
                opened: list[tuple[Sighting, str]] = []
                for through, said in enumerate(batch, counts.total()):
                    progress(through, plan.rows)
                    try:
                        opened.append((said, open_photograph(sheet, self.images, said).sha256))
                    except (BadImage, TooLarge) as error:
                        refused.append((said.line, said.source_id, str(error)))
                for said, reason in self._judged(opened, counts, memory):
                    refused.append((said.line, said.source_id, reason))
                counts[RowState.REFUSED] += len(batch) - len(opened)
                refused = sorted(refused)[:_SHOWN]
            progress(counts.total(), plan.rows)
        return Trial(counts[RowState.STORED], counts[RowState.UNCHANGED], counts[RowState.REFUSED], tuple(refused))

    def begin(self, plan: Plan, request: RequestKey | None = None) -> int:
        """Record a plan as an import whose rows all wait, all of them or none; returns its id.

        What a ``request`` began before is given again. Raises BadRows for a sheet that was changed since, KeyReused,
        SpaceMismatch, ModelUnavailable.
        """
        self._require_spaces()
        self.catalogue.use_spaces(self.embedder.active_spaces())
        return self.catalogue.begin_import(plan.source, self._recorded(plan), request)

    def _require_spaces(self) -> None:
        held = dict(self.catalogue.fingerprints())
        wanted = {space.name: space.fingerprint for space in self.embedder.active_spaces()}
        if held and any(self.catalogue.image_shas()):
            require_spaces(held, wanted)

    def _conflicts(self, rows: list[Sighting], layout: Layout, memory: Memory) -> Iterator[Fault]:
        for said, column, reason in crosscheck(rows, self.catalogue.held(rows), memory):
            yield Fault(said.line, layout.column(column), reason)

    def _recorded(self, plan: Plan) -> Iterator[Sighting]:
        """The rows of a plan once more; raises BadRows at the latest at the end when they are not those checked."""
        seal = _Seal()
        for batch in _batches(self.sheets.open(plan.source).sightings(plan.layout.format), BATCH):
            sound = [said for said in batch if isinstance(said, Sighting)]
            if len(sound) < len(batch):
                raise BadRows([said for said in batch if isinstance(said, Fault)])
            seal.add(sound)
            yield from sound
        if seal.text != plan.seal:
            raise BadRows([Fault(1, "", "the sheet was changed while it was being checked")])

    def _judged(
        self, opened: list[tuple[Sighting, str]], counts: Counter[RowState], memory: Memory
    ) -> Iterator[tuple[Sighting, str]]:
        """Count what becomes of rows whose photographs are sound; those that are refused come back with the reason."""
        held = self.catalogue.held([said for said, _ in opened], [sha256 for _, sha256 in opened])
        ledger = Ledger(held.annotations, held.names)
        for photo, text in memory.known("photo", (_photo(*row) for row in opened)).items():
            source_id, _, rest = text.partition("\n")
            ledger.accept(load_sighting(0, source_id, rest), photo.partition("|")[0])
        stored: dict[str, str] = {}
        for said, sha256 in opened:
            verdict = ledger.judge(said, sha256)
            counts[verdict.state] += 1
            if verdict.state is RowState.STORED:
                stored[_photo(said, sha256)] = f"{said.source_id}\n{dump_sighting(said)}"
            elif verdict.state is RowState.REFUSED:
                yield said, verdict.reason or ""
        memory.first("photo", stored)


class _Seal:
    """What tells whether two readings of a sheet gave the same rows."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, rows: Iterable[Sighting]) -> None:
        for said in rows:
            self._hash.update(f"{said.row}\n{said.source_id}\n{dump_sighting(said)}\n".encode())

    @property
    def text(self) -> str:
        return self._hash.hexdigest()


def _photo(said: Sighting, sha256: str) -> str:
    return f"{sha256}|{said.box or ''}"


def _batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""
