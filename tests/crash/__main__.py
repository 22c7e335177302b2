"""The crash harness: ``python -m tests.crash`` kills the service while it works and proves that nothing was lost.

Seeds, numbers and everything found are printed; it ends with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.campaign import Campaign, Tally
from tests.crash.client import Broken
from tests.crash.places import PLACES

_SHORT = ("blob.renamed", "catalogue.before_commit", "index.generation_written")
# At a named place two chunks are enough.
_AT_PLACES = 240


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgres"], action="append", default=[])
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--photographs", type=int, default=2000)
    arguments.add_argument("--places", nargs="*", help="the failpoints to die at, by default all")
    arguments.add_argument("--turns", type=int, help="how many turns of each failpoint at most, by default all listed")
    arguments.add_argument("--power", action="store_true", help="cut the power of the data's disk at each kill (root)")
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments.add_argument("--slow", type=float, default=1.0, help="stretch the time between kills on a busy machine")
    arguments.add_argument("--short", action="store_true", help="ten kills and a few places, on SQLite")
    given = arguments.parse_args()
    if given.short:
        given.database, given.kills, given.photographs = ["sqlite"], 10, 120
        given.places, given.turns = list(_SHORT), 1
    for database in given.database or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory(prefix="resight-crash-") as scratch:
            campaign = Campaign(
                Path(scratch), given.photographs, given.seed, database, power=given.power, slow=given.slow
            )
            places = Campaign(Path(scratch), min(given.photographs, _AT_PLACES), given.seed, database, slow=given.slow)
            try:
                if given.kills:
                    _at_random(campaign, given.kills)
                _at_places(places, list(PLACES) if given.places is None else given.places, given.turns)
            except Broken as fault:
                print(f"{database}, seed {given.seed}: BROKEN\n{fault}")
                sys.exit(1)


def _at_random(campaign: Campaign, kills: int) -> None:
    """Print after each life, as a run takes long."""
    what = "power cuts" if campaign.power else "kills"
    print(f"{campaign.database}: {kills} {what}, {campaign.photographs} photographs, seed {campaign.seed}", flush=True)
    started = time.perf_counter()
    for _ in campaign.lives(kills):
        print(f"  {time.perf_counter() - started:.0f} s: {campaign.tally}", flush=True)
    _passed(campaign.database, "at random moments", campaign.tally, started)


def _at_places(campaign: Campaign, places: list[str], most: int | None) -> None:
    """One kill at each of several turns of each place of the list, ``most`` of them; printed one by one, as above."""
    started = time.perf_counter()
    for place in places:
        way, turns = PLACES[place]
        if way == "backup" and campaign.database != "sqlite":
            continue  # a server's database is backed up with the server's own means
        for nth in turns[:most]:
            died = campaign.backup_dies_at(place, nth) if way == "backup" else campaign.dies_at(place, way, nth)
            if not died:
                raise Broken(f"{place} was not reached {nth} times by a survey brought as {way!r}")
            print(f"  {time.perf_counter() - started:.0f} s: died at {place}, turn {nth}: nothing lost", flush=True)
    _passed(campaign.database, f"at {len(places)} named places", campaign.tally, started)


def _passed(database: str, where: str, tally: Tally, started: float) -> None:
    took = time.perf_counter() - started
    print(f"{database}: nothing lost, nothing twice; {where}: {tally}; {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
