"""Rank by days: what the photographs of a survey day share, and the bonus of the query's own day."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.partition import UNDATED, VIEWPOINTS
from app.domain.profiles import Augment, Centre, Expand, Occasion, Profile, Spread
from app.services.looks import Looks
from app.services.rank import Questions, listed, listed_together, rank
from tests.fakes import World, one_space, photo, sighting, two_spaces
from tests.fakes_index import FakeSource, NumpySnapshot, Shown, unit_vectors

TOP = Viewpoint.TOP
MOVED = (Augment(3), Expand(2))
DATED = Profile("dated", (Centre(prior=2.0), *MOVED, Occasion(), Spread()))
TIMELESS = Profile("timeless", (*MOVED, Spread()))
PLAIN = Profile("plain", (Centre(prior=2.0), Occasion(0.1)))


@pytest.fixture
def gathered():
    """Sixty photographs of ten whales, from the top and the left, on three days; every seventh is not dated."""
    world = World(one_space())
    rows = [
        sighting(
            row,
            f"whale{row % 10}",
            viewpoint=TOP if row % 3 else Viewpoint.LEFT,
            taken=datetime(2019, 7, 1 + row // 20) if row % 7 else None,
        )
        for row in range(2, 62)
    ]
    world.bring(rows, [photo(row % 10, row) for row in range(2, 62)])
    snapshot = world.index.current()
    return snapshot, world.embedder.ensemble, np.flatnonzero(snapshot.gallery.viewpoint == VIEWPOINTS.index(TOP))


def asked(snapshot, rows, days=None, viewpoint=TOP) -> Questions:
    gallery = snapshot.gallery
    vectors = {space: snapshot.vectors(space, gallery.annotation[rows]) for space in snapshot.fingerprints}
    return Questions(viewpoint, vectors, gallery.image[rows], day=gallery.day[rows] if days is None else days)


def told(found):
    return [(one.annotations.tobytes(), one.likeness.tobytes(), one.folded) for one in found]


def test_a_query_of_an_unknown_day_is_answered_as_without_the_stages(gathered):
    """To the last bit, whether no day is told or it is told as unknown."""
    snapshot, ensemble, rows = gathered
    everything = np.ones(len(snapshot.gallery), np.bool_)
    plain = told(listed(snapshot, ensemble, asked(snapshot, rows), everything, 9, TIMELESS))
    unknown = asked(snapshot, rows, np.full(len(rows), UNDATED))
    nothing = Questions(TOP, unknown.vectors, unknown.own)
    for questions in (unknown, nothing):
        assert told(listed(snapshot, ensemble, questions, everything, 9, DATED)) == plain


@pytest.mark.parametrize("profile", [DATED, PLAIN], ids=lambda one: one.name)
def test_queries_of_known_and_unknown_days_do_not_touch_each_other(gathered, profile):
    """Asked together, in another order or alone, each has the same answer to the last bit."""
    snapshot, ensemble, rows = gathered
    everything = np.ones(len(snapshot.gallery), np.bool_)
    together = told(listed(snapshot, ensemble, asked(snapshot, rows), everything, 9, profile))
    assert (snapshot.gallery.day[rows] == UNDATED).any()
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = told(listed(snapshot, ensemble, asked(snapshot, rows[order]), everything, 9, profile))
    assert shuffled == [together[at] for at in order]
    for at in range(0, len(rows), 5):
        assert told(listed(snapshot, ensemble, asked(snapshot, rows[[at]]), everything, 9, profile)) == [together[at]]


@pytest.mark.parametrize("profile", [DATED, PLAIN], ids=lambda one: one.name)
def test_the_own_photograph_is_no_part_of_its_day(gathered, profile):
    """A catalogued query is answered as if its photograph were not in the gallery."""
    snapshot, ensemble, rows = gathered
    everything = np.ones(len(snapshot.gallery), np.bool_)
    found = listed(snapshot, ensemble, asked(snapshot, rows), everything, 60, profile)
    for at, row in enumerate(rows.tolist()):
        without = everything & (np.arange(len(everything)) != row)
        (wanted,) = listed(snapshot, ensemble, asked(snapshot, rows[[at]]), without, 60, profile)
        assert found[at].annotations.tolist() == wanted.annotations.tolist()
        assert found[at].likeness == pytest.approx(wanted.likeness)


def test_the_scope_decides_what_a_day_shares(gathered):
    """With other photographs of its day left out, the same two photographs are compared otherwise."""
    snapshot, ensemble, rows = gathered
    gallery, profile = snapshot.gallery, Profile("centred", (Centre(prior=2.0),))
    dated = rows[gallery.day[rows] != UNDATED]
    row, other = dated[gallery.day[dated] == gallery.day[dated[4]]][:2]
    everything, questions = np.ones(len(gallery), np.bool_), asked(snapshot, np.array([row]))
    few = everything & ((gallery.day != gallery.day[row]) | (np.arange(len(gallery)) <= other))
    likeness = []
    for mask in (everything, few):
        (found,) = listed(snapshot, ensemble, questions, mask, 60, profile)
        likeness.append(found.likeness[found.annotations == gallery.annotation[other]].item())
    assert abs(likeness[0] - likeness[1]) > 1e-3


def test_a_view_that_is_not_known_is_compared_as_it_is(gathered):
    """Only the bonus of the day is left; other views are compared raw with any query."""
    snapshot, ensemble, rows = gathered
    gallery, everything = snapshot.gallery, np.ones(len(snapshot.gallery), np.bool_)
    dated = rows[gallery.day[rows] != UNDATED][:4]
    unknown = asked(snapshot, dated, viewpoint=Viewpoint.UNKNOWN)
    bonus = Profile("bonus", (Occasion(0.1),))
    both, alone = (listed(snapshot, ensemble, unknown, everything, 60, one) for one in (PLAIN, bonus))
    assert told(both) == told(alone)
    lefts = gallery.viewpoint == VIEWPOINTS.index(Viewpoint.LEFT)
    both, alone = (listed(snapshot, ensemble, asked(snapshot, dated), lefts, 60, one) for one in (PLAIN, bonus))
    assert told(both) == told(alone)


def test_photographs_of_several_views_are_each_asked_with_their_day(gathered):
    """A side without a day is as if the stages were not there; both sides have a say in every likeness."""
    snapshot, ensemble, rows = gathered
    gallery, everything = snapshot.gallery, np.ones(len(snapshot.gallery), np.bool_)
    left = np.flatnonzero((gallery.viewpoint != gallery.viewpoint[rows[0]]) & (gallery.day != UNDATED))[:1]
    everything[[rows[0], left[0]]] = False
    sides = [
        asked(snapshot, rows[:1], np.array([UNDATED])),
        asked(snapshot, left, viewpoint=Viewpoint.LEFT),
    ]
    together = listed_together(snapshot, ensemble, sides, everything, 60, PLAIN)
    parts = [listed(snapshot, ensemble, one, everything, 60, PLAIN)[0] for one in sides]
    for number, likeness in zip(together.annotations.tolist(), together.likeness.tolist(), strict=True):
        each = [float(part.likeness[part.annotations == number][0]) for part in parts if number in part.annotations]
        assert likeness == pytest.approx(np.mean(each))


def made() -> tuple[NumpySnapshot, list[Shown]]:
    """Forty photographs from the top and the left of two years of one day each; some lack a vector in one space."""
    dimensions = {space.name: space.dimension for space in two_spaces().spaces}
    drawn = {name: unit_vectors(40, size, len(name)) + np.float32(0.1) for name, size in dimensions.items()}
    drawn = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in drawn.items()}
    shown = []
    for number in range(40):
        viewpoint = Viewpoint.LEFT if number % 4 == 3 else TOP
        served = ["body"] if viewpoint is Viewpoint.LEFT or number % 7 == 0 else ["body", "back"]
        vectors = {name: drawn[name][number] for name in served}
        shown.append(Shown(number + 1, vectors, viewpoint, 2019 + number % 2))
    source = FakeSource({name: name for name in dimensions})
    source.put(*shown)
    return NumpySnapshot(1, source), shown


def test_centring_equals_brute_force_over_several_spaces():
    """unit(v - sum of the day / (n + prior)) space by space, joined by weight; other views by their plain cosine."""
    snapshot, shown = made()
    weights = {"body": 1 / 1.5, "back": 0.5 / 1.5}
    query = {space.name: unit_vectors(1, space.dimension, 9)[0] for space in two_spaces().spaces}

    def joined(vectors, year):
        parts = []
        for name, weight in weights.items():
            same = [one.vectors[name] for one in shown if (one.viewpoint, one.year) == (TOP, year)
                    and name in one.vectors]  # fmt: skip
            look = np.sum(same, axis=0, dtype=float) / (len(same) + 2.0)
            parts.append(np.sqrt(weight) * (vectors[name] - look if name in vectors else look * 0))
        row, length = np.concatenate(parts), sum(weights[name] for name in vectors)
        return row / np.linalg.norm(row) * np.sqrt(length)

    questions = Questions(TOP, {name: row[None] for name, row in query.items()}, day=np.array([2020 * 365]))
    everything = np.ones(40, np.bool_)
    (found,) = listed(snapshot, two_spaces(), questions, everything, 40, PLAIN)
    likeness = dict(zip(found.annotations.tolist(), found.likeness.tolist(), strict=True))
    assert len(likeness) == 40
    for one in shown:
        cosine = float(query["body"] @ one.vectors["body"])
        if one.viewpoint is TOP:
            cosine = float(joined(query, 2020) @ joined(one.vectors, one.year))
        wanted = cosine + (min(0.1, (1 - cosine) / 2) if one.year == 2020 else 0)
        assert likeness[one.annotation] == pytest.approx(wanted, abs=1e-5)


def test_an_own_box_without_a_day_is_no_part_of_the_days():
    """Another box of the query's own photograph, of no known day, takes nothing away from the vectors of such days."""
    snapshot, _ = made()
    gallery = snapshot.gallery
    day, image = gallery.day.copy(), gallery.image.copy()
    day[[1, 5, 9, 12]], image[1] = UNDATED, image[0]
    snapshot.gallery = replace(gallery, day=day, image=image)
    vectors, without = {"body": snapshot.vectors("body", gallery.annotation[:1])}, image != image[0]
    questions = Questions(TOP, vectors, image[:1], day=day[:1])
    (found,) = listed(snapshot, two_spaces(), questions, np.ones(40, np.bool_), 40, PLAIN)
    (wanted,) = listed(snapshot, two_spaces(), replace(questions, own=None), without, 40, PLAIN)
    assert found.annotations.tolist() == wanted.annotations.tolist()
    assert found.likeness == pytest.approx(wanted.likeness)


def test_a_day_that_the_gallery_lacks_leaves_the_query_as_it_is():
    """Nothing is taken out of it, and nobody gains."""
    snapshot, _ = made()
    query = {space.name: unit_vectors(1, space.dimension, 9) for space in two_spaces().spaces}
    lefts = snapshot.gallery.viewpoint == VIEWPOINTS.index(Viewpoint.LEFT)
    for mask in (lefts, ~lefts):
        stranger = Questions(TOP, query, day=np.array([1]))
        found = rank(snapshot, two_spaces(), stranger, mask, 10, Profile("weak", (Centre(0.0), Occasion(1.0))))
        plain = rank(snapshot, two_spaces(), stranger, mask, 10)
        assert found.annotations.tolist() == plain.annotations.tolist()
        assert found.cosines.tolist() == plain.cosines.tolist()


def test_nothing_is_taken_out_of_no_photographs(gathered):
    """A ground of which nothing was proposed gives no vectors, and is no fault."""
    snapshot, ensemble, _ = gathered
    looks = Looks(snapshot, ensemble.spaces, VIEWPOINTS.index(TOP), snapshot.gallery.viewpoint >= 0, Centre())
    nobody = np.zeros(0, np.int64)
    none = np.zeros((0, ensemble.spaces[0].dimension), np.float32)
    assert looks.without(none, nobody, nobody).shape == none.shape
