"""Model cards: what a release is, what it was trained on, what it scores, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from models.release import SpacePlan, Title, files_table
from models.scoring import Row, markdown


def model_card(title: Title, spaces: Sequence[SpacePlan], rows: Sequence[Row], sections: Mapping[str, str]) -> str:
    """The card as Markdown; ``sections`` (heading -> text) say how it was made and what it costs."""
    template = Template(files("models").joinpath("card.md").read_text(encoding="utf-8"))
    made = "\n".join(f"## {heading}\n\n{text.strip()}\n" for heading, text in sections.items())
    return template.substitute(
        name=title.name,
        version=title.version,
        licence=title.licence,
        training_data=title.training_data,
        members=files_table(spaces),
        sections=made,
        scores=markdown(rows) if rows else "Not scored.\n",
    )
