"""Health: ready only when every part is, and a sentence for each that is not."""

from tests.fakes import World


def test_ready_when_every_part_is():
    """Catalogue, ensemble and index can serve."""
    world = World()
    world.survey(whales=1)
    assert world.services.health().ready


def test_each_part_says_what_it_lacks():
    """A service without an index and with a damaged ensemble says both, and is not ready."""
    world = World()
    world.embedder.broken = "member 'coarse' is damaged"
    readiness = world.services.health()
    assert not readiness.ready
    assert (readiness.catalogue, readiness.ensemble) == ("ok", "member 'coarse' is damaged")
    assert readiness.index != "ok"


def test_a_store_that_cannot_keep_anything_is_not_ready():
    """Without its marker file, or on a failing disk, the service says so and does not take photographs."""
    world = World()
    world.survey(whales=1)
    world.blobs.away = "the photograph store lacks its marker file"
    readiness = world.services.health()
    assert (readiness.ready, readiness.storage) == (False, "the photograph store lacks its marker file")
