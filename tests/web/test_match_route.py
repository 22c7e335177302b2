"""POST /match: fields to a question, a result to JSON."""

import hashlib
from datetime import datetime

import pytest

from app.domain.catalogue import Viewpoint
from app.domain.own_profiles import own_profiles
from app.domain.profiles import use_own
from tests.fakes import photo, sighting

UPLOAD = {"image": ("whale.png", photo(2, 9), "image/png")}


def ask(client, files=UPLOAD, **fields):
    return client.post("/match", files=files, data=fields)


def test_a_photograph_is_answered_with_candidates_and_receipt(client):
    """Every field that a biologist needs stands in the answer."""
    answer = ask(client, viewpoint="top", date="2019-07-20", limit="3").json()
    best = answer["candidates"][0]
    assert best["individual"] == "whale2"
    assert [candidate["rank"] for candidate in answer["candidates"]] == [1, 2, 3]
    assert best.keys() == {
        "rank", "score", "probability_same", "individual", "viewpoint", "date", "date_precision", "encounter",
        "annotation_id", "source_id", "thumbnail", "image", "days_between", "same_photograph",
        "same_occasion", "bridge", "folded",
    }  # fmt: skip
    assert (best["date_precision"], len(best["date"])) == ("day", 10)
    assert best["days_between"] == 20 - int(best["date"][-2:])
    receipt = answer["receipt"]
    assert receipt["queries"] == [
        {
            "sha256": hashlib.sha256(photo(2, 9)).hexdigest(),
            "annotation_id": None,
            "viewpoint": "top",
            "day": "2019-07-20",
        }
    ]
    assert receipt["notes"] == []
    assert (receipt["gallery"], receipt["searched"], receipt["removed"]) == (12, 12, {})
    assert receipt["ensemble"]["members"].keys() == {"coarse"}
    assert receipt["scope"]["viewpoints"] == sorted(Viewpoint)


def test_the_day_decides_between_like_photographs(client, world):
    """Whoever was photographed on the day that is asked about goes first, and says why; without a day nobody does."""
    days = {"rowan": 3, "birch": 9}
    rows = [
        sighting(row, name, encounter=name, source_id=name, taken=datetime(2021, 8, day))
        for row, (name, day) in enumerate(days.items(), start=2)
    ]
    world.bring(rows, [photo(77, row) for row in (2, 3)], "folder:two")
    asked = {"image": ("whale.png", photo(77, 9), "image/png")}

    def first(**fields):
        answer = ask(client, asked, viewpoint="top", profile="contest", limit="2", **fields).json()
        return [(one["individual"], one["same_occasion"]) for one in answer["candidates"]], answer["receipt"]["notes"]

    plain, notes = first()
    assert {name for name, _ in plain} == days.keys()
    assert not any(same for _, same in plain)
    assert notes == ["centre and occasion did nothing: its day is not known"]
    for name, day in days.items():
        (other,) = days.keys() - {name}
        assert first(date=f"2021-08-0{day}") == ([(name, True), (other, False)], [])


def test_a_profile_of_ones_own_ranks_and_stands_in_the_receipt(client):
    """With every setting, also those that were not set; one that is no more is refused by name."""
    use_own(own_profiles("[mine]\ncentre.prior = 5\nexpand.neighbours = 5\noccasion = {}\nspread = {}\n"))
    try:
        answer = ask(client, profile="mine")
    finally:
        use_own([])
    assert answer.status_code == 200
    stages = {
        "centre": {"weight": 1.0, "prior": 5.0},
        "expand": {"neighbours": 5, "power": 3.0},
        "occasion": {"gain": 0.15},
        "spread": {},
    }
    assert answer.json()["receipt"]["profile"] == {"name": "mine", "stages": stages}
    refused = ask(client, profile="mine")
    assert refused.status_code == 422
    assert "there are review, contest, cosine, verified" in refused.text


def test_links_of_a_candidate_lead_to_pictures(client):
    """Thumbnail and image are JPEGs."""
    best = ask(client).json()["candidates"][0]
    for link in (best["thumbnail"], best["image"]):
        picture = client.get(link)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert picture.content.startswith(b"\xff\xd8")


def test_an_annotation_is_answered_without_itself(client):
    """An id stands for a stored photograph; its own encounter can be left out."""
    plain = ask(client, files=None, annotation_id="2").json()
    assert 2 not in [candidate["annotation_id"] for candidate in plain["candidates"]]
    assert plain["receipt"]["scope"]["excluded_annotations"] == [2]
    other = ask(client, files=None, annotation_id="2", exclude_own_encounter="true").json()
    assert "whale1-1" not in [candidate["encounter"] for candidate in other["candidates"]]
    assert other["receipt"]["scope"]["excluded_own_encounter"] is True


@pytest.mark.parametrize("years", [["2018,2019", "2020"], ["2018", "2019", "2020"], ["2018, 2019, 2020,"]])
def test_lists_are_repeated_or_separated_by_commas(client, years):
    """Both ways, and both together, name the same scope."""
    answer = ask(client, years=years, viewpoints="top,left").json()
    assert answer["receipt"]["scope"]["years"] == [2018, 2019, 2020]
    assert answer["receipt"]["scope"]["viewpoints"] == ["left", "top"]


def test_the_scope_is_applied_and_told(client):
    """Names, ids and the date window reach the search, and the receipt counts what each took away."""
    answer = ask(
        client,
        exclude_individuals='whale2,"whale3"',
        exclude_encounters="whale1-0",
        exclude_annotations=["2", "3"],
        since="2019-07-01",
        until="2019-12-31",
        group_by="individual",
    ).json()
    assert [candidate["individual"] for candidate in answer["candidates"]] == ["whale4"]
    assert answer["receipt"]["removed"] == {"undated": 0, "date": 0, "encounter": 1, "individual": 6, "annotation": 2}
    assert answer["receipt"]["scope"]["excluded_individuals"] == ["whale2", "whale3"]
    assert answer["receipt"]["group_by"] == "individual"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid_input"),
        ({"annotation_id": "0"}, "invalid_input"),
        ({"annotation_id": "9" * 30}, "invalid_input"),
        ({"annotation_id": "1", "limit": "101"}, "invalid_input"),
        ({"annotation_id": "1", "years": "0"}, "invalid_input"),
        ({"annotation_id": "1", "years": "20x9"}, "invalid_input"),
        ({"annotation_id": "1", "viewpoint": "below"}, "invalid_input"),
        ({"annotation_id": "1", "date": "20.7.2019"}, "invalid_input"),
        ({"annotation_id": "1", "view_point": "top"}, "invalid_input"),
        ({"annotation_id": ["1", "1"]}, "invalid_input"),
        ({"annotation_id": [str(one) for one in range(1, 22)]}, "invalid_input"),
        ({"annotation_id": "1", "date": ["2019-07-20", "2019-07-21"]}, "invalid_input"),
        ({"annotation_id": "1", "viewpoint": ["top", "left"]}, "invalid_input"),
        ({"annotation_id": "1", "exclude_annotations": "9" * 30}, "invalid_input"),
        ({"annotation_id": "1", "exclude_individuals": "a\x00b"}, "invalid_input"),
        ({"annotation_id": "1", "exclude_individuals": "a\nb"}, "invalid_input"),
        ({"annotation_id": "1", "exclude_individuals": "x" * 200_000}, "invalid_input"),
        ({"image": "not a file", "annotation_id": "1"}, "invalid_input"),
        ({"annotation_id": "1", "since": "2020-01-01", "until": "2019-01-01"}, "bad_scope"),
        ({"annotation_id": "1", "exclude_encounters": "never"}, "bad_scope"),
    ],
)
def test_a_question_that_cannot_be_used_is_refused(client, fields, code):
    """422 with a code and a sentence; nothing is guessed."""
    answer = ask(client, files=None, **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"annotation_id": "99"}, 404, "unknown_annotation"),
        ({"annotation_id": "1", "exclude_individuals": "nobody"}, 404, "unknown_individual"),
    ],
)
def test_what_is_not_there_is_told(client, fields, status, code):
    """404 with the kind of thing that is missing."""
    answer = ask(client, files=None, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"GIF89a", 415, "bad_format"),
        (b"", 415, "bad_format"),
        (photo(2, kind="JPEG")[:-200], 422, "bad_image"),
    ],
)
def test_a_photograph_that_cannot_be_used_is_refused(client, content, status, code):
    """A foreign format and a torn file are told apart."""
    answer = ask(client, files={"image": ("a.jpg", content)})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def several(*contents: bytes) -> list:
    return [("image", (f"{place}.png", content)) for place, content in enumerate(contents)]


def test_several_photographs_are_one_question(client):
    """Parts and fields that are repeated are of one animal; each may have its own viewpoint, in their order."""
    answer = ask(client, several(photo(2, 8), photo(2, 9)), annotation_id="5", viewpoint=["top", "left", "top"])
    assert answer.status_code == 200
    told = answer.json()["receipt"]["queries"]
    assert [(one["annotation_id"], one["viewpoint"]) for one in told] == [(None, "top"), (None, "left"), (5, "top")]
    assert 5 not in [one["annotation_id"] for one in answer.json()["candidates"]]
    assert answer.json()["probability_new"] is None


def test_too_many_photographs_are_refused(client):
    """More than twenty in all; of a form with more files still nothing is read."""
    for count, fields in ((21, {}), (20, {"annotation_id": "1"})):
        answer = ask(client, several(*[photo(1)] * count), **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert ask(client, several(*[photo(1)] * 22)).json()["code"] == "bad_request"


def test_a_bad_photograph_among_several_is_named(client):
    """The sentence says which one, by number and by the name of its file."""
    answer = ask(client, several(photo(1), b"GIF89a"))
    assert (answer.status_code, answer.json()["code"]) == (415, "bad_format")
    assert answer.json()["detail"].startswith("photograph 2 of 2 (1.png): ")


def test_a_service_that_is_not_ready_says_when_to_come_back(client, world):
    """503 with Retry-After, and never an empty list of candidates."""
    world.embedder.broken = "member 'coarse' is damaged"
    answer = ask(client)
    assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    world.embedder.broken, world.index._current = None, None
    assert ask(client).json()["code"] == "index_unavailable"


def test_a_match_follows_an_import_by_another_command(client, world):
    """The index catches up after the first match that finds the catalogue ahead."""
    from tests.fakes import sighting

    stale = world.index.current()
    world.bring([sighting(90, "whale9")], [photo(9)], "folder:more")
    world.index._current = stale
    client.app.state.door.upkeep._last = 0.0
    assert ask(client).json()["receipt"]["gallery"] == 12
    client.app.state.door.upkeep._thread.submit(bool).result()  # the look that the match asked for is over
    assert ask(client).json()["receipt"]["gallery"] == 13
