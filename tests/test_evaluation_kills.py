"""An evaluation that is killed goes on at the next start and ends with the bytes of one that nobody disturbed."""

import pytest

from tests.crash.evaluation import Rounds
from tests.crash.service import Service


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "photographs"), [(1, 24), (10, 48)])
def test_a_killed_evaluation_gives_the_same_bytes(tmp_path, kills, photographs):
    """SIGKILL at drawn moments while the catalogue is edited; nothing is left behind but what belongs there."""
    service = Service(tmp_path)
    try:
        tally = Rounds(service, photographs, seed=5).run(kills)
    finally:
        service.close()
    assert len(tally.steps) >= kills
    assert tally.compared == 3 * tally.evaluations > 0
