"""Near-duplicates and bursts: exact, transitive, and never over two individuals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.duplicates import (
    BURST,
    BURST_SECONDS,
    FLAT,
    NEAR,
    UNTIMED,
    burst_groups,
    distances,
    duplicate_groups,
    gallery_of,
    near_duplicates,
)
from app.domain.partition import NOBODY, Gallery


def flipped(value: int, *bits: int) -> int:
    """A signed 64-bit number with some of its bits turned over."""
    turned = value & (2**64 - 1)
    for bit in bits:
        turned ^= 1 << bit
    return turned - 2**64 if turned >= 2**63 else turned


def made(*rows: tuple[int, int, int, int, int]) -> Gallery:
    """A gallery of (individual, encounter, image, phash, moment), annotations numbered from 1."""
    individual, encounter, image, phash, moment = np.array(rows, np.int64).reshape(-1, 5).T
    ids, same = np.arange(1, len(rows) + 1), np.zeros(len(rows), np.int64)
    return gallery_of([ids, individual, encounter, image, same, same, same], phash, moment)


HASH = 0x5A5A_3C3C_0F0F_9696


def test_a_distance_counts_differing_bits():
    """The sign is a bit as any other."""
    assert distances(np.array([HASH]), np.array([flipped(HASH, 0, 40, 63)])).tolist() == [3]


def test_near_duplicates_come_nearest_first():
    """Copies under other names are told with their distance; farther ones and other boxes of the photograph are not."""
    gallery = made(
        (1, 1, 1, HASH, UNTIMED),
        (2, 2, 2, flipped(HASH, 1, 63), UNTIMED),
        (3, 3, 3, HASH, UNTIMED),
        (4, 4, 4, flipped(HASH, 1, 2, 3), UNTIMED),
        (5, 5, 1, HASH, UNTIMED),
    )
    assert [(one.annotation_id, one.distance) for one in near_duplicates(gallery, 1)] == [(3, 0), (2, 2)]
    assert near_duplicates(gallery, 4) == []
    assert near_duplicates(gallery, 99) == []


def test_pictures_without_structure_are_near_to_nothing():
    """Blank photographs share a hash and nothing else."""
    gallery = made((1, 1, 1, FLAT, UNTIMED), (2, 2, 2, FLAT, UNTIMED))
    assert (near_duplicates(gallery, 1), duplicate_groups(gallery)) == ([], [])


def test_groups_are_transitive():
    """A is near B and B near C: one group, although A and C are farther apart."""
    gallery = made(
        (1, 1, 1, HASH, UNTIMED),
        (2, 2, 2, flipped(HASH, 0, 1), UNTIMED),
        (3, 3, 3, flipped(HASH, 0, 1, 2, 3), UNTIMED),
        (4, 4, 4, flipped(HASH, 10, 20, 30), UNTIMED),
    )
    assert duplicate_groups(gallery) == [[1, 2, 3]]
    assert duplicate_groups(made()) == []


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=4)), min_size=1, max_size=24))
def test_bands_find_every_pair_that_comparing_all_finds(drawn):
    """Grouping by bands is exact, whichever bits differ."""
    hashes = [flipped((HASH * (base + 1)) % 2**63, *bits) for base, bits in drawn]
    gallery = made(*((row, row, row, phash, UNTIMED) for row, phash in enumerate(hashes)))
    together = {frozenset((a, b)) for group in duplicate_groups(gallery) for a in group for b in group if a != b}
    for a in range(len(hashes)):
        for b in range(a):
            near = ((hashes[a] ^ hashes[b]) & (2**64 - 1)).bit_count() <= NEAR
            assert not near or frozenset((a + 1, b + 1)) in together


def test_a_burst_is_one_fold():
    """Frames of one individual within seconds belong together, transitively; later or unlike ones do not."""
    far = flipped(HASH, *range(20, 21 + BURST))
    gallery = made(
        (1, 1, 1, HASH, 100),
        (1, 1, 2, flipped(HASH, 0, 1, 2, 3), 100 + BURST_SECONDS),
        (1, 1, 3, HASH, 100 + 2 * BURST_SECONDS),
        (1, 1, 4, HASH, 131),
        (1, 1, 5, far, 101),
        (1, 1, 6, HASH, UNTIMED),
    )
    assert gallery.fold.tolist() == [1, 1, 1, 4, 5, 6]
    assert burst_groups(gallery) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("left", "right", "together"),
    [
        ((1, 1), (1, 2), True),
        ((1, 1), (2, 2), False),
        ((1, 1), (NOBODY, 1), False),
        ((NOBODY, 1), (NOBODY, 1), True),
        ((NOBODY, 1), (NOBODY, 2), False),
        ((NOBODY, NOBODY), (NOBODY, NOBODY), False),
    ],
    ids=["one individual", "two", "named and unnamed", "one encounter", "two encounters", "nothing known"],
)
@pytest.mark.parametrize("image", [1, 2], ids=["one photograph", "two"])
def test_a_fold_holds_one_animal(left, right, together, image):
    """Same photograph or same moment: only annotations that are known to show one animal are folded."""
    gallery = made((*left, 1, HASH, 100), (*right, image, HASH, 101))
    assert (gallery.fold.tolist() == [1, 1]) is together
    assert (burst_groups(gallery) == [[1, 2]]) is (together and image == 2)


def test_a_film_is_compared_with_the_frames_that_follow():
    """Hundreds of frames in a second are joined frame by frame."""
    gallery = made(*((1, 1, row, HASH, 100 + row // 100) for row in range(300)))
    assert set(gallery.fold.tolist()) == {1}
