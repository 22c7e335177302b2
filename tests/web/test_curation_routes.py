"""Editing over HTTP: one revision, one answer, and nothing is lost."""

import pytest

from app.domain.errors import StorageFull


def revision(client, number: int = 4) -> int:
    return client.get(f"/annotations/{number}/history").json()["revision"]


def patch(client, number: int = 4, **body):
    return client.patch(f"/annotations/{number}", json={"revision": revision(client, number)} | body)


def test_an_edit_is_answered_when_it_is_indexed(client, world):
    """The answer names the generation that holds the change, and the annotation shows it."""
    answer = patch(client, viewpoint="left", date="2018-06", individual="whale9", encounter=None, actor="Ann")
    told = answer.json()
    assert (answer.status_code, told["state"], told["removed"]) == (200, "indexed", False)
    assert (told["catalogue_version"], told["index_generation"]) == (
        world.catalogue.version(),
        world.index.current().generation,
    )
    shown = client.get("/annotations/4")
    assert shown.headers["ETag"] == answer.headers["ETag"] == f'"{told["revision"]}"'
    facts = {name: shown.json()[name] for name in ("viewpoint", "date", "individual", "encounter", "revision")}
    assert facts == {
        "viewpoint": "left",
        "date": "2018-06",
        "individual": "whale9",
        "encounter": None,
        "revision": told["revision"],
    }


def test_a_box_and_a_date_can_be_taken_away(client):
    """Null is a fact of its own: the whole image, an unknown date."""
    assert patch(client, box={"x": 1, "y": 2, "width": 30, "height": 40}).status_code == 200
    assert client.get("/annotations/4").json()["box"] == {"x": 1, "y": 2, "width": 30, "height": 40}
    assert patch(client, box=None, date=None).status_code == 200
    shown = client.get("/annotations/4").json()
    assert (shown["box"], shown["date"]) == (None, None)


def test_a_removed_annotation_is_gone_and_can_come_back(client):
    """404 wherever it is asked for, told by its history, and as it was when it is restored."""
    before = client.get("/annotations/4").json()
    gone = client.delete("/annotations/4", headers={"If-Match": f'"{revision(client)}"'}, params={"reason": "not one"})
    assert (gone.json()["removed"], gone.json()["state"]) == (True, "indexed")
    assert client.get("/annotations/4").json()["code"] == "unknown_annotation"
    assert client.get("/annotations/4/thumbnail").status_code == 404
    back = client.post("/annotations/4/restore", json={"revision": gone.json()["revision"], "actor": "Ann"})
    assert back.json()["removed"] is False
    assert client.get("/annotations/4").json() == before | {"revision": back.json()["revision"]}
    past = client.get("/annotations/4/history").json()
    assert [(one["action"], one["actor"], one["reason"]) for one in past["changes"]] == [
        ("removed", None, "not one"),
        ("restored", "Ann", None),
    ]


def test_the_second_of_two_editors_is_refused(client):
    """412 with a code of its own; what the first one wrote stands."""
    read = revision(client)
    assert patch(client, viewpoint="left").status_code == 200
    for late in (
        client.patch("/annotations/4", json={"revision": read, "viewpoint": "right"}),
        client.patch("/annotations/4", json={"viewpoint": "right"}, headers={"If-Match": f'"{read}"'}),
        client.delete(f"/annotations/4?revision={read}"),
    ):
        assert (late.status_code, late.json()["code"]) == (412, "stale_revision")
    assert client.get("/annotations/4").json()["viewpoint"] == "left"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"viewpoint": "left"}, {}),
        ({"revision": 2}, {}),
        ({"revision": 2, "viewpoint": "left"}, {"If-Match": '"3"'}),
        ({"viewpoint": "left"}, {"If-Match": "*"}),
        ({"viewpoint": "left"}, {"If-Match": '"99999999999999999999"'}),
        ({"revision": "2", "viewpoint": "left"}, {}),
        ({"revision": 2, "viewpoint": None}, {}),
        ({"revision": 2, "viewpoint": "front"}, {}),
        ({"revision": 2, "whale": "whale1"}, {}),
        ({"revision": 2, "individual": ""}, {}),
        ({"revision": 2, "individual": "a\u0000b"}, {}),
        ({"revision": 2, "date": "yesterday"}, {}),
        ({"revision": 2, "date": "2999-01-01"}, {}),
        ({"revision": 2, "box": {"x": 0, "y": 0, "width": 0, "height": 4}}, {}),
        ({"revision": 2, "box": {"x": 0, "y": 0, "width": 4000, "height": 4}}, {}),
        ({"revision": 2, "viewpoint": "left", "actor": "a\nb"}, {}),
        ([], {}),
    ],
)
def test_what_cannot_be_used_changes_nothing(client, world, body, headers):
    """422 for what is missing, unknown, contradictory or out of its range."""
    version = world.catalogue.version()
    answer = client.patch("/annotations/4", json=body, headers=headers)
    assert (answer.status_code, world.catalogue.version()) == (422, version)


def test_a_name_in_another_case_is_a_conflict(client):
    """The rules for names are those of an import."""
    answer = patch(client, individual="WHALE2", encounter=None)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_annotation_that_never_was_is_unknown(client):
    """At each of the doors."""
    asked = {"revision": 1}
    for answer in (
        client.patch("/annotations/99", json=asked | {"viewpoint": "left"}),
        client.delete("/annotations/99?revision=1"),
        client.post("/annotations/99/restore", json=asked),
        client.get("/annotations/99/history"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_annotation")


def test_a_change_that_is_not_indexed_yet_is_accepted(client, world, monkeypatch):
    """202 and the state says so: the change is on disk, and the index follows."""

    def full(_source):
        raise StorageFull("no space for the index")

    asked = revision(client)
    with monkeypatch.context() as patched:
        patched.setattr(world.index, "refresh", full)
        answer = client.patch("/annotations/4", json={"revision": asked, "viewpoint": "left"})
    assert (answer.status_code, answer.json()["state"]) == (202, "stored")
    assert (answer.json()["catalogue_version"], answer.json()["index_generation"]) == (None, None)


def test_near_duplicates_are_told_with_an_annotation(client, world):
    """An empty list when there is none, null when the index cannot tell."""
    assert client.get("/annotations/4").json()["near_duplicates"] == []
    world.index._current = None
    assert client.get("/annotations/4").json()["near_duplicates"] is None
