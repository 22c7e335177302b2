"""Re-rankers: each formula against a naive loop over the same numbers."""

import math

import numpy as np
import pytest

from app.domain.profiles import Augment, Expand, Profile, Reciprocal, Vouch
from app.domain.rerank import among, augment, expand, likeness, reciprocal, reranked, uncrowded, vouch
from tests.fakes_index import unit_vectors


def unit(vector):
    return vector / math.sqrt(sum(number * number for number in vector))


def cosine(one, other) -> float:
    return float(sum(a * b for a, b in zip(one.astype(float), other.astype(float), strict=True)))


def sparse(query, gallery, profile):
    """Re-ranked in a gallery without crowds."""
    return reranked(query, gallery, np.zeros(len(gallery)), profile)


@pytest.fixture
def vectors():
    """Thirty vectors that lean one way, so that most cosines are above zero."""
    rows = unit_vectors(30, 16, 5) + 0.2
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_likeness_is_the_cosine_whatever_is_compared_beside_it(vectors):
    """Within rounding the inner product; to the last bit the same alone, in another order or among thousands."""
    query = vectors[0]
    found = likeness(query, vectors)
    assert found == pytest.approx([cosine(query, other) for other in vectors], abs=1e-6)
    assert likeness(query, vectors[7:8])[0] == found[7]
    assert likeness(query, np.repeat(vectors[::-1], 200, axis=0))[::200][::-1].tolist() == found.tolist()
    assert among(vectors)[3].tolist() == likeness(vectors[3], vectors).tolist()
    assert among(vectors[:0]).shape == (0, 0)


def test_a_query_moves_towards_its_best_answers(vectors):
    """unit(q + sum of max(0, cosine)^power x answer); an answer on the other side does not pull."""
    query, best = vectors[0], np.stack([vectors[1], vectors[2], -vectors[0]])
    wanted = query.astype(float)
    for answer in best[:2]:
        wanted = wanted + max(0.0, cosine(query, answer)) ** 3 * answer
    assert expand(query, best, Expand(3, 3.0)) == pytest.approx(unit(wanted), abs=1e-6)


def test_an_annotation_moves_towards_its_neighbours(vectors):
    """Every vector with its own neighbours; places filled up with zeros change nothing."""
    near = np.stack([[vectors[1], vectors[2]], [vectors[3], np.zeros(16, np.float32)]])
    moved, crowds = augment(vectors[[0, 5]], near, Augment(2, 2.0))
    for row, (own, others) in enumerate([(0, [1, 2]), (5, [3])]):
        assert crowds[row] == pytest.approx(sum(max(0.0, cosine(vectors[own], vectors[i])) for i in others) / 2)
        wanted = vectors[own] + sum(cosine(vectors[own], vectors[i]) ** 2 * vectors[i] for i in others)
        assert moved[row] == pytest.approx(unit(wanted), abs=1e-6)


def test_a_crowd_is_taken_off_a_likeness():
    """What is near to its neighbours loses that much of its likeness; nothing falls below -1."""
    stage = Augment(crowding=0.5)
    assert uncrowded(np.array([0.6, 0.6, -0.9]), np.array([0.8, 0.0, 0.8]), stage) == pytest.approx([0.2, 0.6, -1.0])
    assert uncrowded(np.array([0.6]), np.array([0.8]), Augment(crowding=0.0)).tolist() == [0.6]


@pytest.mark.parametrize(
    ("stages", "counts"), [((), True), ((Expand(),), True), ((Vouch(),), False), ((Reciprocal(),), False)]
)
def test_a_crowd_counts_where_the_likeness_is_a_cosine_to_the_end(vectors, stages, counts):
    """A crowd of 1 costs `crowding`; behind a stage with a scale of its own nothing is taken off."""
    query, gallery = vectors[0], vectors[1:6]
    profile = Profile("moved", (Augment(crowding=0.1), *stages))
    alone, crowded = (reranked(query, gallery, crowds, profile) for crowds in (np.zeros(5), np.ones(5)))
    assert crowded == pytest.approx(np.maximum(alone - 0.1, -1.0) if counts else alone)


def test_the_first_place_counts_query_and_two_best_answers():
    """0.4 s(q, x)^7 + 0.4 s(a, x)^7 + 0.2 s(b, x)^7 over cosines clipped at zero: the best one keeps at least 0.4."""
    query, first, second = np.array([0.5, 0.9, -0.3]), np.array([1.0, 0.2, 0.4]), np.array([0.2, 1.0, -1.0])
    found = vouch(query, first, second, Vouch())
    for x in range(3):
        parts = [max(0.0, values[x]) ** 7 for values in (query, first, second)]
        assert found[x] == pytest.approx(0.4 * parts[0] + 0.4 * parts[1] + 0.2 * parts[2])
    assert found[0] >= 0.4


def published(query, gallery, near: int, nearer: int, keep: float) -> list[float]:
    """k-reciprocal encoding with loops and sets, as the paper tells it, over one query and its gallery."""
    vectors = np.vstack([query[None], gallery]).astype(float)
    size = len(vectors)
    distance = [[2 - 2 * cosine(a, b) for b in vectors] for a in vectors]
    distance = [[value / max(row) for value in row] for row in distance]
    order = [sorted(range(size), key=lambda j, row=row: (row[j], j)) for row in distance]

    def mutual(row: int, k: int) -> set[int]:
        return {j for j in order[row][: k + 1] if row in order[j][: k + 1]}

    encoded = []
    for row in range(size):
        base = mutual(row, near)
        grown = set(base)
        for member in base:
            half = mutual(member, round(near / 2))
            if len(half & base) > 2 / 3 * len(half):
                grown |= half
        weights = [math.exp(-distance[row][j]) if j in grown else 0.0 for j in range(size)]
        encoded.append([weight / sum(weights) for weight in weights])
    if nearer > 1:
        encoded = [
            [sum(encoded[j][c] for j in order[row][:nearer]) / nearer for c in range(size)] for row in range(size)
        ]
    out = []
    for x in range(1, size):
        least = sum(min(a, b) for a, b in zip(encoded[0], encoded[x], strict=True))
        most = sum(max(a, b) for a, b in zip(encoded[0], encoded[x], strict=True))
        out.append(1 - 2 * ((1 - keep) * (1 - least / most) + keep * distance[0][x]))
    return out


@pytest.mark.parametrize("nearer", [1, 3])
def test_k_reciprocal_is_as_published(vectors, nearer):
    """Jaccard distance of expanded k-reciprocal sets, beside the first distance."""
    query, gallery = vectors[0], vectors[1:]
    stage = Reciprocal(near=6, nearer=nearer, keep=0.3)
    found = reciprocal(likeness(query, gallery), among(gallery), stage)
    assert found == pytest.approx(published(query, gallery, 6, nearer, 0.3), abs=1e-5)


def test_without_a_stage_the_order_is_that_of_the_cosine(vectors):
    """A profile without stages changes nothing."""
    assert sparse(vectors[0], vectors[1:], Profile("plain")).tolist() == likeness(vectors[0], vectors[1:]).tolist()


def test_stages_follow_each_other(vectors):
    """Expansion by the best answers, then the first place's formula around the best of the new order."""
    query, gallery = vectors[0], vectors[1:]
    cosines = likeness(query, gallery)
    moved = expand(query, gallery[np.argsort(-cosines)[:3]], Expand())
    again = likeness(moved, gallery)
    first, second = np.argsort(-again)[:2]
    wanted = 2 * vouch(again, likeness(gallery[first], gallery), likeness(gallery[second], gallery), Vouch()) - 1
    assert sparse(query, gallery, Profile("both", (Expand(), Vouch()))) == pytest.approx(wanted)


def test_behind_the_reciprocal_shortlist_the_order_stays(vectors):
    """Only the best are re-ranked; whatever came behind them stays behind them, in its order and above -1."""
    query, gallery = vectors[0], vectors[1:]
    found = sparse(query, gallery, Profile("part", (Reciprocal(shortlist=10, near=4, nearer=2),)))
    before = np.argsort(-likeness(query, gallery))
    assert set(np.argsort(-found)[:10]) == set(before[:10])
    assert np.argsort(-found)[10:].tolist() == before[10:].tolist()
    assert found.min() >= -1


@pytest.mark.parametrize("stage", [Expand(), Vouch(), Reciprocal()])
@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_small_gallery_is_no_fault(vectors, stage, size):
    """Fewer answers than a stage would like give as many likenesses as there are answers, all in [-1, 1]."""
    found = sparse(vectors[0], vectors[1 : 1 + size], Profile("small", (stage,)))
    assert found.shape == (size,)
    assert (np.abs(found) <= 1 + 1e-6).all()
