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

from tests.crash.campaign import Campaign
from tests.crash.client import Broken


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgres"], action="append", default=[])
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--photographs", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    given = arguments.parse_args()
    for database in given.database or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory(prefix="resight-crash-") as scratch:
            campaign = Campaign(Path(scratch), given.photographs, given.seed, database)
            started = time.perf_counter()
            print(f"{database}: {given.kills} kills, {given.photographs} photographs, seed {given.seed}", flush=True)
            try:
                campaign.kills(given.kills)
            except Broken as fault:
                print(f"{database}: BROKEN after {campaign.tally}\n{fault}")
                sys.exit(1)
            took = time.perf_counter() - started
            print(f"{database}: nothing lost, nothing twice; {campaign.tally}; {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
