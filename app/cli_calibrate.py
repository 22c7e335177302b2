"""``resight calibrate``: fit probabilities to the catalogue, and print how honest they are and how far to look."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from app import cli_show as show
from app.cli_options import Data, Json, open_services
from app.domain.calibration_record import Calibrated
from app.domain.meter import Figure, Verdict, YearGap
from app.domain.profiles import PROFILES, REVIEW, profile_named
from app.domain.trials import Listed, ViewPair
from app.web.shapes_calibration import calibration_answer

_PROFILE = f"How candidates are ordered: {', '.join(PROFILES)}, or one of your own."


def calibrate(
    profile: Annotated[str, typer.Option(help=_PROFILE)] = REVIEW.name,
    data: Data = None,
    json: Json = False,
) -> None:
    """Learn from the catalogue how likely a score is the same animal, and how far down a list one has to look."""
    services = open_services(data)
    services.reindex.catch_up()
    with show.Bar("asking", quiet=json) as bar:
        made = services.calibrate(profile_named(profile), bar.at)
    if json:
        show.console.file.write(calibration_answer(made).model_dump_json(indent=1) + "\n")
    else:
        _printed(made)


def _printed(made: Calibrated) -> None:
    asked = f"{made.queries} photographs of {made.encounters} encounters of {made.individuals} animals"
    show.console.print(
        f"calibration {made.calibration_id} for profile {made.purpose.profile}, on {made.fitted_on}: {asked}, each "
        "asked with its own encounter left out; errors are on animals that were not fitted on.",
        highlight=False,
    )
    show.console.print(_errors(made))
    show.console.print(_bins(made))
    for verdict in (Verdict.LOOK_AT, Verdict.NOT_REACHABLE):
        figures = [figure for figure in made.meter if figure.verdict is verdict]
        if figures:
            show.console.print(_figures(figures))
    if few := sum(figure.verdict is Verdict.TOO_FEW for figure in made.meter):
        show.console.print(f"{few} figures of the meter are left out: too few encounters.", highlight=False)


def _errors(made: Calibrated) -> Table:
    table = Table(
        "gallery", "probability", "calibration error", "Brier", "came true", "statements", "animals", box=None
    )
    for one in made.judged:
        found = one.reliability
        numbers = (f"{found.error:.4f}", f"{found.brier:.4f}", f"{found.base:.3f}", str(found.count))
        table.add_row(one.kind, _of(one.listed), *numbers, str(found.individuals))
    return table


def _bins(made: Calibrated) -> Table:
    """The reliability diagram of mixed galleries as a table."""
    table = Table("probability", "stated", "came true", "encounters", box=None)
    for one in made.judged:
        if one.kind is ViewPair.ANY:
            for bar in one.reliability.bins:
                row = (f"{bar.low:.1f}-{bar.high:.1f}", f"{bar.stated:.3f}", f"{bar.true:.3f}", f"{bar.weight:.1f}")
                table.add_row(f"{_of(one.listed)} {row[0]}", *row[1:])
    return table


def _figures(figures: list[Figure]) -> Table:
    titles = (
        "gallery",
        "list by",
        "years between",
        "animals searched",
        "missed",
        "look at",
        "95 % interval",
        "whole list",
    )
    table = Table(*titles, "encounters", "animals", box=None)
    for one in figures:
        between = f"{_number(one.low)} to {_number(one.high)}"
        gap = "-" if one.gap is YearGap.ANY else str(one.gap)
        facts = (one.kind, one.listed, gap, str(one.individuals), f"< {one.missed:.0%}", _number(one.look_at), between)
        table.add_row(*facts, f"misses {one.unfound:.1%}", str(one.encounters), str(one.animals))
    return table


def _of(listed: Listed | None) -> str:
    return f"same, by {listed}" if listed else "new"


def _number(places: int | None) -> str:
    return "not reachable" if places is None else str(places)
