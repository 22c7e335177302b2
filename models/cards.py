"""Model cards: what a release is, what it was trained on, what it scores, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from models.release import SpacePlan, Title, files_table
from models.scoring import Row, markdown

_STORAGE = {
    "float16": "Weights are stored as float16 and computed in float32.",
    "int8": "Convolutions are stored and computed in eight bits, everything else in float32.",
}
_SCORED = """mAP@20 as the contest counts it; the queries are {judged_on}. "Other encounter" counts only matches from
another encounter: would it have known the animal on another day. Queries without such a match are left out.

"""
_NOT_SCORED = "Not scored: no labelled photograph was kept back by all members. Measure it before you trust it.\n"


def model_card(
    title: Title,
    spaces: Sequence[SpacePlan],
    rows: Sequence[Row],
    sections: Mapping[str, str],
    *,
    stored_as: str = "float16",
    judged_on: str = "photographs kept back from training",
) -> str:
    """The card as Markdown; ``sections`` (heading -> text) say how it was made and what it costs.

    ``judged_on`` names the photographs that the scores' queries are, as the caller knows it to be true.
    """
    template = Template(files("models").joinpath("card.md").read_text(encoding="utf-8"))
    made = "\n".join(f"## {heading}\n\n{text.strip()}\n" for heading, text in sections.items())
    return template.substitute(
        name=title.name,
        version=title.version,
        licence=title.licence,
        training_data=title.training_data,
        members=files_table(spaces),
        sections=made,
        stored_as=_STORAGE[stored_as],
        scores=_SCORED.format(judged_on=judged_on) + markdown(rows) if rows else _NOT_SCORED,
    )
