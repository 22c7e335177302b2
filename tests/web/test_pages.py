"""The page for people: it works without scripts, escapes everything and says what it is."""

import re
from html.parser import HTMLParser

import pytest

from app.domain.calibration_record import Source, purpose_of
from app.domain.catalogue import Viewpoint
from app.domain.errors import CatalogueUnavailable
from app.domain.profiles import REVIEW, Profile, Spread, use_own
from app.domain.trials import ViewPair
from app.services.calibrate import calibrated
from tests.fakes import photo, sighting
from tests.fakes_calibrations import made_trials


class Tags(HTMLParser):
    """Tags and attributes of a page, which must be well formed."""

    VOID = frozenset({"meta", "link", "input", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def values(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] for name, attrs in self.found if name == tag and attribute in attrs]


def test_the_first_view_asks_for_a_photograph_and_lists_individuals(client):
    """A form that needs no script, and a link for each individual."""
    page = client.get("/")
    tags = Tags(page.text)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert tags.values("form", "enctype") == ["multipart/form-data"]
    assert "/?individual=whale2" in tags.values("a", "href")
    assert "the researcher decides" in page.text
    assert not tags.values("script", "src")
    assert "synthetic" not in page.text


def test_every_link_of_the_page_leads_somewhere(client):
    """Views, pictures and the stylesheet answer 200."""
    seen, waiting = set(), ["/"]
    while waiting:
        address = waiting.pop()
        seen.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            tags = Tags(answer.text)
            found = tags.values("a", "href") + tags.values("img", "src") + tags.values("link", "href")
            waiting += sorted(
                {link for link in found if link not in seen and not link.startswith("data:")} - {*waiting}
            )
    assert {"/?individual=whale4", "/?annotation_id=12", "/annotations/12/thumbnail"} <= seen


def test_a_chosen_photograph_is_answered_on_the_page(client):
    """Ranked candidates with picture, score and date, the query beside them, and the receipt."""
    fields = {"viewpoint": "top", "group_by": "individual", "date": ""}
    page = client.post("/", files={"image": ("a.png", photo(2, 9))}, data=fields)
    tags = Tags(page.text)
    assert page.status_code == 200
    assert len([link for link in tags.values("img", "src") if link.startswith("/annotations/")]) == 12
    assert page.text.count("+2 more of this animal") == 4
    assert "review: centre, bridge, occasion, fold, spread" in page.text
    assert [link for link in tags.values("img", "src") if link.startswith("data:image/jpeg;base64,")]
    assert re.findall(r'<td class="rank">(\d+)</td>', page.text) == ["1", "2", "3", "4"]
    assert "Searched 12 of 12 annotations" in page.text
    assert "not a probability" in page.text


def test_the_ranking_is_chosen_on_the_page(client):
    """Review unless another profile is chosen; the choice is told, kept for the next question and in every link."""
    chosen = r'<option value="(review|contest|cosine)" selected>\1\b'
    first = client.get("/").text
    assert re.findall(chosen, first) == ["review"]
    assert re.findall(r"<dt>([a-z]+)</dt><dd>", first) == ["review", "contest", "cosine", "verified"]
    page = client.post("/", files={"image": ("a.png", photo(2, 9))}, data={"profile": "contest"}).text
    assert re.findall(chosen, page) == ["contest"]
    assert "Ranked by <strong>contest</strong>, each photograph by itself" in page
    assert "contest: centre, augment, expand, occasion" in page
    stored = client.get("/?annotation_id=2&profile=cosine&exclude_own_encounter=true").text
    assert re.findall(chosen, stored) == ["cosine", "cosine"]
    assert "/?annotation_id=2&profile=cosine" in Tags(stored).values("a", "href")
    assert '<input type="hidden" name="exclude_own_encounter" value="true">' in stored
    assert client.get("/?annotation_id=2&profile=best").status_code == 422


def test_a_profile_that_cannot_be_used_is_not_offered(client, world):
    """Without the library for local features; a profile of the user's own is."""
    world.features.installed = False
    use_own([Profile("mine", (Spread(),))])
    try:
        page = client.post("/", files={"image": ("a.png", photo(2, 9))}, data={"profile": "mine"}).text
    finally:
        use_own([])
    assert re.findall(r"<dt>([a-z]+)</dt><dd>", page) == ["review", "contest", "cosine", "mine"]
    assert "Ranked by <strong>mine</strong>, a profile of your own" in page


def test_the_page_tells_what_the_day_did(client):
    """The candidates of the day that was given, or that none is known."""
    asked = {"image": ("a.png", photo(2, 9))}
    page = client.post("/", files=asked, data={"viewpoint": "top", "date": "2019-07-03"}).text
    assert page.count("<small>the same day</small>") == 1
    assert "<dt>Notes</dt>" not in page
    page = client.post("/", files=asked, data={"viewpoint": "top"}).text
    assert "the same day" not in page
    assert "<dt>Notes</dt><dd>centre and occasion did nothing: its day is not known</dd>" in page


def test_how_far_to_look_is_told_or_how_to_learn_it(client, world):
    """The sentences of the meter with what they mean; without a calibration the command that measures it."""
    asked = {"image": ("a.png", photo(2, 9))}
    page = client.post("/", files=asked).text
    assert "<code>resight calibrate --profile review</code>" in page
    assert "What this means" not in page
    purpose = purpose_of(world.embedder.ensemble.manifest_sha256, REVIEW)
    trials = {ViewPair.ANY: made_trials(), ViewPair.SAME: made_trials()}
    world.calibrations.add(calibrated(trials, purpose, Source.CATALOGUE, "catalogue version 1", 1))
    page = client.post("/", files=asked, data={"viewpoint": "top"}).text
    assert "to miss fewer than 2% of the animals that were searched" in page
    assert "What this means" in page
    several = client.post("/", files=[("image", (f"{one}.png", photo(2, one))) for one in range(2)]).text
    assert "Not known for several photographs together" in several


def test_the_page_shows_why_another_view_was_found(client, world):
    """With the picture of the bridge, and without it where the own view is searched."""
    world.bring([sighting(90, "whale2", viewpoint=Viewpoint.LEFT)], [photo(77)], "folder:more")
    top = next(one["annotation_id"] for one in client.get("/individuals/whale2").json()["seen"])
    mixed = client.get(f"/?annotation_id={top}").text
    assert "via image" not in mixed
    assert f'href="/?annotation_id={top}&amp;viewpoints=left,right"' in mixed
    page = client.get(f"/?annotation_id={top}&viewpoints=left,right").text
    assert "via image" in page
    assert '<option value="left,right" selected>' in page


def test_several_photographs_can_be_chosen(client):
    """They are asked about together, and the page shows the first of them."""
    assert 'name="image"' in client.get("/").text
    assert "multiple" in client.get("/").text
    files = [("image", (f"{one}.png", photo(2, one))) for one in range(6)]
    page = client.post("/", files=files, data={"viewpoint": "top"})
    assert page.status_code == 200
    assert "6 photographs together" in page.text
    assert len([link for link in Tags(page.text).values("img", "src") if link.startswith("data:image/jpeg")]) == 4


def test_an_annotation_can_be_matched_with_and_without_its_encounter(client):
    """Each view links to the other one."""
    page = client.get("/?annotation_id=2")
    assert "/?annotation_id=2&exclude_own_encounter=true" in Tags(page.text).values("a", "href")
    page = client.get("/?annotation_id=2&exclude_own_encounter=true")
    assert "/?annotation_id=2" in Tags(page.text).values("a", "href")
    assert "encounter: " in page.text


@pytest.mark.parametrize(
    ("files", "status", "sentence"),
    [
        ({"image": ("", b"")}, 422, "give a photograph or an annotation id"),
        ({"image": ("a.gif", b"GIF89a")}, 415, "not a photograph"),
    ],
)
def test_a_failure_is_told_on_the_page(client, files, status, sentence):
    """In a sentence, with the status that a program would get."""
    page = client.post("/", files=files)
    assert page.status_code == status
    assert sentence in page.text
    Tags(page.text)


def test_an_unknown_individual_is_told_on_the_page(client):
    """With 404, beside the list of those that are known."""
    page = client.get("/?individual=nobody")
    assert page.status_code == 404
    assert "/?individual=whale2" in Tags(page.text).values("a", "href")
    assert "The catalogue is empty" not in page.text


@pytest.mark.parametrize(
    ("address", "fields", "name"),
    [
        ("/?annotation_id=none", None, "annotation_id"),
        ("/?annotation_id=0", None, "annotation_id"),
        ("/", {"date": "yesterday"}, "date"),
        ("/", {"viewpoint": ["top", "left"]}, "viewpoint"),
    ],
)
def test_a_request_that_cannot_be_used_is_told_on_the_page(client, address, fields, name):
    """In a sentence that names the field, as a page with 422 and not as a document for programs."""
    page = client.get(address) if fields is None else client.post(address, files={"image": ("a", b"x")}, data=fields)
    assert page.status_code == 422
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.search(rf'role="alert">.*{name}', page.text)
    assert "/?individual=whale2" in Tags(page.text).values("a", "href")


def test_a_catalogue_that_does_not_answer_is_not_called_empty(client, world, monkeypatch):
    """The page says what is wrong, and that there is no list."""

    def fail(*_given, **_named):
        raise CatalogueUnavailable("the database is locked")

    monkeypatch.setattr(type(world.catalogue), "individuals", fail)
    page = client.get("/")
    assert page.status_code == 503
    assert "the database is locked" in page.text
    assert "The list cannot be shown now." in page.text
    assert "The catalogue is empty" not in page.text


def test_names_are_inert_text(client, world):
    """A name may hold anything; the page shows it and runs nothing."""
    name, source = '<script>alert(1)</script>"&', '"><img src=x onerror=alert(1)>{{ 7*7 }}'
    world.bring([sighting(90, name, encounter=name, source_id=source)], [photo(9)], "folder:hostile")
    for address in ("/", "/?annotation_id=1"):
        tags = Tags(client.get(address).text)
        assert not [tag for tag, _ in tags.found if tag == "script"]
        assert "x" not in tags.values("img", "src")
    link = next(link for link in Tags(client.get("/").text).values("a", "href") if "script" in link)
    page = client.get(link)
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert "{{ 7*7 }}" in page.text


def test_a_synthetic_catalogue_says_so_in_every_view(client, world):
    """What a generator drew is never shown as an animal."""
    world.bring([sighting(90, "aaa", source_id="synthetic00001")], [photo(9)], "folder:drawn")
    for address in ("/", "/?individual=aaa", "/?annotation_id=13"):
        assert "This catalogue is <strong>synthetic</strong>" in client.get(address).text


def test_an_empty_catalogue_says_what_to_do(client, world):
    """And offers nothing to click."""
    from tests.fakes import World

    empty = World()
    client.app.state.door = type(client.app.state.door)(
        empty.services, client.app.state.door.upkeep, client.app.state.door.places
    )
    assert "import a folder first" in client.get("/").text


def test_long_lists_are_paged(client, world):
    """Forty individuals a view, and a link to the rest."""
    rows = [sighting(row, f"z{row}") for row in range(100, 150)]
    world.bring(rows, [photo(row) for row in range(100, 150)], "folder:many")
    page = Tags(client.get("/").text)
    more = [link for link in page.values("a", "href") if "after=" in link]
    assert len(more) == 1
    assert "/?individual=z149" in Tags(client.get(more[0]).text).values("a", "href")
