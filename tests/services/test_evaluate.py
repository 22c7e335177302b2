"""Evaluate: a pack is ranked as a match is, scored as the contest scores, in steps that may be repeated."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from app.domain.calibration import Calibration
from app.domain.calibration_record import Calibrated, Source, purpose_of
from app.domain.catalogue import Box, Viewpoint
from app.domain.errors import (
    BadScenario,
    Conflict,
    IndexUnavailable,
    InvalidInput,
    LosingEnsemble,
    Unavailable,
    UnknownEvaluation,
)
from app.domain.evaluation import Evaluation
from app.domain.fitting import Judged
from app.domain.jobs import JobKind
from app.domain.meter import Figure, Verdict, YearGap
from app.domain.outcomes import Answered
from app.domain.profiles import COSINE
from app.domain.question import MatchRequest
from app.domain.reliability import Bin, Reliability
from app.domain.scenario import Prediction, Query, Scenario, ScenarioPack
from app.domain.scenario_kinds import Kind
from app.domain.trials import Listed, ViewPair
from app.services.evaluate import DOCUMENTS
from app.services.evaluate_report import shown
from app.services.evaluate_work import Wanted
from tests.fakes import World, one_space, photo, sighting

PACK = Path("pack")
PLAIN = Wanted(profile="cosine")


@pytest.fixture
def world() -> World:
    made = World()
    made.survey()
    return made


def pack(world: World, *, other: bool = True) -> ScenarioPack:
    """The first photograph of each whale against all photographs; with the truths of every whale."""
    annotations = list(world.catalogue.annotations(range(1, 13)).values())
    gallery = tuple(one.source_id for one in annotations)
    queries = tuple(Query(f"q{one.annotation_id}", one.source_id) for one in annotations[::3])
    asked = {query.query_id: one for query, one in zip(queries, annotations[::3], strict=True)}
    truth, elsewhere = {}, {}
    for query_id, one in asked.items():
        own = [other for other in annotations if other.individual == one.individual and other is not one]
        truth[query_id] = frozenset(o.source_id for o in own)
        elsewhere[query_id] = frozenset(o.source_id for o in own if o.encounter != one.encounter)
    return ScenarioPack((Scenario("s1", queries, gallery),), truth, elsewhere if other else None)


def evaluated(world: World, asked: ScenarioPack, wanted: Wanted = PLAIN) -> Evaluation:
    evaluate = world.services.evaluate
    return evaluate.run(evaluate.begin(asked, wanted))


def rows(world: World) -> list[Prediction]:
    """The predictions of the newest evaluation."""
    return world.packs.files[str(world.runs.folder(world.runs.ids()[0]) / "predictions.csv")]


def test_whales_that_are_easy_are_all_found(world):
    """Where every whale has colours of its own, the score is 1 by scenario and pooled, in either truth."""
    evaluation = evaluated(world, pack(world))
    scores = evaluation.scores()
    assert [(one.name, one.queries, one.gallery) for one in scores] == [("s1", 4, 12), ("pooled", 4, 12)]
    assert scores[-1].score.map20 == pytest.approx(1)
    assert scores[-1].other_encounter.map20 == pytest.approx(1)
    assert evaluation.pins.manifest_sha256 == world.embedder.ensemble.manifest_sha256
    assert evaluation.pins.catalogue_version == world.catalogue.version()
    assert (evaluation.pins.profile, evaluation.pins.settings) == ("cosine", {})


def test_a_pack_without_the_second_truth_has_no_second_score(world):
    """Other encounters are only scored when the pack tells them."""
    assert evaluated(world, pack(world, other=False)).scores()[-1].other_encounter is None


def test_a_pack_without_truth_is_answered_and_not_scored(world):
    """What nobody knows is not a score of 0; the report shows no query either."""
    found = evaluated(world, ScenarioPack(pack(world).scenarios)).scores()[-1]
    assert (found.score, found.other_encounter, found.queries) == (None, None, 4)
    assert (world.reports.reports[-1].right, world.reports.reports[-1].examples) == (None, ())
    assert len(rows(world)) == 4 * 11


def test_predictions_are_what_a_match_answers(world):
    """The same candidates with the same scores as the online answer to the same annotation."""
    evaluated(world, pack(world))
    found = [row for row in rows(world) if row.query_id == "q4"]
    online = world.services.match(MatchRequest(annotation_ids=(4,), profile=COSINE)).candidates
    assert [row.image_id for row in found] == [one.annotation.source_id for one in online]
    assert [row.score for row in found] == pytest.approx([one.score for one in online])


def test_every_query_is_asked_from_its_own_side():
    """Queries of several viewpoints in one scenario are each ranked once."""
    world = World()
    sides = [Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.TOP, Viewpoint.LEFT]
    brought = [sighting(row, f"whale{row % 2}", viewpoint=sides[row - 2]) for row in range(2, 6)]
    world.bring(brought, [photo(row % 2, row) for row in range(2, 6)])
    ids = tuple(row.source_id for row in brought)
    scenario = Scenario("s", (Query("a", ids[0]), Query("b", ids[1])), ids)
    truth = {"a": frozenset({ids[2]}), "b": frozenset({ids[3]})}
    evaluation = evaluated(world, ScenarioPack((scenario,), truth))
    assert [row.query_id for row in rows(world)] == ["a"] * 3 + ["b"] * 3
    assert evaluation.scores()[-1].score.map20 == pytest.approx(1)


def test_other_boxes_of_the_same_photograph_are_passed_over(world):
    """At most 20 rows, none of them from the photograph asked about, even when it holds many animals."""
    boxes = [sighting(90 + i, f"calf{i}", path="group.png", box=Box(i, 0, 20, 20)) for i in range(25)]
    world.opened["folder:group"] = type(world.opened["folder:survey"])(boxes, {"group.png": photo(50)})
    world.services.ingest.run(world.begin("folder:group"))
    gallery = tuple(one.source_id for one in boxes) + tuple(f"image{row:03}" for row in range(2, 14))
    scenario = Scenario("s", (Query("q", boxes[0].source_id),), gallery)
    evaluated(world, ScenarioPack((scenario,)))
    assert len(rows(world)) == 12
    assert {row.image_id for row in rows(world)}.isdisjoint(one.source_id for one in boxes)


def test_an_evaluation_leaves_three_documents_and_nothing_else_large(world):
    """Vectors and rows of single scenarios are gone when it ends; nothing was embedded."""
    seen = world.embedder.seen
    evaluated(world, pack(world))
    run_id = world.runs.ids()[0]
    names = {path.name for path in world.runs.folder(run_id).iterdir()}
    assert names - set(DOCUMENTS) == {"request.json", "pins.json", "summary.json"}
    assert world.embedder.seen == seen
    assert json.loads(world.services.evaluate.document(run_id, "scores.json"))["slices"]


def test_edits_and_repeated_steps_change_nothing(world):
    """A catalogue edited after the first step, and every step done again, give the files of an undisturbed run."""
    asked, evaluate = pack(world), world.services.evaluate
    evaluated(world, asked)
    quiet = {name: evaluate.document(world.runs.ids()[0], name) for name in ("scores.json", "report.html")}
    undisturbed = rows(world)
    run_id = evaluate.begin(asked, PLAIN)
    arguments, done = {"evaluation_id": run_id}, 0
    while True:
        step = world.evaluation_work.step(arguments, done)
        if done == 0:
            world.bring([sighting(90, "whale1")], [photo(1, 9)], "folder:more")
        if step.finished:
            break
        done = step.done
    assert world.evaluation_work.step(arguments, done) == step
    assert step.result == {"evaluation_id": run_id}
    assert {name: evaluate.document(run_id, name) for name in quiet} == quiet
    assert rows(world) == undisturbed


def test_the_catalogue_is_caught_up_with_first(world, monkeypatch):
    """An index that is older than the catalogue is refreshed; one that cannot be is told."""
    stale = world.index.current()
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:more")
    world.index._current = stale
    asked = ScenarioPack((Scenario("s", (Query("q", "image090"),), ("image002",)),))
    assert evaluated(world, asked).pins.catalogue_version == world.catalogue.version()
    world.index._current = stale
    monkeypatch.setattr(world.index, "refresh", lambda _: None)
    with pytest.raises(Unavailable, match="kept changing"):
        evaluated(world, asked)


def test_pack_and_vectors_are_read_once_for_all_scenarios(world, monkeypatch):
    """A run of three scenarios parses its pack once and checks its vectors once, and keeps neither at its end."""
    asked = pack(world)
    (one,) = asked.scenarios
    several = tuple(
        replace(one, scenario_id=f"s{n}", queries=tuple(Query(f"{n}-{q.query_id}", q.image_id) for q in one.queries))
        for n in range(3)
    )
    read = []
    for port, name in ((world.packs, "packs"), (world.frozen, "vectors")):
        monkeypatch.setattr(
            port, "read", lambda path, port=port, name=name: read.append(name) or type(port).read(port, path)
        )
    work = world.services.evaluate.work
    run_id = world.services.evaluate.begin(ScenarioPack(several), PLAIN)
    while not work.step({"evaluation_id": run_id}, 0).finished:
        pass
    assert sorted(read) == ["packs", "vectors"]
    assert (work._desk._pack, work._desk._bench) == (None, None)


def test_lost_vectors_are_frozen_again(world):
    """A damaged file costs a step, never a wrong figure."""
    evaluate = world.services.evaluate
    run_id = evaluate.begin(pack(world), PLAIN)
    world.evaluation_work.step({"evaluation_id": run_id}, 0)
    world.frozen.kept.clear()
    with pytest.raises(Unavailable, match="frozen again"):
        world.evaluation_work.step({"evaluation_id": run_id}, 1)
    assert evaluate.run(run_id).scores()[-1].score.map20 == pytest.approx(1)


def test_what_a_kill_left_behind_is_forgotten(world):
    """Between the report and the end of its step: rows, vectors, half a file; the step done again leaves none."""
    evaluate = world.services.evaluate
    run_id = evaluate.begin(pack(world), PLAIN)
    evaluate.run(run_id)
    whole = {path.name for path in world.runs.folder(run_id).iterdir()}
    for name in ("rows-0000.csv", "vectors.npz", "report.html.1a2b.partial"):
        world.runs.put(run_id, name, b"left")
    assert evaluate.run(run_id).scores()
    assert {path.name for path in world.runs.folder(run_id).iterdir()} == whole


def test_another_ensemble_does_not_finish_what_one_began(world):
    """The pins name the ensemble; half of one and half of the other would be a figure of neither."""
    evaluate = world.services.evaluate
    run_id = evaluate.begin(pack(world), PLAIN)
    world.evaluation_work.step({"evaluation_id": run_id}, 0)
    world.embedder.loaded = replace(world.embedder.loaded, manifest_sha256="f" * 64)
    with pytest.raises(InvalidInput, match="begin it again"):
        evaluate.run(run_id)


def test_where_an_evaluation_stands(world):
    """Steps behind it, its job, and what it found at its end."""
    evaluate = world.services.evaluate
    run_id = evaluate.begin(pack(world), Wanted("mine", "cosine", unfilled=("kind: reason",)))
    evaluate.accept(run_id, "job7")
    standing = evaluate.standing(run_id)
    assert (standing.done, standing.total, standing.job_id, standing.pins) == (0, 3, "job7", None)
    for name in DOCUMENTS:
        with pytest.raises(Conflict, match="not ended"):
            evaluate.document(run_id, name)
    with pytest.raises(Conflict, match="not ended"):
        evaluate.begin(pack(world), Wanted(against=run_id))
    seen = []
    evaluation = evaluate.run(run_id, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    (standing,) = evaluate.standings()
    assert (standing.done, standing.pins, list(standing.scores)) == (3, evaluation.pins, evaluation.scores())
    assert world.reports.reports[-1].unfilled == ("kind: reason",)


def test_a_pack_is_kept_with_its_run(world):
    """A later run may ask for it again."""
    asked = pack(world)
    world.packs.packs["pack"] = asked
    evaluate = world.services.evaluate
    assert evaluate.pack(PACK) == asked
    assert evaluate.pack_of(evaluate.begin(asked, PLAIN)) == asked
    evaluate.write_pack(Path("copy"), asked)
    assert world.packs.packs["copy"] == asked


@pytest.mark.parametrize(
    ("wanted", "error"),
    [(Wanted(profile="best"), InvalidInput), (Wanted(against="nobody"), UnknownEvaluation)],
)
def test_what_cannot_be_asked_for_is_refused(world, wanted, error):
    """Before anything is recorded."""
    with pytest.raises(error):
        world.services.evaluate.begin(pack(world), wanted)
    assert world.runs.ids() == []


def test_an_image_that_the_catalogue_lacks_is_named(world):
    """A pack for another catalogue is refused."""
    scenario = Scenario("s", (Query("q", "image002"),), ("image003", "stranger"))
    with pytest.raises(BadScenario, match="'stranger'"):
        world.services.evaluate.begin(ScenarioPack((scenario,)), PLAIN)


def test_without_an_index_there_is_no_evaluation(world):
    """A failure is never a score of zero."""
    world.index._current = None
    with pytest.raises(IndexUnavailable):
        evaluated(world, pack(world))


def test_own_predictions_score_what_the_evaluation_scores(world):
    """A prediction file of the very rows gets the very score, by scenario and pooled."""
    world.packs.packs["pack"] = pack(world)
    evaluation = evaluated(world, pack(world))
    world.packs.files["out.csv"] = rows(world)
    scores = world.services.evaluate.predictions(PACK, Path("out.csv"))
    assert [one.score.map20 for one in scores] == [one.score.map20 for one in evaluation.scores()]


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ([], "no rows"),
        ([Prediction("qx", "image002", 0.5, 7)], "theirs.csv, line 7: unknown query"),
        ([Prediction("q1", "image002", 0.5, 3)], "theirs.csv, s1, line 3: self match"),
        ([Prediction("q1", "image003", 0.5)], "theirs.csv, s1: missing query"),
    ],
)
def test_faulty_predictions_are_refused(world, found, fault):
    """Each fault is named with file, scenario and line; none of them is scored quietly."""
    world.packs.packs["pack"] = pack(world)
    world.packs.files["theirs.csv"] = found
    with pytest.raises(BadScenario, match=fault):
        world.services.evaluate.predictions(PACK, Path("theirs.csv"))


def test_scenarios_are_built_from_the_catalogue(world):
    """From every annotation, a page at a time; they are answered like any other pack."""
    built = world.services.evaluate.built([Kind.ALL_TOP, Kind.ACROSS_ENCOUNTERS])
    assert [one.scenario_id for one in built.pack.scenarios] == ["all_top", "across_encounters"]
    assert len(built.pack.scenarios[0].gallery) == 12
    assert evaluated(world, built.pack).scores()[0].score.map20 == pytest.approx(1)


def test_a_report_shows_animals_and_what_was_missed(world):
    """Best, median and worst queries with pictures; the open set where a scenario asks about new animals."""
    ids = [f"image{row:03}" for row in range(2, 14)]
    scenario = Scenario("s", (Query("a", ids[0]), Query("b", ids[3])), tuple(ids[2:]))
    pretended = {"a": frozenset({ids[-1]})}
    evaluated(world, ScenarioPack((scenario,), pretended))
    report = world.reports.reports[-1]
    (example,) = report.examples
    assert (example.query.individual, example.matches, len(example.candidates)) == ("whale1", 1, 5)
    assert example.query.jpeg.startswith(b"\xff\xd8")
    assert example.missed is None or example.missed.image_id == ids[-1]
    assert report.open_sets["s"].known == report.open_sets["s"].new == 1


def test_a_right_answer_further_down_is_shown_with_its_rank(world):
    """What the first five do not hold and the twenty do is no miss; a folding profile shows the worst by that rank."""
    ids = [f"image{row:03}" for row in range(2, 14)]
    scenario = Scenario("s", (Query("a", ids[0]), Query("b", ids[3])), tuple(ids))
    asked = ScenarioPack((scenario,), {"a": frozenset({ids[1]}), "b": frozenset({ids[0]})})
    evaluated(world, asked)
    asked_b = [row.image_id for row in rows(world) if row.query_id == "b"]
    found = {one.query.image_id: one for one in world.reports.reports[-1].examples}[ids[3]]
    assert found.first == asked_b.index(ids[0]) + 1
    assert found.first > 2
    evaluated(world, asked, Wanted(profile="review"))
    assert world.reports.reports[-1].folds
    assert world.reports.reports[-1].examples[0].title == "best"


def test_a_report_does_without_a_picture_that_is_lost(world):
    """The figures stand all the same."""
    world.blobs.stored.clear()
    evaluated(world, pack(world))
    assert {example.query.jpeg for example in world.reports.reports[-1].examples} == {None}


def test_two_runs_are_compared(world):
    """The difference of a run against itself is zero on every query, in the report and when asked."""
    evaluate = world.services.evaluate
    first = evaluate.begin(pack(world), PLAIN)
    evaluate.run(first)
    second = evaluate.begin(pack(world), Wanted(profile="cosine", against=first))
    evaluate.run(second)
    assert [(one.name, one.queries, one.mean) for one in evaluate.difference(second, first)] == [
        ("s1", 4, 0.0),
        ("pooled", 4, 0.0),
    ]
    assert world.reports.reports[-1].comparison.right == tuple(evaluate.difference(second, first))


def stored(world: World, evaluation: Evaluation) -> None:
    """An evaluation as if it had been run."""
    run_id = world.services.evaluate.begin(pack(world), PLAIN)
    world.runs.put(run_id, "scores.json", evaluation.to_json({}))
    world.runs.put(run_id, "report.html", b"")


def test_a_switch_to_a_losing_ensemble_is_refused(world):
    """Only when stored evaluations of one pack by both say so; the other way round it is welcome."""
    old = evaluated(world, pack(world))
    world.services.reindex.gate()
    world.embedder.loaded = one_space(6)
    world.services.reindex.gate()
    spaces = {space.name: space.fingerprint for space in world.embedder.active_spaces()}
    worse = tuple(replace(one, right=Answered(one.right.matches, 0.1, 9)) for one in old.outcomes)
    stored(world, replace(old, pins=replace(old.pins, spaces=spaces, ensemble="fine"), outcomes=worse))
    with pytest.raises(LosingEnsemble, match=r"'fine' loses 0\.9000 mAP@20 against 'grids' on the 4 queries"):
        world.services.reindex.gate()
    stored(world, replace(old, pins=replace(old.pins, spaces=spaces)))
    world.services.reindex.gate()


def test_an_empty_catalogue_may_take_any_ensemble():
    """There is nothing to lose."""
    World().services.reindex.gate()


def losing(world: World) -> None:
    """Another ensemble in force, with a stored evaluation that says it to be worse."""
    old = evaluated(world, pack(world))
    world.embedder.loaded = one_space(6)
    spaces = {space.name: space.fingerprint for space in world.embedder.active_spaces()}
    worse = tuple(replace(one, right=Answered(one.right.matches, 0.1, 9)) for one in old.outcomes)
    stored(world, replace(old, pins=replace(old.pins, spaces=spaces, ensemble="fine"), outcomes=worse))


def test_no_way_to_a_losing_ensemble_leads_by_the_gate(world):
    """The job that a started service enqueues is refused like the command, and nothing was switched; force is asked."""
    losing(world)
    held = world.catalogue.fingerprints()
    for way in (world.services.reindex, lambda: world.services.works[JobKind.REEMBED].step({}, 0)):
        with pytest.raises(LosingEnsemble):
            way()
    assert world.catalogue.fingerprints() == held
    world.services.reindex(force=True)
    assert world.catalogue.fingerprints() != held


def test_other_settings_of_a_profile_say_nothing_of_a_switch(world):
    """Only runs that were ranked alike are compared, and an odd run keeps nobody from switching."""
    losing(world)
    run_id = world.runs.ids()[0]
    found = world.services.evaluate.work.evaluation(run_id)
    world.runs.put(run_id, "summary.json", b"")
    world.runs.put(run_id, "scores.json", replace(found, pins=replace(found.pins, settings={"a": 1})).to_json({}))
    world.runs.put(world.runs.ids()[1], "request.json", b"[]")
    world.services.reindex.gate()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("request.json", b""),
        ("request.json", b"[1]"),
        ("job.json", b"7"),
        ("scores.json", b"{}"),
        ("scores.json", b"\xff"),
    ],
)
def test_an_odd_run_is_shown_as_odd(world, name, content):
    """One damaged folder hides neither the others nor its reason."""
    for _ in range(2):
        evaluated(world, pack(world))
    odd = world.runs.ids()[0]
    world.runs.put(odd, "summary.json", b"")
    world.runs.put(odd, name, content)
    first, second = world.services.evaluate.standings()
    assert "cannot be read" in first.fault
    assert (second.fault, second.done) == ("", 3)


def test_a_list_reads_no_pack(world, monkeypatch):
    """A page of runs is told from small notes; a run of a later version with more in its request is read as well."""
    evaluated(world, pack(world))
    evaluated(world, pack(world))
    kept = json.loads(world.runs.get("run2", "request.json")) | {"later": 1}
    world.runs.put("run2", "request.json", json.dumps(kept).encode())
    monkeypatch.setattr(world.packs, "read", None)
    monkeypatch.setattr(Evaluation, "from_json", None)
    assert [one.done for one in world.services.evaluate.standings()] == [3, 3]
    assert [one.evaluation_id for one in world.services.evaluate.standings(1, 1)] == ["run1"]


def test_a_run_that_goes_away_meanwhile_is_left_out(world, monkeypatch):
    """A folder deleted between listing and reading is no fault."""
    evaluated(world, pack(world))
    monkeypatch.setattr(world.runs, "ids", lambda: ["gone", "run1"])
    assert [one.evaluation_id for one in world.services.evaluate.standings()] == ["run1"]


def test_runs_of_other_scenarios_are_not_compared(world):
    """Built packs give the same names to other questions: such a pair is refused before anything is recorded."""
    evaluated(world, pack(world))
    with pytest.raises(BadScenario, match="had other scenarios"):
        world.services.evaluate.begin(pack(world, other=False), Wanted(profile="cosine", against="run1"))
    assert world.runs.ids() == ["run1"]


def test_the_calibration_in_force_is_pinned_and_shown(world):
    """As it was at the first step; a calibration without such curves shows its meter alone."""
    purpose = purpose_of(world.embedder.ensemble.manifest_sha256, COSINE)
    bins = (Bin(0.0, 0.5, 9.0, 0.2, 0.25), Bin(0.5, 1.0, 9.0, 0.8, 0.75))
    judged = (Judged(ViewPair.ANY, Listed.ANNOTATION, Reliability(bins, 0.05, 0.1, 0.5, 18, 4)),)
    meter = tuple(
        Figure(ViewPair.ANY, listed, gap, 4, 0.05, Verdict.TOO_FEW, None, None, None, 0.0, 9, 9, 4)
        for listed, gap in ((Listed.INDIVIDUAL, YearGap.ANY), (Listed.ANNOTATION, YearGap.ANY))
    )
    made = Calibrated(
        purpose, Source.RELEASE, "the survey", datetime(2026, 1, 2), None, 9, 9, 4, Calibration({}, {}), judged, meter
    )
    world.calibrations.add(made)
    evaluation = evaluated(world, pack(world))
    found = world.reports.reports[-1].calibration
    assert evaluation.pins.calibration == found.fitted_on == "the survey, 2026-01-02 00:00"
    assert (found.bins, found.error) == (((0.2, 0.25), (0.8, 0.75)), 0.05)
    assert [kind for kind, _ in found.meter] == ["any"]
    assert shown(replace(made, judged=())).error is None


def test_a_run_of_an_ensemble_on_trial_is_taken_over(world, tmp_path):
    """Measured in a data folder of its own it can be compared with here; one that has not ended is told."""
    evaluated(world, pack(world))
    evaluate = world.services.evaluate
    folder = world.runs.folder("run1").rename(tmp_path / "run7")
    world.runs._ids.clear()
    assert evaluate.adopt(folder) == "run7"
    run_id = evaluate.begin(pack(world), Wanted(profile="cosine", against="run7"))
    evaluate.run(run_id)
    assert evaluate.difference(run_id, "run7")[-1].mean == 0
    (folder / "report.html").unlink()
    with pytest.raises(Conflict, match="not ended"):
        evaluate.adopt(folder.rename(tmp_path / "run8"))


def test_a_query_without_an_answer_is_counted_and_told(world):
    """It has no right answer, the others stand, and the report says how many there are."""
    scenario = Scenario("s", (Query("q", "image002"),), ("image002",))
    other = Scenario("t", (Query("r", "image002"),), ("image002", "image003"))
    evaluation = evaluated(world, ScenarioPack((scenario, other), {"r": frozenset({"image003"})}))
    assert (evaluation.unanswered, world.reports.reports[-1].unanswered) == (1, 1)
    assert evaluation.scores()[-1].score.map20 == pytest.approx(1)
