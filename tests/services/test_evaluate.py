"""Evaluate: a pack is ranked as a match is, scored as the contest scores, and refused when it is faulty."""

from pathlib import Path

import pytest

from app.domain.catalogue import Box, Viewpoint
from app.domain.errors import BadScenario, IndexUnavailable
from app.domain.scenario import Prediction, Query, Scenario, ScenarioPack
from app.services.match import MatchRequest
from tests.fakes import World, photo, sighting

PACK = Path("pack")


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


def test_whales_that_are_easy_are_all_found(world):
    """Where every whale has colours of its own, the score is 1 by scenario and pooled, in either truth."""
    evaluation = world.services.evaluate(pack(world))
    assert [(one.name, one.queries, one.gallery) for one in evaluation.scenarios] == [("s1", 4, 12)]
    assert evaluation.pooled.score.map20 == pytest.approx(1)
    assert evaluation.pooled.other_encounter is not None
    assert evaluation.pooled.other_encounter.map20 == pytest.approx(1)
    assert evaluation.manifest_sha256 == world.embedder.ensemble.manifest_sha256
    assert evaluation.catalogue_version == world.catalogue.version()


def test_a_pack_without_the_second_truth_has_no_second_score(world):
    """Other encounters are only scored when the pack tells them."""
    assert world.services.evaluate(pack(world, other=False)).pooled.other_encounter is None


def test_a_pack_without_truth_has_no_score(world):
    """What nobody knows is not a score of 0."""
    asked = pack(world)
    found = world.services.evaluate(ScenarioPack(asked.scenarios)).pooled
    assert (found.score, found.other_encounter, found.queries) == (None, None, 4)


def test_predictions_are_what_a_match_answers(world):
    """The same candidates with the same scores as the online answer to the same annotation."""
    evaluation = world.services.evaluate(pack(world))
    rows = [row for row in evaluation.predictions if row.query_id == "q4"]
    online = world.services.match(MatchRequest(annotation_id=4)).candidates
    assert [row.image_id for row in rows] == [candidate.annotation.source_id for candidate in online]
    assert [row.score for row in rows] == pytest.approx([candidate.score for candidate in online])


def test_every_query_is_asked_from_its_own_side():
    """Queries of several viewpoints in one scenario are each ranked once."""
    world = World()
    sides = [Viewpoint.TOP, Viewpoint.LEFT, Viewpoint.TOP, Viewpoint.LEFT]
    rows = [sighting(row, f"whale{row % 2}", viewpoint=sides[row - 2]) for row in range(2, 6)]
    world.bring(rows, [photo(row % 2, row) for row in range(2, 6)])
    ids = tuple(row.source_id for row in rows)
    scenario = Scenario("s", (Query("a", ids[0]), Query("b", ids[1])), ids)
    truth = {"a": frozenset({ids[2]}), "b": frozenset({ids[3]})}
    evaluation = world.services.evaluate(ScenarioPack((scenario,), truth))
    assert {row.query_id for row in evaluation.predictions} == {"a", "b"}
    assert evaluation.pooled.score.map20 == pytest.approx(1)


def test_other_boxes_of_the_same_photograph_are_passed_over(world):
    """At most 20 rows, none of them from the photograph asked about, even when it holds many animals."""
    boxes = [sighting(90 + i, f"calf{i}", path="group.png", box=Box(i, 0, 20, 20)) for i in range(25)]
    world.opened["folder:group"] = type(world.opened["folder:survey"])(boxes, {"group.png": photo(50)})
    ingest = world.services.ingest
    ingest.run(world.begin("folder:group"))
    gallery = tuple(one.source_id for one in boxes) + tuple(f"image{row:03}" for row in range(2, 14))
    scenario = Scenario("s", (Query("q", boxes[0].source_id),), gallery)
    rows = world.services.evaluate(ScenarioPack((scenario,))).predictions
    assert len(rows) == 12
    assert {row.image_id for row in rows}.isdisjoint(one.source_id for one in boxes)


def test_a_pack_on_disk_is_read_and_answered(world):
    """The predictions are written where they are wanted, and only then."""
    world.packs.packs["pack"] = pack(world)
    evaluation = world.services.evaluate.folder(PACK)
    assert world.packs.files == {}
    world.services.evaluate.folder(PACK, Path("out.csv"))
    assert world.packs.files["out.csv"] == list(evaluation.predictions)


def test_own_predictions_score_what_the_evaluation_scores(world):
    """A prediction file of the very rows gets the very score, by scenario and pooled."""
    world.packs.packs["pack"] = pack(world)
    evaluation = world.services.evaluate.folder(PACK, Path("out.csv"))
    scores = world.services.evaluate.predictions(PACK, Path("out.csv"))
    assert scores == [*evaluation.scenarios, evaluation.pooled]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([], "no rows"),
        ([Prediction("qx", "image002", 0.5)], "unknown query"),
        ([Prediction("q1", "image002", 0.5)], "self match"),
        ([Prediction("q1", "image003", 0.5)], "missing query"),
    ],
)
def test_faulty_predictions_are_refused(world, rows, fault):
    """Each fault is named; none of them is scored quietly."""
    world.packs.packs["pack"] = pack(world)
    world.packs.files["theirs.csv"] = rows
    with pytest.raises(BadScenario, match=fault):
        world.services.evaluate.predictions(PACK, Path("theirs.csv"))


def test_an_image_that_the_catalogue_lacks_is_named(world):
    """A pack for another catalogue is refused."""
    scenario = Scenario("s", (Query("q", "image002"),), ("image003", "stranger"))
    with pytest.raises(BadScenario, match="'stranger'"):
        world.services.evaluate(ScenarioPack((scenario,)))


@pytest.mark.parametrize(("query", "gallery"), [("image090", "image002"), ("image002", "image090")])
def test_an_index_behind_the_catalogue_is_told(world, query, gallery):
    """Neither a query nor a gallery image that the index lacks is passed over."""
    stale = world.index.current()
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:more")
    world.index._current = stale
    with pytest.raises(BadScenario, match="run reindex"):
        world.services.evaluate(ScenarioPack((Scenario("s", (Query("q", query),), (gallery,)),)))


def test_without_an_index_there_is_no_evaluation():
    """A failure is never a score of zero."""
    with pytest.raises(IndexUnavailable):
        World().services.evaluate(ScenarioPack((Scenario("s", (Query("q", "a"),), ("b",)),)))
