"""Extract: the vectors that are searched now, with what is known of each annotation."""

from pathlib import Path

import numpy as np
import pytest

from app.domain.catalogue import Viewpoint
from app.domain.errors import IndexUnavailable, InvalidInput
from app.domain.vector_table import VectorTable
from tests.fakes import World, photo, sighting, two_spaces

FILE = Path("vectors.npz")


def test_every_annotation_has_its_row():
    """Names, viewpoints and vectors stand in one order, and are read back from the columns as they were written."""
    world = World()
    annotations = world.survey(whales=2, shots=2)
    made = world.services.extract(FILE)
    assert made.image_ids.tolist() == [one.source_id for one in annotations]
    assert made.individuals.tolist() == ["whale1", "whale1", "whale2", "whale2"]
    assert made.encounters.tolist() == [one.encounter for one in annotations]
    assert set(made.viewpoints.tolist()) == {"top"}
    (space,) = world.embedder.ensemble.spaces
    ids = np.array([one.annotation_id for one in annotations])
    expected = world.index.current().vectors(space.name, ids)
    again = VectorTable.of(world.written[FILE])
    for table in (made, again):
        np.testing.assert_array_equal(table.spaces[space.name], expected)
        assert table.manifest_sha256 == world.embedder.ensemble.manifest_sha256
    assert again.individuals.tolist() == made.individuals.tolist()
    assert len(again) == 4


def test_what_is_not_known_is_empty_and_what_was_removed_is_left_out():
    """An annotation without individual and encounter has empty names; one that the catalogue no longer has, no row."""
    world = World()
    world.bring([sighting(2, None, encounter=None), sighting(3, "whale2")], [photo(1), photo(2)])
    keep = world.catalogue.annotations
    world.catalogue.annotations = lambda ids: {k: v for k, v in keep(ids).items() if k == 1}
    made = world.services.extract(FILE)
    assert (made.individuals.tolist(), made.encounters.tolist()) == ([""], [""])


def test_a_space_that_serves_no_view_of_the_catalogue_has_rows_of_zeros():
    """A left view has its vector in the space that serves it, and zeros in the one that does not."""
    world = World(two_spaces())
    world.bring([sighting(2, "whale1", viewpoint=Viewpoint.LEFT)], [photo(1)])
    body, back = world.services.extract(FILE).spaces.values()
    assert np.linalg.norm(body[0]) == pytest.approx(1.0)
    assert back.tolist() == [[0.0] * back.shape[1]]


def test_nothing_is_written_before_anything_is_indexed():
    """An empty catalogue has no vectors to write."""
    world = World()
    with pytest.raises(IndexUnavailable):
        world.services.extract(FILE)
    assert not world.written


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"individuals": None}, "lack the column 'individuals'"),
        ({"encounters": np.array(["one"])}, "differ in length"),
        ({"vectors:all": np.zeros(2)}, "no table"),
        ({"image_ids": np.array("a")}, "no list"),
        ({"viewpoints": np.array(["top", "above"])}, "the viewpoint 'above'"),
    ],
)
def test_a_file_that_is_none_of_ours_says_why(change, fault):
    """A missing column, columns of different lengths or shapes and a viewpoint that we do not know are named."""
    columns = dict.fromkeys(("image_ids", "individuals", "encounters", "viewpoints"), np.array(["top", "left"]))
    arrays = {"manifest_sha256": np.array("0"), **columns, "vectors:all": np.zeros((2, 3))}
    assert VectorTable.of(arrays).spaces["all"].shape == (2, 3)
    with pytest.raises(InvalidInput, match=fault):
        VectorTable.of({name: column for name, column in (arrays | change).items() if column is not None})
