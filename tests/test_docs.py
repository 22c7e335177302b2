"""The documentation names what exists, and its examples are what the service sends."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from app.cli import app
from app.config import Settings
from app.domain.errors import ResightError
from app.main import create_app
from app.web import schemas, schemas_calibration, schemas_curation, schemas_evaluations, schemas_jobs, schemas_uploads
from app.web.problems import HTTP, TABLE
from models.cli import app as training
from tests.fakes import World

SHAPES = (schemas, schemas_calibration, schemas_curation, schemas_evaluations, schemas_jobs, schemas_uploads)
DOCS = Path(__file__).parents[1] / "docs"
API, ERRORS = (DOCS / "api.md").read_text("utf-8"), (DOCS / "errors.md").read_text("utf-8")
ROOT = DOCS.parent
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted(DOCS.rglob("*.md")),
]
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
    service = create_app(World().services, Settings(_env_file=None))
    exists = {f"{method.upper()} {path}" for path, found in service.openapi()["paths"].items() for method in found}
    listed = re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", API, re.MULTILINE)
    assert sorted(listed) == sorted(exists | {"GET /openapi.json", "GET /"})


def test_every_field_of_a_form_is_in_the_api_document():
    """What may be sent is named."""
    service = create_app(World().services, Settings(_env_file=None))
    forms = service.openapi()["components"]["schemas"]
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
    shape: type[BaseModel] = next(getattr(module, name) for module in SHAPES if hasattr(module, name))
    shape.model_validate_json(text)


def test_the_shapes_that_matter_have_examples():
    """A reader sees one of each."""
    shown = {name for name, _ in EXAMPLES}
    assert shown >= {"MatchAnswer", "IndividualsAnswer", "AnnotationAnswer", "PlanAnswer", "ImportAnswer", "Problem"}
    assert "UploadAnswer" in shown


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    """A relative link names a file that exists."""
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """A file that exists and, behind a #, one of its headings."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        place, _, heading = link.partition("#")
        if "://" in link or place.startswith("mailto:"):
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not heading or heading in _headings(target), link


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_every_command_and_option_of_the_documents_exists():
    """What a reader may copy after ``resight`` is a command with these options, the training ones included."""
    commands, met = {**_commands(app), **_commands(training)}, set()
    for page in PAGES:
        for line in re.findall(r"\bresight ([a-z-]+(?: [^\n`#|]*)?)", "\n".join(_code(page.read_text("utf-8")))):
            name = line.split()[0]
            met.add(name)
            assert name in commands, f"{page.name}: resight {name}"
            assert set(re.findall(r"--[a-z0-9-]+", line)) <= commands[name], f"{page.name}: resight {line}"
    assert met >= {"import", "match", "evaluate", "verify", "train"}


def _commands(wanted: typer.Typer) -> dict[str, set[str]]:
    found = typer.main.get_group(wanted).commands
    return {name: _options(one) for name, one in found.items()}


def _options(command: Any) -> set[str]:
    """The options of a command, or of all commands of a group."""
    below = getattr(command, "commands", {}).values()
    return {option for one in (command, *below) for part in one.params for option in part.opts}


def _code(text: str) -> list[str]:
    """Blocks and spans of code; a line that is continued is one line."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [part.replace("\\\n", " ") for part in (*blocks, *spans)]
