"""A sighting as text: what a recorded row keeps of its sheet, so that a resumed import needs no second look at it."""

from __future__ import annotations

import json
from datetime import datetime

from app.domain.catalogue import Box, CaptureDate, DatePrecision, Sighting, Viewpoint


def dump_sighting(sighting: Sighting) -> str:
    """Everything but the row and the source id, as JSON; the same sighting always gives the same text."""
    taken, box = sighting.captured.taken, sighting.box
    return json.dumps(
        {
            "path": sighting.path,
            "viewpoint": sighting.viewpoint,
            "taken": taken and taken.isoformat(),
            "precision": sighting.captured.precision,
            "individual": sighting.individual,
            "encounter": sighting.encounter,
            "box": box and [box.x, box.y, box.width, box.height],
            "sha256": sighting.sha256,
            "line": sighting.line,
        }
    )


def load_sighting(row: int, source_id: str, text: str) -> Sighting:
    """The sighting that ``dump_sighting`` wrote down."""
    said = json.loads(text)
    taken = datetime.fromisoformat(said["taken"]) if said["taken"] else None
    return Sighting(
        source_id=source_id,
        path=said["path"],
        viewpoint=Viewpoint(said["viewpoint"]),
        captured=CaptureDate(taken, DatePrecision(said["precision"])),
        individual=said["individual"],
        encounter=said["encounter"],
        box=Box(*said["box"]) if said["box"] else None,
        row=row,
        # Rows that an earlier release recorded know neither.
        sha256=said.get("sha256"),
        line=said.get("line", row),
    )
