"""Which scenarios a run is judged by: those that come with the data, or some made of what was kept back."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from app.domain.errors import InvalidInput
from app.domain.scenario import Query, Scenario
from models.dataset import Bool, Int64, Photographs, kept_back
from models.recipe import FoldRecipe
from models.scoring import Pack, read_pack


def pack_for(photographs: Photographs, folds: FoldRecipe) -> Pack:
    """The scenarios that judge one run; see ``pack_over``."""
    return pack_over(photographs, kept_back(photographs, folds))


def pack_over(photographs: Photographs, held: Bool) -> Pack:
    """The folder's own ``scenarios/`` where it has them, none where nothing is ``held`` back (n,).

    Otherwise every photograph that is held back is searched among the others held back, once per side.
    """
    folder = photographs.folder / "scenarios"
    if held.any() and (folder / "query_scenarios.csv").exists():
        return read_pack(folder)
    return leave_one_out(photographs, held)


def refuse_leaks(pack: Pack, photographs: Photographs, trained: Int64) -> None:
    """Raise InvalidInput when a scenario asks about one of the rows ``trained`` on: such a score means nothing."""
    seen = {photographs.ids[row] for row in trained.tolist()}
    asked = {query.image_id for one in pack.scenarios for query in one.queries}
    if leaked := sorted(asked & seen):
        raise InvalidInput(
            f"the scenarios ask about {leaked[0]!r}, which is trained on ({len(leaked)} such photographs): "
            "let folds.csv keep them back, or take scenarios/ away"
        )


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
