"""A catalogue in memory: the reference of the contract, and what services are tested with."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from app.domain.catalogue import Annotation, CaptureDate, Image, Individual, Sighting, Viewpoint, name_key
from app.domain.conflicts import Held, KnownNames, Ledger
from app.domain.curation import Edition
from app.domain.duplicates import FLAT, gallery_of
from app.domain.ensemble import ActiveSpace, Float32, require_spaces
from app.domain.errors import (
    BadScope,
    SpaceMismatch,
    UnknownAnnotation,
    UnknownImage,
    UnknownImport,
    UnknownIndividual,
)
from app.domain.ingestion import Embedded, ImportReport, ImportState, Refused, RequestKey, RowState
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Gallery, Int64, Partition
from tests.fakes_annals import FakeAnnals, moment
from tests.fakes_rows import FakeRows, Row


class Names:
    """Names with their keys: the first spelling stands for all."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.spelled: dict[str, str] = {}

    def put(self, name: str | None) -> str | None:
        """The spelling that is held for a name, from now on at least."""
        if name is None:
            return None
        key = name_key(name)
        self.numbers.setdefault(key, len(self.numbers) + 1)
        return self.spelled.setdefault(key, name)

    def forget(self, meant: set[str]) -> None:
        """Free the spelling of every name that is not meant any more."""
        self.spelled = {key: name for key, name in self.spelled.items() if key in meant}

    def number(self, name: str | None) -> int:
        return NOBODY if name is None else self.numbers[name_key(name)]


class FakeCatalogue(FakeAnnals):
    """The Catalogue port on dictionaries, behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._version = 0
        self._annotations: dict[int, Annotation] = {}
        self._individuals, self._encounters, self._owners = Names(), Names(), dict[str, str]()
        self._images: dict[str, Image] = {}
        self._spaces: dict[tuple[str, str], ActiveSpace] = {}
        self._active: dict[str, ActiveSpace] = {}
        self._vectors: dict[tuple[str, str], dict[int, tuple[int, Float32]]] = defaultdict(dict)
        self._imports: dict[int, ImportReport] = {}
        self._rows: dict[int, dict[int, Row]] = {}
        self.rows = FakeRows(self._rows, self.annotation_ids, cancelled=self._cancelled)
        self._past: dict[int, list[Edition]] = {}

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def at_once(self) -> Iterator["FakeCatalogue"]:
        with self._lock:
            yield self

    def version(self) -> int:
        return self._version

    def fingerprints(self) -> Mapping[str, str]:
        return {name: space.fingerprint for name, space in self._active.items()}

    def signatures(self) -> Mapping[Partition, str]:
        with self._lock:
            members: dict[Partition, list[tuple[int, int]]] = defaultdict(list)
            for name in self._active:
                for number, (version, _) in self._served(name).items():
                    found = self._annotations[number]
                    members[Partition(name, found.viewpoint, found.captured.year)].append((version, number))
        return {
            partition: f"{len(own)}:{max(version for version, _ in own)}:{sum(number for _, number in own)}"
            for partition, own in members.items()
        }

    def partition(self, partition: Partition) -> tuple[Int64, Float32]:
        with self._lock:
            space, served = self._space(partition.space), self._served(partition.space)
            ids = [n for n in sorted(served) if self._place(n) == (partition.viewpoint, partition.year)]
            vectors = np.array([served[n][1] for n in ids], np.float32).reshape(len(ids), space.dimension)
        return np.array(ids, np.int64), vectors

    def gallery(self) -> Gallery:
        with self._lock:
            shas = {sha256: number for number, sha256 in enumerate(self._images, 1)}
            rows = [
                (
                    number,
                    self._individuals.number(found.individual),
                    self._encounters.number(found.encounter),
                    shas[found.image.sha256],
                    VIEWPOINTS.index(found.viewpoint),
                    found.captured.year,
                    found.captured.day.toordinal() if found.captured.day else UNDATED,
                    self._images[found.image.sha256].phash or FLAT,
                    moment(found.captured),
                )
                for number, found in sorted(self._annotations.items())
                if not found.removed
            ]
        *known, phash, moments = np.array(rows, np.int64).reshape(-1, 9).T
        return gallery_of(known, phash, moments)

    def use_spaces(self, spaces: Sequence[ActiveSpace]) -> None:
        with self._lock:
            wanted = {space.name: space for space in spaces}
            if wanted == self._active:
                return
            for space in spaces:
                if self._spaces.get((space.name, space.fingerprint), space).dimension != space.dimension:
                    raise SpaceMismatch(space.name)
            self._spaces |= {(space.name, space.fingerprint): space for space in spaces}
            self._active = wanted
            self._version += 1

    def annotation(self, annotation_id: int) -> Annotation:
        found = self.kept(annotation_id)
        if found.removed:
            raise UnknownAnnotation(str(annotation_id))
        return found

    def annotations(self, annotation_ids: Iterable[int]) -> dict[int, Annotation]:
        with self._lock:
            found = {number: self._annotations[number] for number in annotation_ids if number in self._annotations}
        return {number: one for number, one in found.items() if not one.removed}

    def annotation_ids(self, source_ids: Iterable[str], *, removed: bool = False) -> dict[str, int]:
        with self._lock:
            rows = self._annotations.items()
            known = {found.source_id: number for number, found in rows if found.removed == removed}
        return {source_id: known[source_id] for source_id in source_ids if source_id in known}

    def individuals(self, *, after: str = "", limit: int = 100) -> list[Individual]:
        with self._lock:
            behind = sorted(name for name in self._individuals.spelled.values() if name > after and self._of(name))
            return [_summary(name, self._of(name)) for name in behind[:limit]]

    def individual(self, name: str) -> tuple[Individual, list[Annotation]]:
        with self._lock:
            spelled = self._individuals.spelled.get(name_key(name))
            own = self._of(spelled) if spelled else []
            if spelled is None or not own:
                raise UnknownIndividual(name)
        own.sort(key=lambda found: (found.captured.taken or datetime.max, found.annotation_id))
        return _summary(spelled, own), own

    def keys(self, *, individuals: Iterable[str] = (), encounters: Iterable[str] = ()) -> tuple[set[int], set[int]]:
        whales, meetings = [name_key(n) for n in individuals], [name_key(n) for n in encounters]
        if stray := set(whales) - self._individuals.numbers.keys():
            raise UnknownIndividual(min(stray))
        if stray := set(meetings) - self._encounters.numbers.keys():
            raise BadScope(min(stray))
        return {self._individuals.numbers[k] for k in whales}, {self._encounters.numbers[k] for k in meetings}

    def image(self, sha256: str) -> Image:
        if sha256 not in self._images:
            raise UnknownImage(sha256)
        return self._images[sha256]

    def image_shas(self) -> Iterator[str]:
        yield from list(self._images)

    def held(self, sightings: Sequence[Sighting], sha256s: Sequence[str] = ()) -> Held:
        return Held(list(self._annotations.values()), self._names())

    def begin_import(self, source: str, sightings: Iterable[Sighting], request: RequestKey | None = None) -> int:
        sightings = list(sightings)
        with self._lock:
            if request and (begun := self.rows.requested(request)):
                return begun
            number = len(self._imports) + 1
            self._imports[number] = ImportReport(number, source, ImportState.RUNNING, datetime.now(UTC), None, {})
            self._rows[number] = {said.row: Row(said) for said in sightings}
            if request:
                self.rows.requests[request.key] = request.sha256, number
        return number

    def running_imports(self) -> list[int]:
        return [number for number, report in self._imports.items() if report.state is ImportState.RUNNING]

    def _cancelled(self) -> list[int]:
        return [number for number, report in self._imports.items() if report.state is ImportState.CANCELLED]

    def add(
        self, import_id: int, rows: Sequence[Embedded], refused: Refused, fingerprints: Mapping[str, str] | None = None
    ) -> None:
        with self._lock:
            self.import_report(import_id)
            if fingerprints is not None:
                require_spaces(self.fingerprints(), fingerprints)
            for row in rows:
                for space, vector in row.vectors.items():
                    self._check(space, vector)
            ledger, before = self._ledger(), len(self._annotations) + self._stored_vectors()
            for row in rows:
                verdict = ledger.judge(row.sighting, row.image.sha256)
                if verdict.state is RowState.STORED:
                    self._store(row)
                elif verdict.twin:
                    self._embed(verdict.twin.annotation_id, row.vectors)
                own = self._rows[import_id][row.sighting.row]
                own.state, own.reason = verdict.state, verdict.reason
            for line, reason in refused:
                own = self._rows[import_id][line]
                own.state, own.reason = RowState.REFUSED, reason
            self._version += before != len(self._annotations) + self._stored_vectors()

    def known(self, sightings: Sequence[tuple[Sighting, str]]) -> set[int]:
        ledger = self._ledger()
        twins = {said.row: ledger.judge(said, sha256).twin for said, sha256 in sightings}
        return {row for row, twin in twins.items() if twin and not self._lacking(twin)}

    def finish_import(self, import_id: int, state: ImportState, reason: str | None = None) -> None:
        with self._lock:
            self.import_report(import_id)
            if self._imports[import_id].state is not ImportState.RUNNING:
                return
            ended = replace(self._imports[import_id], state=state, reason=reason, finished=datetime.now(UTC))
            self._imports[import_id] = ended
            if state is ImportState.DONE:
                self.settle_rows(import_id, RowState.STORED, RowState.INDEXED)

    def settle_rows(
        self, import_id: int, old: RowState, new: RowState, reason: str | None = None, version: int | None = None
    ) -> None:
        with self._lock:
            self.import_report(import_id)
            if version not in {None, self._version}:
                return
            for row in self._rows[import_id].values():
                if row.state is old:
                    row.state, row.reason = new, reason or row.reason

    def import_report(self, import_id: int) -> ImportReport:
        if import_id not in self._imports:
            raise UnknownImport(str(import_id))
        rows = sorted(self._rows[import_id].items())
        counts = Counter(row.state for _, row in rows)
        refused, quarantined = (
            tuple(row.told for _, row in rows if row.state is state)[:1000]
            for state in (RowState.REFUSED, RowState.QUARANTINED)
        )
        return replace(self._imports[import_id], rows=dict(counts), refused=refused, quarantined=quarantined)

    def lacking(self, space: str) -> int:
        return len(self.missing_vectors(space, 1_000_000))

    def missing_vectors(self, space: str, limit: int) -> list[Annotation]:
        self._space(space)
        with self._lock:
            rows = self._annotations.values()
            return [found for found in rows if not found.removed and space in self._lacking(found)][:limit]

    def add_vectors(
        self, space: str, vectors: Mapping[int, Float32], revisions: Mapping[int, int] | None = None
    ) -> None:
        with self._lock:
            own = self._space(space)
            if revisions is not None:
                held = self.annotations(vectors)
                vectors = {n: vectors[n] for n, found in held.items() if found.revision == revisions[n]}
            for number, vector in vectors.items():
                self._check(space, vector)
                self.annotation(number)
            self._version += bool(vectors)
            stored = {number: (self._version, np.array(vector)) for number, vector in vectors.items()}
            self._vectors[space, own.fingerprint] |= stored

    def _space(self, name: str) -> ActiveSpace:
        if name not in self._active:
            raise SpaceMismatch(name)
        return self._active[name]

    def _check(self, space: str, vector: Float32) -> None:
        if vector.shape != (self._space(space).dimension,):
            raise SpaceMismatch(space)

    def _served(self, name: str) -> dict[int, tuple[int, Float32]]:
        space = self._space(name)
        held = self._vectors[name, space.fingerprint]
        shown = {n for n, one in self._annotations.items() if not one.removed and one.viewpoint in space.viewpoints}
        return {n: vector for n, vector in held.items() if n in shown}

    def _place(self, number: int) -> tuple[Viewpoint, int]:
        return self._annotations[number].viewpoint, self._annotations[number].captured.year

    def _of(self, name: str) -> list[Annotation]:
        return [found for found in self._annotations.values() if found.individual == name and not found.removed]

    def _lacking(self, found: Annotation) -> set[str]:
        served = {name for name, space in self._active.items() if found.viewpoint in space.viewpoints}
        return {n for n in served if found.annotation_id not in self._vectors[n, self._active[n].fingerprint]}

    def _ledger(self) -> Ledger:
        with self._lock:
            return Ledger(self._annotations.values(), self._names())

    def _names(self) -> KnownNames:
        return KnownNames(self._individuals.spelled, self._encounters.spelled, self._owners)

    def _stored_vectors(self) -> int:
        return sum(len(held) for held in self._vectors.values())

    def _store(self, row: Embedded) -> None:
        said, number = row.sighting, len(self._annotations) + 1
        whale, meeting = self._individuals.put(said.individual), self._encounters.put(said.encounter)
        if whale and meeting:
            self._owners.setdefault(name_key(meeting), whale)
        image = self._images.setdefault(row.image.sha256, row.image)
        taken = said.captured.taken and said.captured.taken.replace(tzinfo=None)
        captured = CaptureDate(taken, said.captured.precision)
        self._annotations[number] = Annotation(
            number, said.source_id, image, said.viewpoint, captured, whale, meeting, said.box, self._version + 1
        )
        self._embed(number, row.vectors)

    def _embed(self, number: int, vectors: Mapping[str, Float32]) -> None:
        for name, vector in vectors.items():
            held = self._vectors[name, self._active[name].fingerprint]
            held.setdefault(number, (self._version + 1, np.array(vector, np.float32)))


def _summary(name: str, own: Sequence[Annotation]) -> Individual:
    days = sorted(found.captured.day for found in own if found.captured.day)
    return Individual(
        name=name,
        annotations=len(own),
        encounters=len({found.encounter for found in own if found.encounter}),
        viewpoints=tuple(viewpoint for viewpoint in Viewpoint if any(found.viewpoint is viewpoint for found in own)),
        first_seen=days[0] if days else None,
        last_seen=days[-1] if days else None,
    )
