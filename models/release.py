"""Release: exported members into a folder that the service can load: ONNX files, manifest and model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.domain.catalogue import Viewpoint
from app.domain.ensemble import Ensemble, Preprocessing, parse_manifest, sealed
from app.domain.errors import InvalidInput
from models.scoring import Row

MANIFEST, CARD = "manifest.json", "MODEL_CARD.md"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A member to be released; ``facts`` go into the manifest beside what the service reads."""

    name: str
    content: bytes
    dimension: int
    preprocessing: Preprocessing
    weight: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SpacePlan:
    """Members that are searched together, and the viewpoints that they can compare."""

    name: str
    parts: Sequence[Part]
    viewpoints: Sequence[Viewpoint] = tuple(Viewpoint)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Title:
    """What a release says of itself."""

    name: str
    version: str
    licence: str
    training_data: str


def write_release(
    folder: Path, title: Title, spaces: Sequence[SpacePlan], card: str, facts: Mapping[str, Any]
) -> Ensemble:
    """Write the files and read the manifest back as the service will. ``facts`` stand at the manifest's top level.

    Raises InvalidInput when two different members have one name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = _files(spaces)
    manifest = sealed({**asdict(title), **facts, "spaces": [_space(plan, files) for plan in spaces]})
    for part in (part for plan in spaces for part in plan.parts):
        (folder / files[_digest(part)]).write_bytes(part.content)
    text = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    (folder / MANIFEST).write_bytes(text)
    (folder / CARD).write_text(card, encoding="utf-8")
    return parse_manifest(text)


def scores(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """A validation table as plain values for the manifest."""
    return {
        row.scenario: {"any_match": _rounded(row.any_match), "other_encounter": _rounded(row.other_encounter)}
        for row in rows
    }


def files_table(spaces: Sequence[SpacePlan]) -> str:
    """A Markdown table of the members' files: size, SHA-256, dimension, input."""
    files = _files(spaces)
    lines = ["| member | file | MB | SHA-256 | dimension | input (height x width) |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {part.name} | {files[_digest(part)]} | {len(part.content) / 1e6:.1f} | `{_digest(part)}` "
        f"| {part.dimension} | {part.preprocessing.height} x {part.preprocessing.width} |"
        for part in {part.name: part for plan in spaces for part in plan.parts}.values()
    ]
    return "\n".join(lines) + "\n"


def _space(plan: SpacePlan, files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": plan.name,
        "weight": plan.weight,
        "viewpoints": [view.value for view in plan.viewpoints],
        "members": [
            {
                "name": part.name,
                "file": files[_digest(part)],
                "sha256": _digest(part),
                "bytes": len(part.content),
                "dimension": part.dimension,
                "weight": part.weight,
                "preprocessing": asdict(part.preprocessing),
                **part.facts,
            }
            for part in plan.parts
        ],
    }


def _files(spaces: Sequence[SpacePlan]) -> dict[str, str]:
    """A file name by SHA-256: members that look at different sizes with the same weights share one file."""
    files: dict[str, str] = {}
    for part in (part for plan in spaces for part in plan.parts):
        files.setdefault(_digest(part), f"{part.name}.onnx")
    if len(set(files.values())) < len(files):
        raise InvalidInput(f"two different members have one name: {', '.join(sorted(files.values()))}")
    return files


def _digest(part: Part) -> str:
    return hashlib.sha256(part.content).hexdigest()


def _rounded(score: Any) -> dict[str, Any]:
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(score).items()}
