"""Individuals, annotations and pictures over HTTP."""

from datetime import datetime

import pytest

from app.domain.catalogue import Box, CaptureDate, DatePrecision
from app.web.shapes import date_text
from tests.fakes import photo, sighting


def test_individuals_come_in_pages(client):
    """Following ``next`` visits each individual once and ends with null."""
    address, found = "/individuals?limit=3", []
    while address:
        page = client.get(address).json()
        found += [individual["name"] for individual in page["individuals"]]
        address = page["next"]
    assert found == ["whale1", "whale2", "whale3", "whale4"]


def test_a_full_last_page_has_no_next(client):
    """There is no empty page behind the last one."""
    assert client.get("/individuals?limit=4").json()["next"] is None


def test_an_individual_comes_with_what_was_seen_of_it(client):
    """Its annotations are listed whole."""
    answer = client.get("/individuals/whale2").json()
    assert (answer["annotations"], answer["encounters"], answer["viewpoints"]) == (3, 2, ["top"])
    assert [one["individual"] for one in answer["seen"]] == ["whale2"] * 3


def test_an_annotation_tells_box_and_image(client, world):
    """Pixels of the upright image."""
    world.bring([sighting(90, "whale9", box=Box(1, 2, 30, 40))], [photo(9)], "folder:more")
    answer = client.get("/annotations/13").json()
    assert answer["box"] == {"x": 1, "y": 2, "width": 30, "height": 40}
    assert answer["image_size"] == {"width": 48, "height": 64}
    assert answer["image"] == f"/images/{answer['image_sha256']}"
    assert client.get("/annotations/1").json()["box"] is None


@pytest.mark.parametrize(
    ("precision", "text"),
    [
        (DatePrecision.SECOND, "2019-07-05T14:03:09"),
        (DatePrecision.DAY, "2019-07-05"),
        (DatePrecision.MONTH, "2019-07"),
        (DatePrecision.YEAR, "2019"),
    ],
)
def test_a_date_is_told_as_exactly_as_it_is_known(precision, text):
    """No invented day, no invented time."""
    assert date_text(CaptureDate(datetime(2019, 7, 5, 14, 3, 9), precision)) == text


def test_an_unknown_date_is_null(client, world):
    """And its precision says so."""
    world.bring([sighting(90, "whale9", taken=None)], [photo(9)], "folder:more")
    answer = client.get("/annotations/13").json()
    assert (answer["date"], answer["date_precision"]) == (None, "unknown")


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/individuals/nobody", 404, "unknown_individual"),
        ("/individuals?limit=0", 422, "invalid_input"),
        ("/individuals?after=" + "x" * 201, 422, "invalid_input"),
        ("/annotations/99", 404, "unknown_annotation"),
        ("/annotations/x", 422, "invalid_input"),
        ("/annotations/" + "9" * 40, 422, "invalid_input"),
        ("/annotations/99/thumbnail", 404, "unknown_annotation"),
        ("/images/" + "0" * 64, 404, "unknown_image"),
        ("/images/../../etc/passwd", 404, "no_route"),
        ("/images/" + "Z" * 64, 422, "invalid_input"),
    ],
)
def test_what_is_not_there_is_told(client, address, status, code):
    """Each kind of thing has a code of its own."""
    answer = client.get(address)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_damaged_original_is_not_shown(client, world):
    """503 and a code; no picture is made of other bytes."""
    world.blobs.stored[world.catalogue.annotation(1).image.sha256] = photo(8)
    answer = client.get("/annotations/1/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (503, "corrupt")
