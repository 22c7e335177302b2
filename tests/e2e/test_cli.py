"""The command line as a person runs it, on everything that bootstrap wires."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.adapters.csv_scenarios import CsvScenarios
from app.cli import app
from app.web.schemas import MatchAnswer

PHOTOGRAPHS = 64


def run(*arguments: object, code: int = 0) -> str:
    """What a command prints on standard output; it must end with ``code``."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def answer(*arguments: object) -> MatchAnswer:
    """The answer of a match, in the very shape of POST /match."""
    return MatchAnswer.model_validate_json(run("match", *arguments, "--json"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def rewrite(folder: Path, changed: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, changed[0].keys())
        writer.writeheader()
        writer.writerows(changed)


@pytest.fixture
def imported(survey) -> Path:
    """The survey, in the catalogue."""
    run("import", survey)
    return survey


def test_an_import_is_tried_made_and_made_again(survey, tmp_path):
    """A dry run writes nothing, an import every row, the same import again adds none."""
    tried = json.loads(run("import", survey, "--dry-run", "--json"))
    assert (tried["rows"], tried["new"], tried["unchanged"], tried["refused"]) == (PHOTOGRAPHS, PHOTOGRAPHS, 0, [])
    assert "no fault: 64 new, 0 unchanged, 0 would be refused" in run("import", survey, "--dry-run")
    assert not list((tmp_path / "data" / "originals").glob("**/*.jpg"))
    first = json.loads(run("import", survey, "--json"))
    assert (first["state"], first["rows"]) == ("done", {"indexed": PHOTOGRAPHS})
    again = json.loads(run("import", survey, "--json"))
    assert again["rows"] == {"unchanged": PHOTOGRAPHS}
    assert f"{PHOTOGRAPHS} unchanged" in run("import", survey)


def test_a_photograph_is_recognised_and_told_in_tables_and_json(imported):
    """The catalogued photograph itself comes first; what was searched stands in the receipt."""
    photograph = imported / rows(imported)[0]["path"]
    found = answer(photograph, "--viewpoint", rows(imported)[0]["viewpoint"], "--limit", 5)
    best = found.candidates[0]
    assert (best.source_id, best.same_photograph, len(found.candidates)) == (rows(imported)[0]["image_id"], True, 5)
    assert found.receipt.gallery == found.receipt.searched == PHOTOGRAPHS
    shown = run("match", photograph)
    assert best.source_id in shown
    assert "(same file)" in shown
    assert "These are synthetic animals" in shown


def test_every_filter_of_the_service_is_an_option(imported):
    """Scope and exclusions leave out what they name and are told in the receipt."""
    asked = rows(imported)[0]
    plain = answer("--annotation", asked["image_id"])
    assert asked["image_id"] not in {one.source_id for one in plain.candidates}
    found = answer("--annotation", asked["image_id"], "--exclude-own-encounter", "--limit", 100)
    assert asked["encounter_id"] not in {one.encounter for one in found.candidates}
    assert found.receipt.scope.excluded_own_encounter
    year, other = asked["date"][:4], next(row for row in rows(imported) if row["whale_id"] != asked["whale_id"])
    options = {
        "--viewpoints": ("top", lambda one: one.viewpoint == "top"),
        "--years": (year, lambda one: one.date.startswith(year)),
        "--since": (f"{year}-01-01", lambda one: one.date >= year),
        "--until": (f"{year}-12-31", lambda one: one.date[:4] <= year),
        "--exclude-encounters": (other["encounter_id"], lambda one: one.encounter != other["encounter_id"]),
        "--exclude-individuals": (other["whale_id"], lambda one: one.individual != other["whale_id"]),
        "--exclude-annotations": (other["image_id"], lambda one: one.source_id != other["image_id"]),
    }
    for option, (value, holds) in options.items():
        found = answer("--annotation", asked["image_id"], option, value, "--limit", 100)
        assert found.candidates, option
        assert all(holds(one) for one in found.candidates), option
    grouped = answer("--annotation", asked["image_id"], "--group-by", "individual")
    assert len({one.individual for one in grouped.candidates}) == len(grouped.candidates)
    both = answer("--annotation", asked["image_id"], "--viewpoints", "left", "--viewpoints", "right")
    assert {one.viewpoint for one in both.candidates} == {"left", "right"}


def test_scenarios_are_evaluated_and_predictions_scored(imported, tmp_path):
    """The figures of an evaluation are those of its own prediction file; a faulty file is refused in a sentence."""
    scenarios, out = imported / "scenarios", tmp_path / "june"
    evaluation = json.loads(run("evaluate", scenarios, "--out", out, "--json"))
    predictions = out / "predictions.csv"
    scores = json.loads(run("evaluate", scenarios, "--predictions", predictions, "--json"))
    told = [*evaluation["scenarios"], evaluation["pooled"]]
    assert [one["score"]["map20"] for one in scores] == [one["score"]["map20"] for one in told]
    assert 0 < evaluation["pooled"]["score"]["map20"] <= 1
    again = tmp_path / "again"
    text = run("evaluate", scenarios, "--out", again, "--against", evaluation["evaluation_id"])
    assert "mAP@20" in text
    assert "+0.0000" in text
    assert predictions.read_bytes() == (again / "predictions.csv").read_bytes()
    run_id = json.loads(run("evaluate", scenarios, "--out", again, "--json"))["evaluation_id"]
    for name in ("pins.json", "report.html"):
        Path(os.environ["RESIGHT_DATA"], "evaluations", run_id, name).unlink()
    resumed = json.loads(run("evaluate", "--resume", run_id, "--out", tmp_path / "resumed", "--json"))
    assert resumed["evaluation_id"] == run_id
    assert predictions.read_bytes() == (tmp_path / "resumed" / "predictions.csv").read_bytes()
    predictions.write_text(predictions.read_text() + "nobody,nothing,0.5\n")
    refused = json.loads(run("evaluate", scenarios, "--predictions", predictions, "--json", code=2))
    line = len(predictions.read_text().splitlines())
    assert refused == {
        "code": "bad_scenario",
        "detail": f"predictions.csv, line {line}: unknown query 'nobody': no scenario of the pack holds it",
    }


def test_an_annotation_is_edited_removed_and_brought_back(imported):
    """A match follows each change at once; the past names who and why; a revision that is out of date is refused."""
    first = rows(imported)[0]
    name, photograph = first["image_id"], imported / first["path"]

    def seen() -> dict[str, str | None]:
        return {one.source_id: one.individual for one in answer(photograph, "--profile", "cosine").candidates}

    another = ("--individual", "Somebody else", "--encounter", "another day")
    edited = json.loads(run("annotation", "edit", name, *another, "--actor", "ann", "--json"))
    assert edited["state"] == "indexed"
    assert seen()[name] == "Somebody else"
    run("annotation", "remove", name, "--reason", "blurred")
    assert name not in seen()
    assert run("annotation", "restore", name, "--revision", edited["revision"], code=2) == ""
    run("annotation", "restore", name)
    assert seen()[name] == "Somebody else"
    past = json.loads(run("annotation", "history", name, "--json"))
    assert "ann" in str(past)
    assert "blurred" in str(past)


def test_the_same_pins_give_the_same_files(imported, tmp_path):
    """Byte for byte, also when the scenarios are built from the catalogue and written as a pack in between."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        run("evaluate", "--built", "--out", folder)
    run("scenarios", "build", tmp_path / "pack")
    folders.append(tmp_path / "three")
    run("evaluate", tmp_path / "pack", "--out", folders[-1])
    for name in ("predictions.csv", "scores.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    assert folders[0].joinpath("report.html").read_bytes() == folders[1].joinpath("report.html").read_bytes()


def test_the_contest_is_answered_without_a_catalogue(imported, tmp_path):
    """The same rows with the same scores as an evaluation of the same scenarios in the catalogue."""
    folder = tmp_path / "contest"
    shutil.copytree(imported / "images", folder / "images")
    shutil.copytree(imported / "scenarios", folder, dirs_exist_ok=True)
    columns = ("image_id", "path", "height", "width", "viewpoint", "date")
    with (folder / "metadata.csv").open("w", newline="") as file:
        sheet = csv.DictWriter(file, columns, extrasaction="ignore")
        sheet.writeheader()
        sheet.writerows(rows(imported))
    answer = json.loads(run("contest", folder, tmp_path / "submitted", "--json"))
    run("evaluate", imported / "scenarios", "--out", tmp_path / "evaluated")
    assert answer["queries"] > 0
    submitted = CsvScenarios().read_predictions(tmp_path / "submitted" / "submission.csv")
    expected = CsvScenarios().read_predictions(tmp_path / "evaluated" / "predictions.csv")
    assert [(one.query_id, one.image_id) for one in submitted] == [(one.query_id, one.image_id) for one in expected]
    assert [one.score for one in submitted] == pytest.approx([one.score for one in expected], abs=1e-6)


def test_a_damaged_index_is_named_and_healed(imported, tmp_path):
    """`verify` finds it and mends nothing, `reindex` builds it again, and the answer is the one from before."""
    question = ("--annotation", rows(imported)[0]["image_id"])
    before = answer(*question).candidates
    assert json.loads(run("verify", "--json"))["sound"]
    file = max((tmp_path / "data" / "index").rglob("*.rows"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for _ in range(2):
        (fault,) = json.loads(run("verify", "--json", code=1))["index"]
        assert re.fullmatch(r"partition tiny/top/\d{4} is damaged: its content does not match its hash", fault)
    run("reindex")
    assert "sound" in run("verify")
    assert answer(*question).candidates == before


def test_a_faulty_sheet_is_told_with_rows_and_columns(survey, tmp_path):
    """Exit 2 and nothing written; a person reads the first faults and their number, a machine all of them."""
    changed = rows(survey)
    for row in changed[:30]:
        row["date"] = "2019-13-40"
    changed[40]["path"] = "images/absent.jpg"
    rewrite(survey, changed)
    problem = json.loads(run("import", survey, "--json", code=2))
    assert (problem["code"], problem["total"], len(problem["faults"])) == ("bad_rows", 31, 31)
    assert [(fault["row"], fault["column"]) for fault in problem["faults"]] == [
        *((row, "date") for row in range(2, 32)),
        (42, "path"),
    ]
    told = CliRunner().invoke(app, ["import", str(survey)])
    assert "row 2, date" in told.stderr
    assert "… and 11 more (--json lists up to 1,000)" in told.stderr
    assert not list((tmp_path / "data" / "originals").rglob("*.jpg"))


def test_a_photograph_that_breaks_later_is_refused_with_its_row(survey):
    """A header may pass where the picture does not: the row is refused, every other one is in the catalogue."""
    content = (survey / rows(survey)[3]["path"]).read_bytes()
    (survey / rows(survey)[3]["path"]).write_bytes(content[:-200])
    report = json.loads(run("import", survey, "--json"))
    assert report["rows"] == {"indexed": PHOTOGRAPHS - 1, "refused": 1}
    assert report["refused"][0][:2] == [5, rows(survey)[3]["image_id"]]


def test_the_image_limit_holds_for_imports(survey, monkeypatch):
    """A photograph larger than the setting refuses its own row, with the limit; a dry run tells it beforehand."""
    sizes = {path.name: path.stat().st_size for path in (survey / "images").iterdir()}
    limit = max(sizes.values()) - 1
    expected = {name for name, size in sizes.items() if size > limit}
    monkeypatch.setenv("RESIGHT_MAX_IMAGE_BYTES", str(limit))
    tried = json.loads(run("import", survey, "--dry-run", "--json"))
    assert {f"{row['source_id']}.jpg" for row in tried["refused"]} == expected
    report = json.loads(run("import", survey, "--json"))
    assert report["rows"] == {"indexed": PHOTOGRAPHS - len(expected), "refused": len(expected)}
    assert {f"{source_id}.jpg" for _, source_id, _ in report["refused"]} == expected
    for reason in (tried["refused"][0]["reason"], report["refused"][0][2]):
        assert f"more than {limit} bytes" in reason


@pytest.mark.parametrize(
    ("command", "name", "value", "sentence"),
    [
        ("verify", "PORT", "no", "RESIGHT_PORT: Input should be a valid integer"),
        ("verify", "LOG_LEVEL", "LOUD", "RESIGHT_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("reindex", "ENSEMBLE", "nonesuch", "unknown_ensemble: 'nonesuch' is neither a folder nor a released ensemble"),
        ("reindex", "DATA", "/dev/null/data", "resight: /dev/null/data: Not a directory"),
        ("verify", "DATA", "/dev/null/data", "invalid_input: there is no catalogue in the data folder /dev/null/data"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_a_sentence(monkeypatch, command, name, value, sentence):
    """Exit 2, the name as the person wrote it, and no traceback."""
    monkeypatch.setenv(f"RESIGHT_{name}", value)
    told = CliRunner().invoke(app, [command])
    assert told.exit_code == 2
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr


def test_a_photograph_that_is_not_there_is_told_in_a_sentence(imported):
    """Exit 2 with the name of the file."""
    told = CliRunner().invoke(app, ["match", "absent.jpg"])
    assert (told.exit_code, told.stderr) == (2, "resight: absent.jpg: No such file or directory\n")
