"""Wildbook's bulk-import sheet."""

from datetime import date, datetime

import pytest

from app.domain import wildbook
from app.domain.catalogue import CaptureDate, DatePrecision, Sighting, Viewpoint
from app.domain.errors import Fault
from app.domain.sheet import sheet_layout, stream_sightings

SHEET = {
    "Encounter.mediaAsset0": "DSC_1.jpg",
    "Encounter.mediaAsset0.keywords": "left; dorsal",
    "Encounter.mediaAsset1": "DSC_2.jpg",
    "Encounter.year": "2019",
    "Encounter.month": "8",
    "Encounter.day": "5",
    "Encounter.hour": "16",
    "Encounter.minutes": "4",
    "Encounter.sightingID": "group-7",
    "MarkedIndividual.individualID": "Nanuk",
    "Encounter.individualID": "",
    "Encounter.viewpoint": "",
    "Encounter.mediaAsset1.sha256": "",
    "Encounter.locationID": "Knik Arm",
}


def read(*changes: dict[str, str]) -> list[Sighting | Fault]:
    lines = [",".join(SHEET), *(",".join((SHEET | change).values()) for change in changes)]
    return list(stream_sightings(["\n".join(lines).encode()], absent=lambda path: None, today=date(2026, 11, 22)))


def test_a_line_is_an_encounter_with_several_photographs():
    """Each photograph is a row of its own on the same line, named by its file; the side is a keyword's."""
    taken = CaptureDate(datetime(2019, 8, 5, 16, 4), DatePrecision.SECOND)
    facts = (taken, "Nanuk", "group-7/Nanuk", None)
    assert read({}, {"Encounter.mediaAsset0": "DSC_3.jpg", "Encounter.mediaAsset1": ""})[:2] == [
        Sighting("DSC_1.jpg", "DSC_1.jpg", Viewpoint.LEFT, *facts, row=1, line=2),
        Sighting("DSC_2.jpg", "DSC_2.jpg", Viewpoint.UNKNOWN, *facts, row=2, line=2),
    ]
    third = read({}, {"Encounter.mediaAsset0": "DSC_3.jpg", "Encounter.mediaAsset1": ""})[2]
    assert isinstance(third, Sighting)
    assert (third.row, third.line) == (3, 3)


def test_what_has_no_place_is_named():
    """Columns that are not taken over are listed, as the sheet spells them."""
    layout = sheet_layout([",".join(SHEET).encode()])
    assert layout.ignored == ("Encounter.locationID",)
    assert (layout.column("encounter_id"), layout.column("whale_id")) == (
        "Encounter.sightingID",
        "MarkedIndividual.individualID",
    )
    bare = sheet_layout([b"Encounter.mediaAsset0,Encounter.catalogNumber,Encounter.individualID"])
    assert (bare.column("encounter_id"), bare.column("whale_id")) == (
        "Encounter.catalogNumber",
        "Encounter.individualID",
    )
    assert bare.column("date") == "encounter.year"


@pytest.mark.parametrize(
    ("changes", "individual", "encounter"),
    [
        ({"MarkedIndividual.individualID": "", "Encounter.individualID": "Ana"}, "Ana", "group-7/Ana"),
        ({"Encounter.individualID": "Nanuk"}, "Nanuk", "group-7/Nanuk"),
        ({"MarkedIndividual.individualID": "Unidentified"}, None, "DSC_1.jpg"),
        ({"Encounter.sightingID": ""}, "Nanuk", "DSC_1.jpg"),
    ],
)
def test_names_of_individual_and_encounter(changes, individual, encounter):
    """The marked individual goes first; a group of animals is one encounter for each of them, always the same."""
    said = read(changes)[0]
    assert isinstance(said, Sighting)
    assert (said.individual, said.encounter) == (individual, encounter)


def test_a_catalogue_number_names_the_encounter():
    """Where Wildbook has a name for an encounter, it is kept."""
    lines = [b"Encounter.mediaAsset0,Encounter.catalogNumber,Encounter.sightingID\na.jpg,e-1,group\n"]
    said = next(stream_sightings(lines, absent=lambda path: None, today=date.max))
    assert isinstance(said, Sighting)
    assert (said.encounter, said.captured) == ("e-1", CaptureDate())


@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({"Encounter.minutes": ""}, DatePrecision.SECOND),
        ({"Encounter.hour": "", "Encounter.minutes": ""}, DatePrecision.DAY),
        ({"Encounter.hour": "", "Encounter.minutes": "", "Encounter.day": ""}, DatePrecision.MONTH),
    ],
)
def test_a_date_is_known_as_far_as_it_is_told(changes, precision):
    """Hours without minutes are full hours."""
    said = read(changes)[0]
    assert isinstance(said, Sighting)
    assert said.captured.precision is precision


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"Encounter.mediaAsset0": "", "Encounter.mediaAsset1": ""}, "Encounter.mediaAsset0", "no photograph"),
        ({"Encounter.mediaAsset1": "../a.jpg"}, "Encounter.mediaAsset1", "leaves the folder"),
        ({"Encounter.month": ""}, "Encounter.year", "gap"),
        ({"Encounter.month": "August"}, "Encounter.year", "whole numbers"),
        ({"Encounter.month": "13"}, "Encounter.year", "calendar"),
        ({"Encounter.year": "2027"}, "Encounter.year", "future"),
        ({"Encounter.individualID": "Ana"}, "MarkedIndividual.individualID", "contradicts"),
        ({"Encounter.sightingID": "x" * 200}, "Encounter.sightingID", "more than 200"),
        ({"Encounter.mediaAsset0.keywords": "left right"}, "Encounter.mediaAsset0.keywords", "two viewpoints"),
        ({"Encounter.mediaAsset1.sha256": "x"}, "Encounter.mediaAsset1.sha256", "SHA-256"),
    ],
)
def test_a_fault_refuses_its_line(changes, column, reason):
    """Each fault names its column; no photograph of the line is taken."""
    found = read(changes)
    assert len(found) == 1
    assert isinstance(found[0], Fault)
    assert (found[0].row, found[0].column) == (2, column)
    assert reason in found[0].reason


def test_the_side_of_a_line_counts_for_photographs_without_their_own():
    """A keyword of the photograph goes before the viewpoint of the encounter."""
    sides = [said.viewpoint for said in read({"Encounter.viewpoint": "up"}) if isinstance(said, Sighting)]
    assert sides == [Viewpoint.LEFT, Viewpoint.TOP]


def test_a_line_has_a_limit_of_photographs(monkeypatch):
    """A header with endless columns of photographs is refused."""
    monkeypatch.setattr(wildbook, "MAX_PHOTOGRAPHS", 1)
    assert isinstance(read({})[0], Fault)
