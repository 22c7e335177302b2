"""Folding: duplicates and meetings count once, and what was folded is still told."""

import numpy as np

from app.domain.folding import completed, fold, joined, meetings
from app.domain.partition import NOBODY
from app.domain.ranking import Answers


def test_later_rows_of_a_key_are_folded_into_its_first():
    """The order of the first rows stays; rows without a key stand for themselves."""
    kept, inside = fold(np.array([5, NOBODY, 5, 6, NOBODY, 6, 5]))
    assert kept.tolist() == [0, 1, 3, 4]
    assert [rows.tolist() for rows in inside] == [[2, 6], [], [5], []]


def test_nothing_folds_to_nothing():
    """An empty list stays empty."""
    kept, inside = fold(np.zeros(0, np.int64))
    assert (kept.tolist(), inside) == ([], [])


def test_a_meeting_is_an_individual_in_an_encounter():
    """Two animals of one encounter are two meetings; without a name of either kind there is none."""
    met = meetings(np.array([1, 1, 2, 1, NOBODY, 3]), np.array([8, 8, 8, 9, 8, NOBODY]))
    assert met[0] == met[1]
    assert len({met[0], met[2], met[3]}) == 3
    assert met[4:].tolist() == [NOBODY, NOBODY]


def test_keys_of_two_kinds_join():
    """A burst that reaches over two meetings joins them; rows without either key stay alone."""
    keys = joined(np.array([1, 1, NOBODY, NOBODY, 2]), np.array([NOBODY, 5, 5, NOBODY, 6]))
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] == NOBODY
    assert keys[4] not in {NOBODY, keys[0]}
    assert joined(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_keys_join_through_any_chain():
    """Whatever the order of rows, those that reach each other through shared keys of either kind share one number."""
    drawn = np.random.default_rng(5)
    for _ in range(200):
        first, second = drawn.integers(NOBODY, 9, 24), drawn.integers(NOBODY, 9, 24)
        keys = joined(first, second)
        shared = [(kinds[:, None] == kinds) & (kinds != NOBODY) for kinds in (first, second)]
        reached = np.linalg.matrix_power((shared[0] | shared[1] | np.eye(24, dtype=bool)).astype(float), 24) > 0
        assert ((keys == NOBODY) == ((first == NOBODY) & (second == NOBODY))).all()
        named = keys != NOBODY
        assert ((keys[:, None] == keys) == reached)[named][:, named].all()


def test_an_answer_holds_what_was_not_looked_at():
    """By id behind what the ranking saw, in the best answer of its key, never twice and never without a key."""
    found = Answers(np.array([7, 3]), np.array([0.9, 0.8]), np.array([-1, -1]), ((9,), ()))
    ids, keys = np.array([1, 2, 3, 4, 7, 8, 9]), np.array([5, NOBODY, 5, 6, 5, 5, 5])
    assert completed(found, ids, keys).folded == ((9, 1, 8), ())
    plain = Answers(np.array([7, 3]), np.array([0.9, 0.8]), np.array([-1, -1]))
    assert completed(plain, np.array([2, 3, 7]), np.array([4, 4, NOBODY])).folded == ((), (2,))
