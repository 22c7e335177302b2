"""Which scenarios a run is judged by: those that come with the data, or some made of what was kept back."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from app.domain.scenario import Query, Scenario
from models.dataset import Bool, Int64, Photographs, fold_numbers
from models.recipe import FoldRecipe
from models.scoring import Pack, read_pack


def pack_for(photographs: Photographs, folds: FoldRecipe) -> Pack:
    """The folder's own ``scenarios/`` where it has them and ``folds`` keeps back what they ask about.

    Otherwise every photograph that is kept back is searched among the others kept back, once per side.
    """
    folder = photographs.folder / "scenarios"
    if folds.kind == "file" and (folder / "query_scenarios.csv").exists():
        return read_pack(folder)
    if folds.kind == "file":
        held = ~np.char.startswith(photographs.parts, "train")
    elif folds.kind == "all":
        held = np.zeros(len(photographs), dtype=np.bool_)
    else:
        held = fold_numbers(photographs, folds) == folds.fold
    return leave_one_out(photographs, held)


def leave_one_out(photographs: Photographs, held: Bool) -> Pack:
    """Each of the photographs ``held`` back against all others of its side (top or lateral)."""
    scenarios, truth, elsewhere = [], {}, {}
    for number, side in enumerate((photographs.top, ~photographs.top), start=1):
        rows = np.flatnonzero(held & side & (photographs.individuals >= 0))
        name = f"scenario{number:02d}"
        matches = _matches(photographs, rows)
        asked = [row for row in rows.tolist() if matches[row]]
        if not asked:
            continue
        queries = tuple(Query(f"{name}-{photographs.ids[row]}", photographs.ids[row]) for row in asked)
        scenarios.append(Scenario(name, queries, tuple(photographs.ids[row] for row in rows)))
        for row, query in zip(asked, queries, strict=True):
            truth[query.query_id] = frozenset(photographs.ids[other] for other in matches[row])
            away = [row2 for row2 in matches[row] if photographs.encounters[row2] != photographs.encounters[row]]
            if away:
                elsewhere[query.query_id] = frozenset(photographs.ids[other] for other in away)
    return Pack(tuple(scenarios), truth, elsewhere)


def _matches(photographs: Photographs, rows: Int64) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row in rows.tolist():
        groups[int(photographs.individuals[row])].append(row)
    return {row: [other for other in group if other != row] for group in groups.values() for row in group}
