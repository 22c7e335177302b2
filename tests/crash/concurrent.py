"""People who import, edit, remove and match at the same time: ``python -m tests.crash.concurrent``.

Four writers and four readers work on the real service for some minutes; everything they asked and were answered goes
into a history, which is then held against what one catalogue could have answered. It ends with 1 on any anomaly.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash.client import Answer, Broken, Client, Gone
from tests.crash.history import Read, State, Write, anomalies
from tests.crash.photographs import Photograph, draw, packed
from tests.crash.service import Service

WRITERS = READERS = 4
_LARGEST_BATCH = 16
_PAUSE = 0.02
_VIEWPOINTS = ("top", "left", "right")
_YEARS = (2021, 2022, 2023)
_OLD = 200


@dataclass(slots=True)
class Kept:
    """A photograph that a writer has brought, as it stands by its own account."""

    photograph: Photograph
    annotation_id: int
    state: State


@dataclass(slots=True)
class History:
    """What happened, in the words of those who asked. Photographs that readers may ask about are in ``known``."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    known: list[Photograph] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, key: str, began: float, ended: float, state: State | None, what: str) -> None:
        with self.lock:
            self.writes.append(Write(key, began, ended, state))
            self.done[what if ended < math.inf else f"{what} without answer"] += 1


def run(service: Service, seconds: float, seed: int, history: History) -> None:
    """Let everybody work for so long; what ends one of them is a fault."""
    until = time.monotonic() + seconds
    people = [partial(_writer, service.client, history, seed, number, until) for number in range(WRITERS)]
    people += [partial(_reader, service.client, history, seed, number, until) for number in range(READERS)]
    threads = [threading.Thread(target=_guarded, args=(work, history)) for work in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if (code := service.ended()) is not None:
        history.faults.append(f"the service ended by itself with {code}; {service.tail()}")


def _guarded(work: partial[None], history: History) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever ends a client is a fault of the run
        with history.lock:
            history.faults.append(f"{type(error).__name__}: {error}")


def _writer(client: Client, history: History, seed: int, number: int, until: float) -> None:
    """Import small batches, edit and remove what it brought itself, one after the other."""
    chance = random.Random(f"{seed}-{number}")
    mine: list[Kept] = []
    for batch in itertools.count():
        if time.monotonic() >= until:
            return
        mine += _bring(client, history, draw_batch(chance, f"w{number}b{batch}-"), until)
        for _ in range(chance.randint(0, 8)):
            if mine and time.monotonic() < until:
                one = mine.pop(chance.randrange(len(mine)))
                if chance.random() < 0.5:
                    _remove(client, history, one)
                elif (kept := _edit(client, history, one, chance)) is not None:
                    mine.append(kept)


def draw_batch(chance: random.Random, prefix: str) -> list[Photograph]:
    """A few new photographs."""
    return list(draw(chance.randint(1, _LARGEST_BATCH), chance.getrandbits(32), prefix=prefix))


def _bring(client: Client, history: History, batch: list[Photograph], until: float) -> Iterator[Kept]:
    """Import a ZIP and wait until the answer says that all of it is indexed."""
    began = time.monotonic()
    with history.lock:
        history.known.extend(batch)
    states = {one.image_id: State(one.viewpoint, int(one.date[:4])) for one in batch}
    ended = _imported(client, packed(batch), len(batch), until + 30)
    for one in batch:
        history.write(one.sha256, began, ended, states[one.image_id], "add")
    for one in batch if ended < math.inf else ():
        found = _own(_match(client, one), one)
        if len(found) == 1:
            yield Kept(one, found[0]["annotation_id"], states[one.image_id])


def _imported(client: Client, archive: bytes, count: int, until: float) -> float:
    """When the answer was read that all rows are indexed; infinite when none came."""
    try:
        begun = client.post("/imports", {}, {"archive": archive})
        if begun.busy:
            return math.inf
        assert begun.status == 202, begun
        while time.monotonic() < until:
            report = client.get(f"/imports/{begun.body['import_id']}").body
            if report["state"] == "done":
                assert report["rows"]["indexed"] == count, report
                return time.monotonic()
            assert report["state"] == "running", report
            time.sleep(_PAUSE)
    except Gone:
        pass
    return math.inf


def _edit(client: Client, history: History, one: Kept, chance: random.Random) -> Kept | None:
    """Move it to another partition; None when nobody knows where it is now."""
    state = State(chance.choice(_VIEWPOINTS), chance.choice(_YEARS))
    date = f"{state.year}-08-{chance.randint(1, 28):02d}"
    # Its encounter had another date, and may have had an animal of its own.
    change = {"viewpoint": state.viewpoint, "date": date, "encounter": None}
    began = time.monotonic()
    ended = _changed(client, "PATCH", one, json.dumps(change).encode())
    history.write(one.photograph.sha256, began, ended, state, "edit")
    return Kept(one.photograph, one.annotation_id, state) if ended < math.inf else None


def _remove(client: Client, history: History, one: Kept) -> None:
    began = time.monotonic()
    history.write(one.photograph.sha256, began, _changed(client, "DELETE", one), None, "remove")


def _changed(client: Client, method: str, one: Kept, body: bytes = b"") -> float:
    """When the answer was read that a change is indexed; infinite when it said less, or nothing."""
    place = f"/annotations/{one.annotation_id}"
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        answer = client.ask(method, place, body, headers | {"If-Match": client.get(place).etag})
    except Gone:
        return math.inf
    if answer.status not in {200, 202} and not answer.busy:
        raise Broken(f"{method} {place} answered {answer.status}: {answer.body}")
    return time.monotonic() if answer.status == 200 and answer.body["state"] == "indexed" else math.inf


def _reader(client: Client, history: History, seed: int, number: int, until: float) -> None:
    """Ask for photographs that somebody brings or has brought, everywhere or on one side only."""
    chance = random.Random(f"{seed}-reader-{number}")
    while time.monotonic() < until:
        with history.lock:
            known = history.known[-_OLD:] if chance.random() < 0.7 else list(history.known)
        if not known:
            time.sleep(_PAUSE)
            continue
        one = chance.choice(known)
        viewpoints = frozenset({chance.choice(_VIEWPOINTS)}) if chance.random() < 0.3 else frozenset()
        began = time.monotonic()
        try:
            answer = _match(client, one, ",".join(viewpoints))
        except Gone:
            continue
        ended = time.monotonic()
        if answer.busy:
            continue
        if answer.status != 200:
            raise Broken(f"POST /match answered {answer.status}: {answer.body}")
        read = _read(one, began, ended, viewpoints, answer)
        with history.lock:
            history.reads.append(read)


def _read(one: Photograph, began: float, ended: float, viewpoints: frozenset[str], answer: Answer) -> Read:
    found, receipt = _own(answer, one), answer.body["receipt"]
    # Within some viewpoints what counts is who was searched; what a candidate says of itself may be newer.
    told = State(found[0]["viewpoint"], int(found[0]["date"][:4])) if found and not viewpoints else None
    versions = receipt["catalogue_version"], receipt["index_generation"]
    return Read(one.sha256, began, ended, len(found), viewpoints, told, versions)


def _match(client: Client, one: Photograph, viewpoints: str = "") -> Answer:
    return client.post(
        "/match", {"limit": "5"} | ({"viewpoints": viewpoints} if viewpoints else {}), {"image": one.content}
    )


def _own(answer: Answer, one: Photograph) -> list[dict[str, Any]]:
    """The candidates that are the photograph itself."""
    return [found for found in answer.body["candidates"] if found["same_photograph"]]


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash.concurrent", description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0)
    arguments.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = arguments.parse_args()
    print(
        f"{given.seconds:.0f} s, {WRITERS} writers, {READERS} readers, {given.database}, seed {given.seed}", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="resight-history-") as scratch:
        history, found = checked(Path(scratch), given.seconds, given.seed, given.database)
    print(f"{dict(history.done)}, {len(history.reads)} matches")
    for fault in found[:20]:
        print(f"  {fault}")
    if found:
        sys.exit(f"{len(found)} anomalies")
    print("0 stale reads, 0 ghosts, 0 in two partitions or in none, versions never went back, the service lived")


def checked(
    scratch: Path, seconds: float, seed: int, database: str = "sqlite", **environment: str
) -> tuple[History, list[str]]:
    """A history of so many seconds on a new catalogue, and what is wrong with it."""
    from tests.crash.campaign import new_database

    history = History()
    with new_database(database) as url:
        service = Service(scratch, url, **environment)
        try:
            service.start()
            service.until_ready()
            run(service, seconds, seed, history)
        finally:
            service.close()
    found = [f"{one.kind}: {one.why}; {one.read}" for one in anomalies(history.writes, history.reads)]
    return history, [*history.faults, *found]


if __name__ == "__main__":
    main()
