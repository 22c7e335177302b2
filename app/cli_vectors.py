"""``resight vectors``: the catalogue's vectors in a file, for adapting an ensemble and for one's own analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli_options import Data, open_services


def vectors(
    file: Annotated[Path, typer.Argument(help="The file to write, NumPy's .npz.")],
    data: Data = None,
) -> None:
    """Write the vectors that are searched now, with each annotation's names and viewpoint; nothing is embedded."""
    services = open_services(data)
    services.reindex.catch_up()
    made = services.extract(file)
    sizes = ", ".join(f"{name} of {rows.shape[1]} numbers" for name, rows in made.spaces.items())
    typer.echo(f"{file} holds the vectors of {len(made)} annotations: {sizes}")
