"""Every place where the service can be made to die, and what a person does that leads there.

This is the one list: a test holds it against the calls of ``reach`` in ``app``, and the harness dies at each of them.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]

# name: how a survey is brought (a way of ``campaign.lanes``, or "backup" for the command), and the turns to die at.
PLACES: dict[str, tuple[str, tuple[int, ...]]] = {
    "upload.written": ("zip", (1,)),
    "upload.renamed": ("zip", (1,)),
    "session.written": ("session", (1, 40)),
    "session.renamed": ("session", (1, 40)),
    "session.logged": ("session", (1, 40)),
    "blob.written": ("folder", (1, 2)),
    "blob.synced": ("folder", (1, 2)),
    "blob.renamed": ("folder", (1, 2)),
    "blob.folder_synced": ("folder", (1, 2)),
    "catalogue.before_commit": ("folder", (1, 2, 3, 4, 5)),
    "catalogue.committed": ("zip", (1, 2, 3, 4, 5)),
    "index.rows_written": ("folder", (1, 2)),
    "index.rows_renamed": ("folder", (1, 3)),
    "index.generation_written": ("folder", (1, 2)),
    "index.generation_renamed": ("folder", (1, 2)),
    "index.swapped": ("folder", (1, 2)),
    "index.pruned": ("folder", (1, 2)),
    "backup.copied": ("backup", (1,)),
    "backup.receipt_written": ("backup", (1,)),
}


def reached(top: Path = ROOT / "app") -> dict[str, list[str]]:
    """The names that are passed to ``reach`` below a folder, each with the modules that do so."""
    found: dict[str, list[str]] = {}
    for path in sorted(top.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                name = ast.literal_eval(node.args[0])  # a name that is computed could not be looked up here
                found.setdefault(name, []).append(str(path.relative_to(top)))
    return found
