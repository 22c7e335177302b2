"""What the contest's finalists reached: the mean average precision of each scenario over the four winners.

From DrivenData's account of the contest's results (2022). Their photographs were other ones than any pack of ours.
"""

from __future__ import annotations

import re

FINALISTS = {1: 0.45, 2: 0.50, 3: 0.50, 4: 0.50, 5: 0.68, 6: 0.52, 7: 0.62, 8: 0.57, 9: 0.22, 10: 0.29}
POOLED_PRIVATE = 0.4922
"""The mean of the four winners' private scores, .4954, .4953, .4910 and .4871."""

_KINDS = {
    "all_top": (1,),
    "new_individuals": (2,),
    "new_encounters": (3,),
    "within": (4, 5, 6),
    "against": (7, 8),
    "lateral_against_top": (9,),
    "top_against_lateral": (10,),
}


def finalists(scenario: str) -> str:
    """Their average for a scenario by its contest number or by the name of its kind; empty where there is none."""
    if scenario == "pooled":
        return f"{POOLED_PRIVATE:.3f}"
    if numbered := re.fullmatch(r"scenario0*(\d+)", scenario):
        value = FINALISTS.get(int(numbered[1]))
        return "" if value is None else f"{value:.2f}"
    kind = re.sub(r"^\d+_against_\d+$", "against", re.sub(r"^within_\d+$", "within", scenario))
    values = [FINALISTS[number] for number in _KINDS.get(kind, ())]
    return " to ".join(f"{value:.2f}" for value in sorted({min(values), max(values)})) if values else ""
