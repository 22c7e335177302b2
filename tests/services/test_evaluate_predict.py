"""The rows of one scenario, where the snapshot and the scenario do not meet."""

from dataclasses import replace

import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import BadScenario
from app.domain.profiles import COSINE
from app.domain.scenario import Prediction, Query, Scenario
from app.services.evaluate_predict import predict
from tests.fakes import World, photo, sighting, two_spaces

IDS = {"image002": 1, "image003": 2, "ghost": 99}


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.survey()
    return made


@pytest.mark.parametrize(("query", "gallery"), [("ghost", "image002"), ("image002", "ghost")])
def test_what_the_snapshot_lacks_is_told(world, query, gallery):
    """Neither a query nor a gallery image is passed over."""
    scenario = Scenario("s", (Query("q", query),), (gallery,))
    with pytest.raises(BadScenario, match="s: the index is older than the catalogue; run reindex"):
        predict(scenario, IDS, world.index.current(), world.embedder.ensemble, COSINE)


@pytest.mark.parametrize("fill", [False, True])
def test_a_query_alone_in_its_gallery_has_no_rows(world, fill):
    """Leave-one-out leaves nothing, not even something to fill up with; the other queries are answered."""
    scenario = Scenario("s", (Query("q", "image002"), Query("r", "image003")), ("image002",))
    found = predict(scenario, IDS, world.index.current(), world.embedder.ensemble, COSINE, fill=fill)
    assert [(row.query_id, row.image_id) for row in found] == [("r", "image002")]


def test_views_that_no_space_compares_are_filled_up_where_that_is_asked():
    """A left side against right sides in an ensemble with a space for each: no row, or rows of the lowest score."""
    made = World(two_spaces())
    sides = [Viewpoint.LEFT, Viewpoint.RIGHT, Viewpoint.RIGHT]
    made.bring([sighting(n, viewpoint=sides[n - 2]) for n in (2, 3, 4)], [photo(n) for n in (2, 3, 4)])
    made.embedder.loaded = replace(
        made.embedder.loaded,
        spaces=tuple(
            replace(space, viewpoints=space.viewpoints - {Viewpoint.LEFT if n else Viewpoint.RIGHT})
            for n, space in enumerate(made.embedder.loaded.spaces)
        ),
    )
    scenario = Scenario("s", (Query("q", "image002"),), ("image002", "image003", "image004"))
    arguments = (scenario, IDS | {"image004": 3}, made.index.current(), made.embedder.ensemble, COSINE)
    assert predict(*arguments) == []
    assert predict(*arguments, fill=True) == [Prediction("q", "image003", 0.0), Prediction("q", "image004", 0.0)]
