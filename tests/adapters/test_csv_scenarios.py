"""Scenario packs and predictions in the contest's files."""

import json
from pathlib import Path

import pytest

from app.adapters.csv_scenarios import CsvScenarios
from app.domain.errors import BadScenario, Unavailable
from app.domain.outcomes import outcomes, right, summary
from app.domain.scenario import Prediction, Query, Scenario, ScenarioPack, by_query, check_predictions

FAULTS = {
    "faulty_missing_query.csv": "missing query",
    "faulty_duplicate_row.csv": "duplicate row",
    "faulty_25_rows.csv": "25 rows",
    "faulty_score.csv": "outside",
    "faulty_unknown_id.csv": "not in the database",
    "faulty_self_match.csv": "self match",
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    for name, text in {
        "query_scenarios.csv": "scenario_id,queries_path,database_path\ns1,queries/s1.csv,databases/s1.csv\n",
        "queries/s1.csv": "query_id,query_image_id\ns1-a,a\ns1-b,b\n",
        "databases/s1.csv": "database_image_id\na\nb\nc\n",
        "ground_truth.csv": "query_id,database_image_id\ns1-a,b\ns1-a,c\ns1-b,a\n",
        "ground_truth_other_encounter.csv": "query_id,database_image_id\ns1-a,c\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(pack: Path, name: str, old: str, new: str) -> None:
    text = (pack / name).read_text()
    assert old in text
    (pack / name).write_text(text.replace(old, new))


def test_a_pack_is_read(pack):
    """Scenarios, their queries and databases, and both truths."""
    assert CsvScenarios().read(pack) == ScenarioPack(
        (Scenario("s1", (Query("s1-a", "a"), Query("s1-b", "b")), ("a", "b", "c")),),
        {"s1-a": frozenset("bc"), "s1-b": frozenset("a")},
        {"s1-a": frozenset("c")},
    )


def test_a_pack_may_come_without_truth(pack):
    """The contest keeps its truth: a pack without can still be answered."""
    (pack / "ground_truth.csv").unlink()
    (pack / "ground_truth_other_encounter.csv").unlink()
    read = CsvScenarios().read(pack)
    assert (read.truth, read.other_encounter) == ({}, None)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("query_scenarios.csv", "queries_path", "query_path", "query_scenarios.csv, line 1, column queries_path: "),
        ("query_scenarios.csv", "queries/s1.csv", "queries/s2.csv", "queries/s2.csv cannot be read: No such file"),
        ("query_scenarios.csv", "queries/s1.csv", "../s1.csv", "query_scenarios.csv, line 2: .* leaves the folder"),
        ("query_scenarios.csv", "queries/s1.csv", "/etc/passwd", "query_scenarios.csv, line 2: .* is absolute"),
        ("query_scenarios.csv", "queries/s1.csv", "out.csv", "query_scenarios.csv, line 2: .* leads out"),
        ("query_scenarios.csv", "s1,q", "s1,databases/s1.csv,databases/s1.csv\ns1,q", "databases/s1.csv, line 1"),
        ("queries/s1.csv", "s1-b,b", "s1-b,", "queries/s1.csv, line 3, column query_image_id: the cell is empty"),
        ("queries/s1.csv", "s1-b,b", "s1-b,b,c", "queries/s1.csv, line 3, .*3 cells"),
        ("queries/s1.csv", "s1-b,b", "s1-a,b", "'s1-a' appears more than once"),
        ("databases/s1.csv", "database_", "", "databases/s1.csv, line 1, column database_image_id"),
        ("databases/s1.csv", "\nc", "\na", "'a' appears more than once"),
        ("databases/s1.csv", "\nc", "\n\xff", "not UTF-8"),
        ("ground_truth.csv", "s1-a,c", "s1-a,b", "ground_truth.csv, line 3: .* twice"),
        ("ground_truth.csv", "s1-a,c", "s1-z,c", "which no scenario holds"),
        ("ground_truth.csv", "s1-a,c", "s1-a,z", "which is not in its database"),
    ],
)
def test_a_faulty_pack_is_refused(pack, name, old, new, reason):
    """Every fault is named by file and line, or by the name that is wrong."""
    (pack / "out.csv").symlink_to("/etc/hostname")
    edit(pack, name, old, new)
    if "\xff" in new:
        (pack / name).write_bytes((pack / name).read_text().encode("latin-1"))
    with pytest.raises(BadScenario, match=reason):
        CsvScenarios().read(pack)


def test_a_folder_without_a_pack_is_refused(tmp_path):
    """A missing file is a fault of the pack, and the message shows no path of this machine."""
    with pytest.raises(BadScenario, match="cannot be read") as error:
        CsvScenarios().read(tmp_path)
    assert str(tmp_path) not in str(error.value)


def test_predictions_come_back_as_they_were_written(tmp_path):
    """Columns and order are the contest's, and no digit of a score is lost."""
    rows = [Prediction("s1-a", "b", 0.1 + 0.2), Prediction("s1-a", "c, d", 1.0), Prediction("s1-b", "a", 5e-324)]
    CsvScenarios().write_predictions(tmp_path / "predictions.csv", rows)
    text = (tmp_path / "predictions.csv").read_bytes()
    assert text.startswith(b"query_id,database_image_id,score\ns1-a,b,0.30000000000000004\n")
    assert CsvScenarios().read_predictions(tmp_path / "predictions.csv") == rows


def test_predictions_are_written_whole_or_not_at_all(tmp_path):
    """A ranking that fails half-way leaves the older file as it was, and no other."""
    target = tmp_path / "predictions.csv"
    target.write_text("older")

    def rows():
        yield Prediction("s1-a", "b", 0.5)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        CsvScenarios().write_predictions(target, rows())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("predictions.csv", "older")]


def test_predictions_that_cannot_be_written_are_named(tmp_path):
    """A folder that is not there is the reason given."""
    with pytest.raises(Unavailable, match=r"predictions.csv cannot be written: No such file"):
        CsvScenarios().write_predictions(tmp_path / "gone" / "predictions.csv", [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1"),
        ("query_id,score,database_image_id\n", "exactly query_id, database_image_id, score"),
        ("query_id,database_image_id,score,note\n", "exactly"),
        ("query_id,database_image_id\n", "column score: the column is missing"),
        ("query_id,database_image_id,score\nq,a,high\n", "line 2: the score 'high' is not a number"),
        ("query_id,database_image_id,score\nq,a,0.5\nq,,0.5\n", "line 3, column database_image_id"),
        ("query_id,database_image_id,score\nq,a\n", "line 2"),
    ],
)
def test_faulty_prediction_files_are_refused(tmp_path, text, reason):
    """A file that is not exactly the contest's is refused with its line."""
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(BadScenario, match=reason) as error:
        CsvScenarios().read_predictions(tmp_path / "p.csv")
    assert str(error.value).startswith("p.csv, ")


@pytest.fixture(scope="module")
def beluga_pack(belugas: Path) -> ScenarioPack:
    return CsvScenarios().read(belugas / "scenarios")


def golden(belugas: Path) -> dict[str, dict]:
    return json.loads((belugas / "golden" / "expected.json").read_text())


def test_scores_equal_the_contests(belugas, beluga_pack):
    """The published script's score of each golden file is reached to 1e-9, pooled and by scenario."""
    scenarios = {one.scenario_id: one for one in beluga_pack.scenarios}
    sound = {name: expected for name, expected in golden(belugas).items() if "fault" not in expected}
    assert len(sound) == 4
    for name, expected in sound.items():
        rows = CsvScenarios().read_predictions(belugas / "golden" / name)
        asked = [scenarios[scenario] for scenario in expected["scenarios"]]
        gathered = by_query(rows)
        for scenario in asked:
            own = {query.query_id for query in scenario.queries}
            check_predictions(scenario, [row for query, group in gathered.items() if query in own for row in group])
        found = [outcome for one in asked for outcome in outcomes(one, gathered, beluga_pack.truth, {})]
        assert summary(found, right, {}).map20 == pytest.approx(expected["map"], abs=1e-9, rel=0)
        for scenario, value in expected.get("per_scenario", {}).items():
            own = [outcome for outcome in found if outcome.scenario_id == scenario]
            assert summary(own, right, {}).map20 == pytest.approx(value, abs=1e-9, rel=0)


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_golden_files_are_refused(belugas, beluga_pack, name):
    """Each fault that the published script lets pass, or stumbles over, is named."""
    assert set(FAULTS) == {file for file, expected in golden(belugas).items() if "fault" in expected}
    scenarios = {one.scenario_id: one for one in beluga_pack.scenarios}
    rows = CsvScenarios().read_predictions(belugas / "golden" / name)
    with pytest.raises(BadScenario, match=FAULTS[name]):
        check_predictions(scenarios[golden(belugas)[name]["scenarios"][0]], rows)
