"""The documentation names what exists, and its examples are what the service sends."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.config import Settings
from app.domain.errors import ResightError
from app.main import create_app
from app.web import schemas
from app.web.problems import HTTP, TABLE
from tests.fakes import World

DOCS = Path(__file__).parents[1] / "docs"
API, ERRORS = (DOCS / "api.md").read_text("utf-8"), (DOCS / "errors.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", API + ERRORS, re.MULTILINE | re.DOTALL)


def descendants(kind: type[ResightError]) -> set[type[ResightError]]:
    return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))


def test_every_error_has_a_row_and_a_paragraph():
    """A heading with code and status, and a sentence under it; no paragraph is about an error that is no more."""
    said = dict(re.findall(r"^### `(\w+)` \((\d+)\)\n(?=\w)", ERRORS, re.MULTILINE))
    expected = {kind.code: str(TABLE[kind].status) for kind in descendants(ResightError)}
    assert said == expected | {code: str(status) for status, (code, _) in HTTP.items()}


def test_every_route_is_in_the_api_document():
    """The table of docs/api.md holds each route of the service once, and no other."""
    app = create_app(World().services, Settings(_env_file=None))
    exists = {f"{method.upper()} {path}" for path, found in app.openapi()["paths"].items() for method in found}
    listed = re.findall(r"^\| `((?:GET|POST) [^`]+)` \|", API, re.MULTILINE)
    assert sorted(listed) == sorted(exists | {"GET /openapi.json", "GET /"})


def test_every_field_of_a_form_is_in_the_api_document():
    """What may be sent is named."""
    app = create_app(World().services, Settings(_env_file=None))
    forms = app.openapi()["components"]["schemas"]
    for name in (*forms["MatchForm"]["properties"], *forms["ImportForm"]["properties"]):
        assert re.search(rf"`{name}\b", API), name


def test_every_setting_is_in_the_settings_document():
    """Each variable has its row with its default and its description, and no row is left over."""
    text = (DOCS / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(RESIGHT_\w+)` \| .*? \| (.*?) \|$", text, re.MULTILINE))
    fields = Settings.model_fields.items()
    assert rows == {f"RESIGHT_{name.upper()}": field.description for name, field in fields}


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_every_example_has_the_shape_that_it_shows(name, text):
    """Parsed as strictly as an answer is built."""
    shape: type[BaseModel] = getattr(schemas, name)
    shape.model_validate_json(text)


def test_the_shapes_that_matter_have_examples():
    """A reader sees one of each."""
    shown = {name for name, _ in EXAMPLES}
    assert shown >= {"MatchAnswer", "IndividualsAnswer", "AnnotationAnswer", "PlanAnswer", "ImportAnswer", "Problem"}


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    """A relative link names a file that exists."""
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / link).exists(), link
