"""The database goes away while an import runs and people ask: ``python -m tests.crash.outage``.

In each round it is away for some seconds; twenty requests a second go on all the time: matches, reads, reports and
edits. It ends with 1 on any 5xx other than 503 and 507, on a lost edit or import, and when it does not recover alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.away import killed, locked
from tests.crash.book import Book
from tests.crash.campaign import Campaign
from tests.crash.client import Answer, Broken, Client, Gone
from tests.crash.photographs import Photograph
from tests.crash.service import Service

_PEOPLE = 48
_KINDS = ("match", "read", "match", "report", "match", "read", "edit", "match")
_NAMES = tuple(f"e{number:02d}" for number in range(20))
_BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; ``status`` 0 says that no answer came, ``code`` why one was refused."""

    kind: str
    began: float
    ended: float
    status: int
    code: str = ""


@dataclass(slots=True)
class Edits:
    """Names that an annotation may have by what was answered, and those that nobody edits now."""

    possible: dict[int, set[str]] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)


class Traffic:
    """Requests at a rate of their own, whether or not the ones before were answered."""

    def __init__(self, service: Service, book: Book, seed: int, rate: float) -> None:
        self._rate = rate
        self.asked: list[Asked] = []
        self.edits = Edits()
        self._client, self._book = Client(service.client.port, 60.0), book
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._people = ThreadPoolExecutor(_PEOPLE)
        self._clock = threading.Thread(target=self._run)
        self._clock.start()

    def stop(self) -> None:
        self._stop.set()
        self._clock.join()
        self._people.shutdown()

    def lost(self) -> list[str]:
        """Edited annotations whose individual is none that an answer, or no answer, allows."""
        found = []
        for number, names in self.edits.possible.items():
            told = self._client.get(f"/annotations/{number}").body["individual"]
            if told not in names:
                found.append(f"annotation {number} is {told} and should be one of {sorted(names)}")
        return found

    def _run(self) -> None:
        started = time.monotonic()
        for number in itertools.count():
            if self._stop.wait(max(0.0, started + number / self._rate - time.monotonic())):
                return
            self._people.submit(self._ask, _KINDS[number % len(_KINDS)])

    def _ask(self, kind: str) -> None:
        with self._book.lock:
            imports = list(self._book.imports.items())
        if not imports:
            return
        number, bring = self._chance.choice(imports)
        began = time.monotonic()
        try:
            answer = self._answer(kind, number, self._chance.choice(bring.photographs))
        except Gone:
            answer = Answer(0, None)
        except Exception as error:  # noqa: BLE001 - whatever is no answer is a fault of the run
            with self._book.lock:
                self._book.faults.append(f"{kind}: {type(error).__name__}: {error}")
            return
        if answer is not None:
            code = answer.body["code"] if answer.busy else ""
            self.asked.append(Asked(kind, began, time.monotonic(), answer.status, code))

    def _answer(self, kind: str, import_id: int, one: Photograph) -> Answer | None:
        if kind == "match":
            return self._match(one)
        if kind == "edit":
            return self._edit()
        return self._client.get("/individuals" if kind == "read" else f"/imports/{import_id}")

    def _match(self, one: Photograph) -> Answer:
        answer = self._client.post("/match", {"limit": "3"}, {"image": one.content})
        for found in answer.body["candidates"] if answer.status == 200 else []:
            with self._lock:
                if found["same_photograph"] and found["annotation_id"] not in self.edits.possible:
                    self.edits.possible[found["annotation_id"]] = {found["individual"]}
                    self.edits.free.append(found["annotation_id"])
        return answer

    def _edit(self) -> Answer | None:
        """Give an annotation that nobody else edits now to another individual; None without any."""
        with self._lock:
            if not self.edits.free:
                return None
            number = self.edits.free.pop(self._chance.randrange(len(self.edits.free)))
        try:
            return self._named(number, self._chance.choice(_NAMES))
        finally:
            with self._lock:
                self.edits.free.append(number)

    def _named(self, number: int, name: str) -> Answer:
        place = f"/annotations/{number}"
        read = self._client.get(place)
        if read.status != 200:
            return read
        self.edits.possible[number].add(name)  # until something is answered it may be so
        headers = {"Content-Type": "application/json", "If-Match": read.etag}
        change = json.dumps({"individual": name, "encounter": None}).encode()
        answer = self._client.ask("PATCH", place, change, headers)
        if answer.status in {200, 202}:
            self.edits.possible[number] = {name}
        return _expected(answer, {200, 202, 412})


def _expected(answer: Answer, statuses: set[int]) -> Answer:
    if answer.status not in statuses and not answer.busy:
        raise Broken(f"an edit was answered with {answer.status}: {answer.body}")
    return answer


def _told(asked: Sequence[Asked], down: float, up: float) -> str:
    """What was answered to what was asked while it was away, and how long after its return somebody was refused."""
    inside = [one for one in asked if down <= one.began < up]
    counts = Counter(f"{one.kind} {one.status} {one.code}".strip() for one in inside)
    refused = sorted(one.ended - one.began for one in inside if one.status in {503, 507})
    slow = (
        f"503 after {refused[len(refused) // 2]:.2f} s (median), {refused[-1]:.2f} s (slowest)" if refused else "none"
    )
    late = [one for one in asked if one.ended > up and one.status in {503, 507}]
    last = max((one.ended for one in late), default=up) - up
    why = dict(Counter(one.code for one in late))
    return f"{dict(sorted(counts.items()))}; {slow}; last refusal {last:.1f} s after the return {why}"


def _rounds(
    away: Callable[[], AbstractContextManager[None]], rounds: int, down: float, traffic: Traffic, book: Book
) -> None:
    for number in range(rounds):
        time.sleep(down / 2)
        unfinished = len(book.unfinished)
        with away():
            began = time.monotonic()
            time.sleep(down)
        ended = time.monotonic()
        _answered_again(traffic, ended)
        print(f"  round {number + 1}, {unfinished} imports under way: {_told(traffic.asked, began, ended)}", flush=True)
        if book.faults:
            raise Broken("\n  ".join(book.faults[:20]))


def _answered_again(traffic: Traffic, since: float) -> None:
    """Until a match, a read, a report and an edit that were asked after the return were answered well."""
    while time.monotonic() < since + _BACK_SECONDS:
        if {one.kind for one in traffic.asked if one.began >= since and one.status < 400} >= set(_KINDS):
            return
        time.sleep(0.1)
    raise Broken(f"not everything is answered again {_BACK_SECONDS:.0f} s after the database came back")


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash.outage", description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgres"], default="postgres")
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--down", type=float, default=20.0, help="seconds without a database")
    arguments.add_argument("--rate", type=float, default=20.0, help="requests a second")
    arguments.add_argument("--photographs", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = arguments.parse_args()
    print(f"{given.database} away {given.rounds} times for {given.down:.0f} s, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="resight-outage-") as scratch:
        try:
            campaign = Campaign(Path(scratch), given.photographs, given.seed, given.database)
            _outages(campaign, given.rounds, given.down, given.rate)
        except Broken as fault:
            sys.exit(f"BROKEN\n{fault}")


def _outages(campaign: Campaign, rounds: int, down: float, rate: float) -> None:
    with campaign.life("many") as (service, book, crew):
        service.start()
        service.until_ready()
        traffic = Traffic(service, book, campaign.seed, rate)
        try:
            _rounds(lambda: _away(campaign.database, service), rounds, down, traffic, book)
        finally:
            traffic.stop()
        if lost := traffic.lost():
            raise Broken("\n  ".join(lost[:20]))
        campaign.finish(service, book, crew)
    asked = Counter(one.status for one in traffic.asked)
    print(f"{dict(asked)}; {len(traffic.edits.possible)} annotations to edit; nothing lost: {campaign.tally}")


def _away(database: str, service: Service) -> AbstractContextManager[None]:
    from tests.databases import postgres_folder

    return killed(postgres_folder()) if database == "postgres" else locked(service.data / "catalogue.sqlite")


if __name__ == "__main__":
    main()
