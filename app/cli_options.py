"""What many commands share: options, and the services that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap import bootstrap
from app.config import read_settings
from app.services.bundle import Services
from app.telemetry import set_up_logging

JSON_WANTED = "resight.json"


def _remembered(ctx: typer.Context, wanted: bool) -> bool:
    # Errors leave a command by another door than answers: there, too, a machine must get JSON.
    ctx.meta[JSON_WANTED] = wanted
    return wanted


Json = Annotated[bool, typer.Option("--json", callback=_remembered, help="Print JSON instead of tables.")]
Data = Annotated[Path | None, typer.Option(help="Data folder; by default RESIGHT_DATA, then .data")]


def open_services(data: Path | None) -> Services:
    """Every use case on the settings in force; warnings and errors are logged."""
    settings = read_settings(data=data)
    set_up_logging(as_json=settings.log_json, level="WARNING")
    return bootstrap(settings)
