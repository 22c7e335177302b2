"""Show the harness failing: ``python -m tests.crash.seeded`` runs it on every bug of ``mutants``.

It ends with 1 when one gets through.
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
from tests.crash.concurrent import checked
from tests.crash.mutants import MUTANTS

_KILLS, _EACH = 30, 4
# A kill leaves the page cache as it is: only a disk without power shows what was never synced.
_NEED_POWER = frozenset({"acknowledge_before_fsync"})
_NEED_HISTORY = frozenset({"stale_snapshot"})
_SECONDS = 60.0


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.crash.seeded", description=__doc__)
    arguments.add_argument("mutants", nargs="*", choices=[[], *MUTANTS], default=[])
    arguments.add_argument("--photographs", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments.add_argument("--slow", type=float, default=1.0, help="stretch the time between kills on a busy machine")
    given = arguments.parse_args()
    chosen = given.mutants or MUTANTS
    missed = [name for name in chosen if not _found(name, given.photographs, given.seed, given.slow)]
    if missed:
        sys.exit(f"the harness did not notice {', '.join(missed)}")


def _found(name: str, photographs: int, seed: int, slow: float) -> bool:
    return _in_history(name, seed) if name in _NEED_HISTORY else _by_kills(name, photographs, seed, slow)


def _in_history(name: str, seed: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="resight-mutant-") as scratch:
        history, found = checked(Path(scratch), _SECONDS, seed, RESIGHT_MUTANT=name)
    what = f"in {len(history.reads)} matches, {dict(history.done)}, seed {seed}"
    print(
        f"{name}: {f'found, {len(found)} anomalies' if found else 'NOT found'} {what}",
        *found[:1],
        sep="\n  ",
        flush=True,
    )
    return bool(found)


def _by_kills(name: str, photographs: int, seed: int, slow: float) -> bool:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="resight-mutant-") as scratch:
        environment = {"RESIGHT_MUTANT": name}
        power = name in _NEED_POWER
        campaign = Campaign(Path(scratch), photographs, seed, environment=environment, power=power, slow=slow)
        try:
            for _ in campaign.lives(_KILLS, _EACH):
                pass
        except Broken as fault:
            took = time.perf_counter() - started
            kills = f"{campaign.tally.kills} {'power cuts' if power else 'kills'}"
            print(f"{name}: found after {kills}, {took:.0f} s, seed {seed}:\n  {str(fault)[:600]}\n", flush=True)
            return True
    print(f"{name}: NOT found in {campaign.tally.kills} kills, seed {seed}", flush=True)
    return False


if __name__ == "__main__":
    main()
