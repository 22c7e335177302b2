"""The house keeps its own rules, and each rule can fail: the checker is tried on small snippets that break it."""

from statistics import median

import pytest

from tests.house_rules import (
    LONGEST_CLASS,
    LONGEST_FUNCTION,
    LONGEST_MODULE,
    MEDIAN_FUNCTION,
    Module,
    circle,
    function_lengths,
    import_faults,
    name_faults,
    read_house,
    size_faults,
)

APP = read_house("app")
HOUSE = [*APP, *read_house("models")]


def test_every_import_points_the_way_the_tables_allow():
    """The import graph is the architecture: no arrow leads up, sideways or out of a library's home."""
    assert import_faults(HOUSE) == []


def test_no_circle():
    """No module imports itself through others, not even for its types."""
    assert circle(HOUSE) == []


def test_nothing_outgrows_its_budget():
    """No file becomes the place for everything."""
    assert size_faults(HOUSE) == []


def test_the_median_function_is_short():
    """Half of all functions can be read in one glance."""
    assert median(function_lengths(APP)) <= MEDIAN_FUNCTION


def test_names_say_something():
    """No manager, helper or util: one word, one meaning, as docs/glossary.md has it."""
    assert name_faults(HOUSE) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app.domain.ranking", "from app.services import match"),
        ("app.domain.ranking", "from app.failpoints import reach"),
        ("app.domain.ranking", "import sklearn.metrics"),
        ("app.domain.ranking", "import os.path"),
        ("app.services.match", "from app.adapters.faiss_index import FaissIndex"),
        ("app.services.match", "from app.services.ingest import Ingest"),
        ("app.services.ingest", "def late():\n    from app.services import match"),
        ("app.services.match", "import app.web.problems"),
        ("app.adapters.faiss_index", "from app.adapters.sql_catalogue import SqlCatalogue"),
        ("app.adapters.faiss_index", "from . import sql_catalogue"),
        ("app.adapters.faiss_index", "from app.services.match import Match"),
        ("app.web.routes.match", "from app.adapters.pillow_images import PillowImages"),
        ("app.web.routes.match", "from app.bootstrap import bootstrap"),
        ("app.main", "from app.adapters import faiss_index"),
        ("app.cli", "from app.adapters import faiss_index"),
        ("app.bootstrap", "import models.nets"),
        ("app.bootstrap", "from models import nets"),
        ("models.train", "from app.services.match import Match"),
        ("models.train", "from app.adapters.sql_catalogue import SqlCatalogue"),
        ("app.services.match", "from fastapi import HTTPException"),
        ("app.cli", "from starlette.responses import Response"),
        ("app.adapters.faiss_index", "import sqlalchemy as sa"),
        ("app.bootstrap", "import onnxruntime"),
        ("app.adapters.onnx_embedder", "from PIL import Image"),
        ("app.adapters.sql_catalogue", "import faiss"),
        ("app.adapters.csv_sheets", "import sqlite3"),
        ("app.adapters.onnx_embedder", "import torch"),
        ("app.services.match", "import requests"),
        ("app.attic", "from app.domain import errors"),
    ],
)
def test_a_forbidden_import_is_found(name: str, source: str):
    """Each rule can fail: one import that breaks it gives exactly one fault."""
    others = [
        "app.services.match",
        "app.adapters.faiss_index",
        "app.adapters.sql_catalogue",
        "models.nets",
        "app.failpoints",
    ]
    modules = [Module(name, source), *(Module(other, "") for other in others if other != name)]
    assert len(import_faults(modules)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app.domain.ranking", "import math\nimport numpy as np\nfrom app.domain.errors import NotFound"),
        ("app.services.evaluate", "from app.services.rank import rank"),
        ("app.services.bundle", "from app.services.ingest import Ingest"),
        ("app.adapters.file_blobs", "from app.failpoints import reach"),
        ("app.adapters.sql_catalogue", "import sqlalchemy as sa\nfrom app.adapters.sql_tables import images"),
        ("app.bootstrap", "from app.adapters.faiss_index import FaissIndex\nfrom app.services.match import Match"),
        ("app.cli_tables", "from rich.table import Table"),
        ("models.nets", "import torch\nfrom app.adapters.pillow_images import PillowImages"),
    ],
)
def test_an_allowed_import_passes(name: str, source: str):
    """The checker does not cry wolf."""
    assert import_faults([Module(name, source)]) == []


def test_a_circle_is_found():
    """Two modules that need each other are named, even when one of them imports late."""
    modules = [
        Module("app.domain.a", "from app.domain import b"),
        Module("app.domain.b", "def late():\n    from app.domain.a import thing"),
    ]
    assert set(circle(modules)) == {"app.domain.a", "app.domain.b"}


def test_what_is_too_long_is_found():
    """A module, a class and a function over their budget are three faults; one at the budget is none."""
    function = "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION
    klass = "class C:\n" + "    x = 1\n" * LONGEST_CLASS
    filler = "y = 2\n" * LONGEST_MODULE
    assert len(size_faults([Module("app.domain.long", function + klass + filler)])) == 3
    assert size_faults([Module("app.domain.fits", "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1))]) == []


def test_a_name_that_says_nothing_is_found():
    """Unwelcome words are found in modules, classes, functions and parameters, not inside longer words."""
    source = "class ImageManager:\n    def process_rows(self, data): ...\ndef dataset(handler, commonest): ..."
    assert len(name_faults([Module("app.domain.utils", source)])) == 4
