"""What the harness knows because it read it in an answer, written down the moment it was read."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.crash.client import Broken, Client, Gone
from tests.crash.photographs import Photograph
from tests.crash.service import Service
from tests.crash.sessions import Session

_PAUSE = 0.05
_FINAL = ("stored", "indexed", "unchanged", "refused")


@dataclass(frozen=True, slots=True)
class Bring:
    """One thing to import: a folder under the import root by name, or a ZIP."""

    photographs: Sequence[Photograph]
    folder: str = ""
    archive: bytes = b""

    def post(self, client: Client) -> int | None:
        """The import's id when it was taken, None when the service said: not now. Raises Gone."""
        files = {"archive": self.archive} if self.archive else {}
        answer = client.post("/imports", {"folder": self.folder} if self.folder else {}, files)
        if answer.busy:
            return None
        if answer.status != 202:
            raise Broken(f"POST /imports answered {answer.status}: {answer.body}")
        return int(answer.body["import_id"])


@dataclass(slots=True)
class Book:
    """Imports that were acknowledged, how far they were said to be, and what matches have shown."""

    imports: dict[int, Bring | Session] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    final: dict[int, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    versions: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, import_id: int, bring: Bring | Session) -> None:
        with self.lock:
            if import_id in self.imports:
                self.faults.append(f"two imports were given the id {import_id}")
            self.imports[import_id] = bring

    def read(self, import_id: int, report: dict[str, Any]) -> None:
        """Compare a report with what was said before: what is final stays final, one population is counted."""
        total, final = report["total"], sum(report["rows"].get(state, 0) for state in _FINAL)
        with self.lock:
            want = len(self.imports[import_id].photographs)
            if total != want or final > total or not 0 <= report["progress"] <= 1:
                self.faults.append(f"import {import_id} of {want} rows counts {report['rows']}")
            if final < self.final.get(import_id, 0):
                self.faults.append(f"import {import_id}: {self.final[import_id]} rows were final, now {final}")
            self.final[import_id] = max(final, self.final.get(import_id, 0))
            if report["state"] == "done":
                self.done.add(import_id)
                if final < total or report["rows"].get("stored"):
                    self.faults.append(f"import {import_id} says done with {report['rows']}")
            elif import_id in self.done:
                self.faults.append(f"import {import_id} was done and is {report['state']}")
            elif report["state"] == "failed":
                self.faults.append(f"import {import_id} failed: {report['reason']}")

    def show(self, sha256: str, answer: dict[str, Any]) -> None:
        """Note under which annotation a match showed a photograph, and from which versions: neither may go back.

        One client asks after the other, so what an answer names was durable before the next question, kill or not.
        """
        ids = {one["annotation_id"] for one in answer["candidates"] if one["same_photograph"]}
        versions = answer["receipt"]["catalogue_version"], answer["receipt"]["index_generation"]
        with self.lock:
            if any(now < then for now, then in zip(versions, self.versions, strict=True)):
                self.faults.append(f"catalogue version and generation were {self.versions} and are {versions}")
            self.versions = versions
            if len(ids) > 1:
                self.faults.append(f"a match showed {sha256} {len(ids)} times, as annotations {sorted(ids)}")
            for number in ids:
                if self.shown.setdefault(sha256, number) != number:
                    self.faults.append(f"{sha256} was annotation {self.shown[sha256]} and is {number}")

    @property
    def brought(self) -> list[Photograph]:
        """Every photograph of an import that was acknowledged, once."""
        with self.lock:
            return list({one.image_id: one for bring in self.imports.values() for one in bring.photographs}.values())

    @property
    def stand(self) -> tuple[int, int, int]:
        """Changes whenever the service was seen to get on."""
        with self.lock:
            return len(self.imports), len(self.done), sum(self.final.values())

    @property
    def unfinished(self) -> list[int]:
        with self.lock:
            return sorted(self.imports.keys() - self.done)


class Crew:
    """Threads that bring, watch and match until told to stop; killing the service only makes them try again."""

    def __init__(self, service: Service, lanes: Sequence[Sequence[Bring | Session]], book: Book) -> None:
        self._client, self._book, self._service = Client(service.client.port, 30.0), book, service
        self._stop = threading.Event()
        self._left = sum(map(len, lanes))
        work = [*(partial(self._bring, lane) for lane in lanes), self._watch, self._match]
        self._threads = [threading.Thread(target=self._guarded, args=(one,)) for one in work]
        for thread in self._threads:
            thread.start()

    @property
    def through(self) -> bool:
        """Whether everything was brought and said to be done, or something is at fault."""
        return bool(self._book.faults) or not (self._left or self._book.unfinished)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever ends a thread is a fault of the run
            with self._book.lock:
                self._book.faults.append(f"{type(error).__name__}: {error}")

    def _bring(self, lane: Sequence[Bring | Session]) -> None:
        """One after the other; what was not acknowledged is brought again."""
        for bring in lane:
            while not self._stop.is_set():
                try:
                    import_id = bring.post(self._client)
                except Gone:
                    import_id = None
                if import_id is not None:
                    self._book.acknowledge(import_id, bring)
                    self._left -= 1
                    break
                time.sleep(_PAUSE)

    def _watch(self) -> None:
        while not self._stop.wait(_PAUSE):
            for import_id in self._book.unfinished:
                try:
                    answer = self._client.get(f"/imports/{import_id}")
                except Gone:
                    break
                if answer.status == 200:
                    self._book.read(import_id, answer.body)
                elif not answer.busy:
                    raise Broken(f"import {import_id} was acknowledged and is answered with {answer.status}")

    def _match(self) -> None:
        """Ask for photographs that were acknowledged: what is shown once must stay what it is."""
        number = 0
        while not self._stop.wait(_PAUSE):
            with self._book.lock:
                known = [one for bring in self._book.imports.values() for one in bring.photographs[:: 1 + number % 7]]
            if not known:
                continue
            number += 7919
            one = known[number % len(known)]
            try:
                answer = self._client.post("/match", {"limit": "5"}, {"image": one.content})
            except Gone:
                continue
            if answer.status == 200:
                self._book.show(one.sha256, answer.body)
            elif not answer.busy:
                raise Broken(f"POST /match answered {answer.status}: {answer.body}")
