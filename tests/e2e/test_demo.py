"""The demo on a catalogue of one's own: a question that has a right answer, and a service that ends when told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli_demo


def test_the_demo_asks_for_another_encounter_and_ends(survey, tmp_path):
    """A sheet with a byte order mark will do; the individual is known from another day, the process is gone after."""
    sheet = survey / "metadata.csv"
    sheet.write_bytes(b"\xef\xbb\xbf" + sheet.read_bytes())
    command = [sys.executable, "-m", "app", "demo", "--folder", str(tmp_path / "demo")]
    shown = subprocess.run(
        [*command, "--catalogue", str(survey), "--port", "0"], check=False, capture_output=True, text=True
    )
    mark = tmp_path / "demo" / "service.json"
    try:
        assert shown.returncode == 0, shown.stderr
        asked = re.search(r"Who is this\? (\S+), its own encounter left out \(the truth: (\S+)\)", shown.stdout)
        assert asked
        # Rank, no probability without a calibration, score, individual.
        assert re.search(rf"^ *\d+ +- +0\.\d+ +{asked[2]} ", shown.stdout, re.MULTILINE)
        assert "(same file)" not in shown.stdout
        process = Path(f"/proc/{json.loads(mark.read_text())['pid']}")
        assert process.exists()
    finally:
        ended = subprocess.run([*command, "--stop"], check=False)
    assert ended.returncode == 0
    assert not mark.exists()
    assert not process.exists() or not (process / "cmdline").read_bytes()


def test_a_number_that_went_to_another_program_is_left_alone(tmp_path):
    """Only the very command line that was started is ended."""
    other = subprocess.Popen([sys.executable, "-c", "input()", "serve"], stdin=subprocess.PIPE)
    try:
        noted = {"pid": other.pid, "argv": [sys.executable, "-m", "app", "serve"]}
        (tmp_path / "service.json").write_text(json.dumps(noted))
        cli_demo.stop(tmp_path)
        assert other.poll() is None
        assert not (tmp_path / "service.json").exists()
    finally:
        other.communicate(b"\n")


def test_two_catalogues_of_one_name_have_data_of_their_own(tmp_path):
    """What was imported from one folder is not shown as the other's."""
    one, other = (cli_demo.catalogue_folder(tmp_path / part / "2024") for part in ("north", "south"))
    assert one != other
    assert re.fullmatch(r"data-2024-[0-9a-f]{8}", one)


@pytest.mark.parametrize(
    ("encounter", "viewpoint", "image", "right"),
    [("e2", "top", "b", True), ("e1", "top", "b", False), ("e2", "left", "b", False), ("e2", "top", "a", False)],
)
def test_a_right_answer_is_another_encounter_from_the_same_side(encounter, viewpoint, image, right):
    """The demo asks only what the ranking could answer, where the catalogue has such an annotation."""
    asked = {"encounter": "e1", "viewpoint": "top", "image": "a"}
    assert cli_demo.answers({"encounter": encounter, "viewpoint": viewpoint, "image": image}, asked) is right
