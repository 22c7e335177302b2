"""Kill the service again and again while a survey is brought, let it finish, and compare everything with everything."""

from __future__ import annotations

import math
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import at_rest
from tests.crash.book import Book, Bring, Crew
from tests.crash.client import Broken, Gone
from tests.crash.photographs import Photograph, draw, packed, write_folder
from tests.crash.power import mounted
from tests.crash.service import Service
from tests.crash.sessions import Session

EARLIEST, LATEST = 0.05, 3.0
_LOOK = 0.01
_STUCK_SECONDS = 60.0  # the service tries again after 30 when something is away
_MATCHERS = 2
_SMALLEST = 30  # an import has its own costs: a short run has fewer of them
WAYS = ("folder", "zip", "session", "many")


@dataclass(slots=True)
class Tally:
    """What a campaign has done so far."""

    kills: int = 0
    lives: int = 0
    acknowledged: int = 0
    matched: int = 0
    ready: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = max(self.ready, default=0.0)
        return (
            f"{self.kills} kills in {self.lives} lives, {self.acknowledged} imports acknowledged, "
            f"{self.matched} photographs their own best match, slowest ready {slowest:.1f} s after a start"
        )


@dataclass(frozen=True, slots=True)
class Campaign:
    """Lives on empty catalogues of one ``database``; with ``power`` each kill is a power cut of the data's disk.

    ``slow`` stretches the time between kills, for a machine that would get nothing done in three seconds.

    The photographs' seed is ``seed`` + the number of the life, which also draws the moments of the kills.
    """

    scratch: Path
    photographs: int
    seed: int
    database: str = "sqlite"
    environment: dict[str, str] = field(default_factory=dict)
    power: bool = False
    slow: float = 1.0
    tally: Tally = field(default_factory=Tally)

    def lives(self, kills: int, each: int = 0) -> Iterator[None]:
        """Live after life until so many kills fell on work under way; raises Broken with all faults of a life.

        A life has at most ``each`` of them, by default so many that every way to bring a survey has its share.
        """
        chance = random.Random(self.seed)
        each = each or math.ceil(kills / len(WAYS))
        while self.tally.kills < kills:
            most = min(kills, self.tally.kills + each)
            with self.life(WAYS[self.tally.lives % len(WAYS)]) as (service, book, crew):
                while self.tally.kills < most and not crew.through:
                    service.start()
                    self.tally.kills += self._killed(service, crew, chance)
                self.finish(service, book, crew)
            yield

    def dies_at(self, place: str, way: str, nth: int) -> bool:
        """One life with one kill, the ``nth`` time that a place is reached; False when it was not reached so often."""
        with self.life(way) as (service, book, crew):
            service.start(RESIGHT_FAILPOINT=f"{place}:{nth}")
            while (died := service.ended()) is None and not crew.through:
                time.sleep(_LOOK)
            if died not in {None, -signal.SIGKILL}:
                raise Broken(f"{place}: the service ended by itself with {died}; {service.tail()}")
            self.tally.kills += died is not None
            self.finish(service, book, crew)
        return died is not None

    def backup_dies_at(self, place: str, nth: int) -> bool:
        """A backup of a running service is killed once and made again; what it restores is held against the survey."""
        with self.life("folder") as (service, book, crew):
            service.start()
            self._wait_for(crew, service, book)
            backup, restored = service.home / "backup", service.home / "restored"
            died = service.command("backup", str(backup), RESIGHT_FAILPOINT=f"{place}:{nth}")
            self.tally.kills += died == -signal.SIGKILL
            codes = (
                service.command("backup", str(backup)),
                service.command("restore", str(backup), str(restored)),
            )
            if any(codes):
                raise Broken(f"after a kill at {place}, backup and restore ended with {codes}; {service.tail()}")
            self.finish(service, book, crew)
            if found := at_rest.faults(restored, f"sqlite:///{restored}/catalogue.sqlite", book.brought):
                raise Broken("\n  ".join([f"restored after a kill at {place}:", *found]))
        return died == -signal.SIGKILL

    @contextmanager
    def life(self, way: str) -> Iterator[tuple[Service, Book, Crew]]:
        """An empty catalogue and people who bring to it; its folder stays only when something was found."""
        home = self.scratch / f"life-{self.tally.lives}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        disk = mounted(self.scratch / "disk.img", home / "data") if self.power else nullcontext(None)
        with new_database(self.database) as url, disk as inserted:
            service = Service(home, url, disk=inserted, **self.environment)
            book = Book()
            survey = list(draw(self.photographs, self.seed + self.tally.lives))
            crew = Crew(service, lanes(way, survey, service.import_root), book)
            try:
                yield service, book, crew
            finally:
                crew.stop()
                service.close()
        self.tally.lives += 1
        self.tally.acknowledged += len(book.imports)
        shutil.rmtree(home)

    def finish(self, service: Service, book: Book, crew: Crew) -> None:
        """Let it get through without another kill, then hold everything against what was brought."""
        if service.ended() is not None:
            service.start()
        self.tally.ready.append(service.until_ready())
        self._wait_for(crew, service, book)
        crew.stop()
        found = list(book.faults)
        if not found:
            found += self._own_best(service, book, book.brought)
            service.stop()
            found += at_rest.faults(service.data, service.database_url, book.brought)
        if found:
            raise Broken("\n  ".join([f"life {self.tally.lives} of seed {self.seed}:", *found[:20]]))

    def _wait_for(self, crew: Crew, service: Service, book: Book) -> None:
        """Until everything is through; raises Broken when nothing moves any more."""
        moved, stand, stuck = time.perf_counter(), book.stand, _STUCK_SECONDS * self.slow
        while not crew.through:
            if (code := service.ended()) is not None:
                raise Broken(f"the service ended by itself with {code}; {service.tail()}")
            if book.stand != stand:
                moved, stand = time.perf_counter(), book.stand
            if time.perf_counter() - moved > stuck:
                raise Broken(f"nothing moved for {stuck:.0f} s, unfinished {book.unfinished}; {service.tail()}")
            time.sleep(_LOOK)

    def _killed(self, service: Service, crew: Crew, chance: random.Random) -> bool:
        """Wait for the drawn moment and kill; says whether there was still work to interrupt."""
        delay = chance.uniform(EARLIEST, LATEST) * self.slow
        try:
            # One kill in four falls into the start itself, the others count from the first answer.
            if chance.random() < 0.25:
                time.sleep(1.0)
            else:
                service.until_ready("/healthz")
        except Gone:
            return False
        deadline = time.perf_counter() + delay
        while time.perf_counter() < deadline:
            if crew.through:
                return False
            time.sleep(_LOOK)
        service.kill()
        return True

    def _own_best(self, service: Service, book: Book, brought: Sequence[Photograph]) -> list[str]:
        """Photographs that are not their own best match, or not there at all."""

        def wrong(one: Photograph) -> str | None:
            answer = service.client.post("/match", {"limit": "3"}, {"image": one.content})
            candidates = answer.body["candidates"] if answer.status == 200 else []
            if candidates:
                book.show(one.sha256, answer.body)
            if not candidates or candidates[0]["source_id"] != one.image_id or not candidates[0]["same_photograph"]:
                return f"{one.image_id} is not its own best match ({answer.status})"
            return None

        with ThreadPoolExecutor(_MATCHERS) as matchers:
            found = [fault for fault in matchers.map(wrong, brought) if fault]
        self.tally.matched += len(brought) - len(found)
        return [*found, *book.faults]


def lanes(way: str, survey: Sequence[Photograph], import_root: Path) -> list[list[Bring | Session]]:
    """How a survey is brought: whole, one by one, or in up to twenty parts on two lanes, half of them as ZIPs."""
    if way == "folder":
        write_folder(import_root / "survey", survey)
        return [[Bring(survey, folder="survey")]]
    if way == "zip":
        return [[Bring(survey, archive=packed(survey))]]
    if way == "session":
        return [[Session(survey)]]
    size = max(_SMALLEST, len(survey) // 20)
    parts = [survey[start : start + size] for start in range(0, len(survey), size)]
    folders, archives = [], []
    for number, part in enumerate(parts):
        if number % 2:
            archives.append(Bring(part, archive=packed(part)))
        else:
            write_folder(import_root / f"part-{number}", part)
            folders.append(Bring(part, folder=f"part-{number}"))
    return [folders, archives]


def new_database(kind: str) -> AbstractContextManager[str]:
    """The URL of an empty database, empty for SQLite in the data folder."""
    from tests.databases import new_postgres_database

    return new_postgres_database() if kind == "postgres" else nullcontext("")
