"""The rows of one scenario, where the snapshot and the scenario do not meet."""

import pytest

from app.domain.errors import BadScenario
from app.domain.profiles import COSINE
from app.domain.scenario import Query, Scenario
from app.services.evaluate_predict import predict
from tests.fakes import World

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


def test_a_query_alone_in_its_gallery_is_told(world):
    """Leave-one-out leaves nothing: that is a fault of the pack, not an empty answer."""
    scenario = Scenario("s", (Query("q", "image002"),), ("image002",))
    with pytest.raises(BadScenario, match="missing query: 'q'"):
        predict(scenario, IDS, world.index.current(), world.embedder.ensemble, COSINE)
