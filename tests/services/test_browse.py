"""Browse: what the catalogue holds, and pictures without their metadata."""

import io

import pytest
from PIL import Image

from app.domain.catalogue import Box
from app.domain.errors import BadFormat, Corrupt, UnknownAnnotation, UnknownImage, UnknownIndividual
from tests.fakes import World, photo, sighting


@pytest.fixture
def world() -> World:
    made = World()
    made.survey(whales=2)
    return made


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_individuals_come_by_name_in_pages(world):
    """A page holds those behind a name."""
    browse = world.services.browse
    assert [one.name for one in browse.individuals(limit=1)] == ["whale1"]
    assert [one.name for one in browse.individuals(after="whale1")] == ["whale2"]


def test_an_individual_comes_with_its_annotations(world):
    """The summary counts what the list holds."""
    summary, annotations = world.services.browse.individual("whale2")
    assert (summary.annotations, len(annotations)) == (3, 3)


def test_an_annotation_is_found_by_either_of_its_names(world):
    """The database key and the image_id of the sheet lead to the same annotation."""
    browse = world.services.browse
    assert browse.annotation(browse.annotation_id("image003")).source_id == "image003"


def test_a_thumbnail_shows_the_box_only(world):
    """A box of the photograph is cut out at its full resolution."""
    world.bring([sighting(90, "whale9", box=Box(10, 20, 30, 15))], [photo(9, size=(400, 600))], "folder:more")
    assert opened(world.services.browse.thumbnail(7)).size == (30, 15)


def test_pictures_are_bounded(world):
    """A thumbnail has at most 320 pixels on its longest side, a rendition 2,048, whatever the original has."""
    content = photo(9, size=(1200, 2400))
    world.bring([sighting(90, "whale9")], [content], "folder:more")
    browse = world.services.browse
    assert opened(browse.thumbnail(7)).size == (160, 320)
    assert opened(browse.rendition(browse.annotation(7).image.sha256)).size == (1024, 2048)
    assert opened(browse.preview(content)).format == "JPEG"
    assert opened(browse.preview(content)).size == (160, 320)


def test_what_is_not_there_is_told_by_its_kind(world):
    """Each unknown thing has an error of its own."""
    browse = world.services.browse
    with pytest.raises(UnknownIndividual):
        browse.individual("nobody")
    with pytest.raises(UnknownAnnotation):
        browse.annotation_id("never")
    with pytest.raises(UnknownAnnotation):
        browse.thumbnail(99)
    with pytest.raises(UnknownImage):
        browse.rendition("0" * 64)
    with pytest.raises(BadFormat):
        browse.preview(b"text")


def test_a_damaged_original_is_never_shown(world):
    """Its bytes no longer match its name: neither thumbnail nor rendition is made of them."""
    sha256 = world.services.browse.annotation(1).image.sha256
    world.blobs.stored[sha256] = photo(8)
    with pytest.raises(Corrupt):
        world.services.browse.thumbnail(1)
    with pytest.raises(Corrupt):
        world.services.browse.rendition(sha256)
