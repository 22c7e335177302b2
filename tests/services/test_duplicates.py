"""Duplicates: told from the generation that answers."""

from datetime import datetime

import pytest

from app.domain.catalogue import CaptureDate, DatePrecision
from app.domain.curation import Signature
from app.domain.duplicates import Flagged
from app.domain.errors import IndexUnavailable
from tests.fakes import FakeSheet, World, photo, sighting


@pytest.fixture
def world() -> World:
    """A photograph, a copy of it under another name and in another format, a frame a second later, and a stranger."""
    made = World()
    rows = [
        sighting(2, "whale1", captured=_at(0)),
        sighting(3, "whale2", captured=_at(0)),
        sighting(4, "whale1", captured=_at(1)),
        sighting(5, "whale3", captured=_at(0)),
    ]
    made.bring(rows, [photo(1), photo(1, kind="WEBP"), photo(1, kind="TIFF"), photo(7)])
    return made


def _at(second: int) -> CaptureDate:
    return CaptureDate(datetime(2019, 7, 1, 12, 0, second), DatePrecision.SECOND)


def test_copies_are_near_and_frames_are_a_burst(world):
    """The import keeps a hash of each photograph: copies are told of each other, frames of one animal are a burst."""
    duplicates = world.services.duplicates
    assert {one.annotation_id for one in duplicates.near(1)} == {2, 3}
    groups = duplicates.groups()
    assert [[one.annotation_id for one in group] for group in groups.near] == [[1, 2, 3]]
    assert [[one.annotation_id for one in group] for group in groups.bursts] == [[1, 3]]


def test_an_import_tells_how_many_it_brought_are_flagged(world):
    """Its own annotations are counted, against the whole catalogue; not known is not none."""
    duplicates, report = world.services.duplicates, world.catalogue.import_report
    assert duplicates.of_import(report(1)) == Flagged(near_duplicates=3, bursts=2)
    rows = [
        sighting(2, "whale1", source_id="again", captured=_at(2)),
        sighting(3, "whale9", source_id="other", captured=_at(2)),
    ]
    second = world.bring(rows, [photo(1, kind="JPEG"), photo(9)], "folder:more")
    assert duplicates.of_import(report(second)) == Flagged(near_duplicates=1, bursts=1)
    world.opened["folder:waits"] = FakeSheet([sighting(2, "whale5", source_id="waits")], {"002.png": photo(5)})
    assert duplicates.of_import(report(world.begin("folder:waits"))) is None
    world.index._current = None
    assert duplicates.of_import(report(1)) is None


def test_what_was_removed_meanwhile_is_in_no_group(world):
    """A group that is left with one annotation is none."""
    stale = world.index.current()
    for number in (2, 3):
        held = world.catalogue.kept(number)
        world.services.curate.remove(number, revision=held.revision, signature=Signature())
    world.index._current = stale
    assert world.services.duplicates.groups().near == ()


def test_without_an_index_nothing_is_told(world):
    """Not known is not none."""
    world.index._current = None
    assert world.services.duplicates.near(1) is None
    with pytest.raises(IndexUnavailable):
        world.services.duplicates.groups()


def test_an_older_catalogue_gets_its_hashes(world):
    """A reindex computes what is lacking; a photograph that is damaged has no hash and stops nothing."""
    world.blobs.stored[world.catalogue.annotation(4).image.sha256] = b"spoilt"
    for sha256 in list(world.catalogue.image_shas()):
        world.catalogue.add_hashes({sha256: None})
    assert world.services.reindex().gallery.phash.tolist()[3] == 0
    assert {one.annotation_id for one in world.services.duplicates.near(1)} == {2, 3}
    assert world.catalogue.unhashed(10) == []
