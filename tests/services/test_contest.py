"""Contest: the contest's folder is answered without a catalogue, with the figures of an evaluation."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.pillow_images import PillowImages
from app.domain.catalogue import Box, CaptureDate, Viewpoint
from app.domain.errors import BadRows, BadScenario, Fault
from app.domain.profiles import COSINE
from app.domain.scenario import Query, Scenario, ScenarioPack
from app.services.contest import Contest
from app.services.evaluate_work import Wanted
from tests.fakes import FakeEmbedder, FakeSheet, World, photo, sighting, two_spaces
from tests.fakes_evaluate import FakeCache, FakeFrozen, FakePacks

FOLDER = Path("contest")


class Desk:
    """A contest's folder in memory, and the service that answers it."""

    def __init__(self, count: int = 9, ensemble=None) -> None:
        sides = [Viewpoint.TOP, Viewpoint.TOP, Viewpoint.LEFT]
        self.rows = [sighting(n, viewpoint=sides[n % 3]) for n in range(2, 2 + count)]
        self.photographs = {row.path: photo(row.row % 3, row.row) for row in self.rows}
        self.packs, self.cache, self.embedder = FakePacks(), FakeCache(), FakeEmbedder(ensemble)
        ids = tuple(row.source_id for row in self.rows)
        self.packs.packs["contest"] = ScenarioPack((Scenario("s", (Query("a", ids[0]), Query("b", ids[1])), ids),))

    def answer(self, out: Path, progress=None):
        sheet = FakeSheet(self.rows, self.photographs)
        work = Contest(lambda _: sheet, PillowImages(), self.embedder, self.packs, FakeFrozen(), self.cache)
        pack = work(FOLDER, out, COSINE, progress)
        return pack, self.packs.files[str(out / "submission.csv")]


def test_the_contest_mode_answers_as_an_evaluation_does(tmp_path):
    """The same photographs in a catalogue give the same rows with the same scores."""
    desk, world = Desk(), World()
    _, rows = desk.answer(tmp_path)
    world.bring(desk.rows, list(desk.photographs.values()))
    evaluate = world.services.evaluate
    evaluate.run(run_id := evaluate.begin(desk.packs.packs["contest"], Wanted(profile="cosine")))
    assert rows == world.packs.files[str(world.runs.folder(run_id) / "predictions.csv")]
    assert {row.query_id for row in rows} == {"a", "b"}


def test_every_photograph_is_embedded_once(tmp_path):
    """A second run finds every vector in the cache and embeds nothing; progress counts photographs."""
    desk, seen = Desk(70), []
    _, first = desk.answer(tmp_path, lambda done, total: seen.append((done, total)))
    assert (desk.embedder.seen, seen) == (70, [(64, 70), (70, 70)])
    _, second = desk.answer(tmp_path)
    assert (desk.embedder.seen, second) == (70, first)


def test_a_run_that_was_cut_short_goes_on(tmp_path, monkeypatch):
    """What the cache holds is not computed again, in any batch."""
    monkeypatch.setattr("app.services.contest._BATCH", 20)
    desk = Desk(70)
    desk.answer(tmp_path)
    (vectors,) = desk.cache.held.values()
    for key in sorted(vectors)[:6]:
        del vectors[key]
    desk.answer(tmp_path)
    assert desk.embedder.seen == 76


def test_members_of_some_viewpoints_see_only_those(tmp_path):
    """With two spaces each embeds what it serves; undated photographs and boxes are taken as they are."""
    desk = Desk(9, two_spaces())
    desk.rows[3] = replace(desk.rows[3], captured=CaptureDate(), box=Box(0, 0, 20, 20))
    desk.answer(tmp_path)
    assert desk.embedder.seen == 9 + 6


def test_only_photographs_of_the_pack_are_opened(tmp_path):
    """Another row of the sheet may be anything."""
    desk = Desk()
    desk.rows.append(sighting(90))
    found, _ = desk.answer(tmp_path)
    assert found.pack == desk.packs.packs["contest"]


def test_faults_are_told_before_anything_is_embedded(tmp_path):
    """Rows that cannot be read, and images that the sheet does not list."""
    desk = Desk()
    desk.rows.append(Fault(12, "date", "no date"))
    with pytest.raises(BadRows, match="row 12, column date"):
        desk.answer(tmp_path)
    desk.rows[-2:] = []
    with pytest.raises(BadScenario, match=r"1 image.* not in metadata\.csv, such as 'image010'"):
        desk.answer(tmp_path)
    assert desk.embedder.seen == 0


def test_a_photograph_that_cannot_be_used_is_named_and_done_without(tmp_path):
    """By its id and its path: it is never found, a query of it is filled up, and the submission is whole."""
    desk = Desk()
    for place in (0, 4):
        desk.photographs[desk.rows[place].path] = b"no picture"
    found, rows = desk.answer(tmp_path)
    assert [words.partition(": ")[0] for words in found.unreadable] == ["image002 (002.png)", "image006 (006.png)"]
    assert found.filled == ("a",)
    assert {row.score for row in rows if row.query_id == "a"} == {0.0}
    answered = [row for row in rows if row.query_id == "b"]
    assert len(answered) == 6
    assert not {"image002", "image006"} & {row.image_id for row in answered}
