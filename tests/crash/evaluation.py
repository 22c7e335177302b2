"""Kill the service while it evaluates, and compare bytes: ``python -m tests.crash.evaluation --kills 10``.

In each round an evaluation ends undisturbed; then another of the same scenarios on the same catalogue is killed at
moments drawn over the time that the first one took, while somebody edits the catalogue, and the next start goes on
with it. It ends with 1 when one byte of the three documents differs or a file is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.crash.client import Broken, Gone
from tests.crash.photographs import draw, packed
from tests.crash.service import Service

DOCUMENTS = ("predictions.csv", "scores.json", "report.html")
_LOOK = 0.05
_LONGEST = 600.0
_KILLS_A_ROUND = 4
_WHALES = 8


@dataclass(slots=True)
class Tally:
    """What was done: the steps behind an evaluation at each kill, and the bytes that were compared."""

    steps: list[int] = field(default_factory=list)
    evaluations: int = 0
    edits: int = 0
    compared: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.steps)} kills (after {self.steps} steps) in {self.evaluations} evaluations, {self.edits} edits "
            f"meanwhile: {self.compared} documents byte-identical to the undisturbed ones"
        )


@dataclass(slots=True)
class Rounds:
    """Rounds on one catalogue of ``photographs`` photographs; ``seed`` draws them and the moments of the kills."""

    service: Service
    photographs: int
    seed: int
    tally: Tally = field(default_factory=Tally)

    def run(self, kills: int) -> Tally:
        """Until so many kills fell on an evaluation under way; raises Broken."""
        chance = random.Random(self.seed)
        self.service.start()
        self.service.until_ready("/healthz")
        self._bring()
        while len(self.tally.steps) < kills:
            began = time.monotonic()
            undisturbed = self._begin()
            self._wait(undisturbed)
            length = time.monotonic() - began
            self._disturbed(undisturbed, min(_KILLS_A_ROUND, kills - len(self.tally.steps)), length, chance)
        self.service.stop()
        return self.tally

    def _disturbed(self, undisturbed: str, kills: int, length: float, chance: random.Random) -> None:
        """One evaluation with at most so many kills; its documents are those of the undisturbed one."""
        run_id = self._begin()
        edited, moment = False, time.monotonic() + chance.uniform(0, length)
        for _ in range(kills):
            while time.monotonic() < moment and not self._ended(run_id):
                edited = edited or self._edited(run_id)
                time.sleep(_LOOK)
            if self._ended(run_id):
                break
            self._kill()
            if not self._ended(run_id):
                self.tally.steps.append(len(self._steps(run_id)))
            self.service.start()
            # Over the start as well: from where the job is taken up again on.
            moment = time.monotonic() + chance.uniform(0, length)
        self.service.until_ready("/healthz")
        self._wait(run_id)
        self._compare(undisturbed, run_id)
        self.tally.evaluations += 1
        self.tally.edits += edited

    def _kill(self) -> None:
        """On a busy machine a service that was just born may not have a group of its own yet."""
        while os.getpgid(self.service.pid) != self.service.pid:
            time.sleep(_LOOK)
        self.service.kill()

    def _bring(self) -> None:
        """Animals enough for scenarios, each seen several times and now and then from the side."""
        survey = [
            replace(one, whale=f"w{number % _WHALES}", viewpoint="left" if number % 5 == 4 else "top")
            for number, one in enumerate(draw(self.photographs, self.seed))
        ]
        begun = self.service.client.post("/imports", {}, {"archive": packed(survey)})
        if begun.status != 202:
            raise Broken(f"POST /imports answered {begun.status}: {begun.body}")
        self._until(f"/imports/{begun.body['import_id']}")

    def _begin(self) -> str:
        answer = self.service.client.post("/evaluations", {"scenarios": "built", "profile": "review", "name": "round"})
        if answer.status != 202:
            raise Broken(f"POST /evaluations answered {answer.status}: {answer.body}")
        return str(answer.body["evaluation_id"])

    def _wait(self, run_id: str) -> None:
        """Until its report is there, and its job has tidied up after it."""
        self._until(f"/evaluations/{run_id}")
        self._until(self.service.client.get(f"/evaluations/{run_id}").body["job"])

    def _until(self, path: str) -> None:
        """Until something is done; raises Broken when it fails or takes too long."""
        until = time.monotonic() + _LONGEST
        while time.monotonic() < until:
            answer = self.service.client.get(path)
            if answer.status == 200 and answer.body["state"] == "done":
                return
            if answer.status == 200 and answer.body["state"] in {"failed", "cancelled"}:
                raise Broken(f"{path} ended as {answer.body['state']}: {answer.body.get('reason')}")
            time.sleep(_LOOK)
        raise Broken(f"{path} was not done within {_LONGEST:.0f} s; {self.service.tail()}")

    def _folder(self, run_id: str) -> Path:
        return self.service.data / "evaluations" / run_id

    def _ended(self, run_id: str) -> bool:
        return (self._folder(run_id) / DOCUMENTS[-1]).exists()

    def _steps(self, run_id: str) -> list[Path]:
        return [path for name in ("pins.json", "rows-*.csv") for path in self._folder(run_id).glob(name)]

    def _edited(self, run_id: str) -> bool:
        """Move a photograph to another day once the evaluation is pinned; whether that was answered."""
        if not (self._folder(run_id) / "pins.json").exists():
            return False
        place = f"/annotations/{1 + self.tally.evaluations}"
        body = json.dumps({"date": "2020-08-01", "encounter": None}).encode()
        try:
            etag = self.service.client.get(place).etag
            headers = {"Content-Type": "application/json", "If-Match": etag}
            return self.service.client.ask("PATCH", place, body, headers).status in {200, 202}
        except Gone:
            return False

    def _compare(self, undisturbed: str, run_id: str) -> None:
        found = []
        for name in DOCUMENTS:
            one, other = ((self._folder(which) / name).read_bytes() for which in (undisturbed, run_id))
            if one != other:
                found.append(f"{name} differs ({len(one)} and {len(other)} bytes)")
            self.tally.compared += 1
        files = [sorted(path.name for path in self._folder(which).iterdir()) for which in (undisturbed, run_id)]
        if files[0] != files[1]:
            found.append(f"files were left behind: {sorted(set(files[1]) ^ set(files[0]))}")
        if found:
            raise Broken(f"seed {self.seed}, kills after {self.tally.steps} steps: " + "; ".join(found))


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash.evaluation", description=__doc__)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--photographs", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = arguments.parse_args()
    print(f"{given.kills} kills, {given.photographs} photographs, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="resight-crash-") as scratch:
        service = Service(Path(scratch))
        try:
            print(Rounds(service, given.photographs, given.seed).run(given.kills))
        except Broken as fault:
            print(f"BROKEN: {fault}")
            sys.exit(1)
        finally:
            service.close()


if __name__ == "__main__":
    main()
