"""The history checker tells what one catalogue can have answered from what it cannot, on histories made by hand."""

import math

import pytest

from tests.crash.history import Read, State, Write, anomalies

TOP, LEFT = State("top", 2021), State("left", 2021)
ADDED = Write("a", 0, 1, TOP)


def read(began: float, ended: float, state: State | None, **more) -> Read:
    return Read("a", began, ended, times=int(state is not None), state=state, **more)


def within(viewpoint: str, began: float, ended: float, times: int) -> Read:
    return Read("a", began, ended, times, frozenset({viewpoint}))


SOUND = {
    "before it was added": ([ADDED], [read(-2, -1, None)]),
    "while it is added, either way": ([ADDED], [read(0.1, 0.9, None), read(0.2, 0.8, TOP)]),
    "after it was added": ([ADDED], [read(2, 3, TOP)]),
    "removed": ([ADDED, Write("a", 2, 3, None)], [read(1.5, 1.6, TOP), read(2.1, 2.9, TOP), read(4, 5, None)]),
    "moved": ([ADDED, Write("a", 2, 3, LEFT)], [within("top", 2.1, 2.9, 0), within("left", 4, 5, 1)]),
    "unanswered, done late": ([ADDED, Write("a", 2, math.inf, None)], [read(5, 6, TOP), read(8, 9, None)]),
    "unanswered, never done": ([ADDED, Write("a", 2, math.inf, None)], [read(5, 6, TOP), read(8, 9, TOP)]),
    "overlapping matches may differ": ([ADDED], [read(0.1, 0.9, TOP), read(0.2, 0.8, None)]),
    "versions grow": ([ADDED], [read(2, 3, TOP, versions=(4, 2)), read(4, 5, TOP, versions=(4, 3))]),
}

UNSOUND = {
    "stale": ([ADDED], [read(2, 3, None)]),
    "stale move": ([ADDED, Write("a", 2, 3, LEFT)], [read(4, 5, TOP)]),
    "stale in no partition": ([ADDED, Write("a", 2, 3, LEFT)], [within("top", 4, 5, 0), within("left", 4, 5, 0)]),
    "stale in both partitions": ([ADDED, Write("a", 2, 3, LEFT)], [within("top", 4, 5, 1), within("left", 4, 5, 1)]),
    "ghost": ([ADDED, Write("a", 2, 3, None)], [read(4, 5, TOP)]),
    "ghost of nobody": ([], [read(4, 5, TOP)]),
    "unknown": ([ADDED], [read(4, 5, LEFT)]),
    "twice": ([ADDED], [Read("a", 4, 5, times=2)]),
    "inversion": ([Write("a", 0, 9, TOP)], [read(1, 2, TOP), read(3, 4, None)]),
    "inversion, unanswered": (
        [ADDED, Write("a", 2, math.inf, None)],
        [read(3, 4, None), read(5, 6, TOP)],
    ),
    "version": ([ADDED], [read(2, 3, TOP, versions=(4, 3)), read(4, 5, TOP, versions=(4, 2))]),
}


@pytest.mark.parametrize(("writes", "reads"), SOUND.values(), ids=SOUND)
def test_what_one_catalogue_can_answer_passes(writes: list[Write], reads: list[Read]):
    """No false alarm."""
    assert anomalies(writes, reads) == []


@pytest.mark.parametrize(("kind", "writes", "reads"), [(k, *v) for k, v in UNSOUND.items()], ids=UNSOUND)
def test_what_no_catalogue_can_answer_is_found(kind: str, writes: list[Write], reads: list[Read]):
    """One anomaly, of the right kind."""
    assert [one.kind for one in anomalies(writes, reads)] == [kind.split(maxsplit=1)[0].strip(",")]
