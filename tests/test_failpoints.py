"""Failpoints: a process dies at the place that the environment names, and only there."""

import os
import signal
import subprocess
import sys

import pytest

from tests.crash.places import PLACES, reached

_PROGRAM = "from app.failpoints import reach\nfor i in range(3):\n    print(i, flush=True)\n    reach('here')\n"


@pytest.mark.parametrize(("named", "lines"), [("here", 1), ("here:1", 1), ("here:3", 3)])
def test_the_process_dies_at_the_named_place(named: str, lines: int):
    """SIGKILL comes the first or the nth time that the place is reached, as a power cut does: nothing is cleaned up."""
    done = _run(named)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"][:lines])


@pytest.mark.parametrize("named", ["", "elsewhere", "here:4"])
def test_other_places_are_passed(named: str):
    """Without a name, with another one, and when the count is not reached, nothing happens."""
    done = _run(named)
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2"])


def _run(named: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RESIGHT_FAILPOINT": named}
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False
    )


def test_every_place_is_in_the_harness():
    """The harness dies at each place that the product names, and at no other; a name stands for one place."""
    found = reached()
    assert sorted(found) == sorted(PLACES)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_a_place_without_a_row_is_found(tmp_path):
    """The search sees a call of any module."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "new.py").write_text("def store():\n    reach('new.place')\n")
    assert reached(tmp_path) == {"new.place": ["deep/new.py"]}
