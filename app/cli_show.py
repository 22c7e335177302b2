"""What the command line prints: tables on a terminal, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.domain.duplicates import Flagged
from app.domain.errors import BadRows, ResightError
from app.domain.ingestion import ImportReport, RowState
from app.domain.odds import percent
from app.domain.ports import Snapshot
from app.domain.survey import SYNTHETIC

_SHOWN = 20

# Where nobody watches, a line is as long as it is: a log must not cut an id short.
console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True)


class Bar:
    """A progress bar with the time left, on standard error; silent when ``quiet`` or when nobody watches."""

    def __init__(self, label: str, *, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=errors, disable=quiet or not errors.is_terminal)
        self._task = self._progress.add_task(label, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._progress.stop()

    def at(self, done: int, total: int) -> None:
        """Show how far the work is; a total of 0 is not known."""
        self._progress.update(self._task, completed=done, total=total or None)


def waiting(label: str, *, quiet: bool) -> AbstractContextManager[object]:
    """A sign of life for work that cannot say how far it is; silent when ``quiet`` or when nobody watches."""
    return nullcontext() if quiet or not errors.is_terminal else errors.status(label)


def planned(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """What an import of a sheet without fault would do, in the shape of a dry run of POST /imports."""
    if as_json:
        print_json(answer)
        return
    console.print(
        f"{answer['rows']} rows ({answer['format']}), no fault: {answer['new']} new, {answer['unchanged']} unchanged, "
        f"{answer['refused_rows']} would be refused. Nothing was written."
    )
    if answer["ignored_columns"]:
        console.print(f"Columns left alone: {', '.join(answer['ignored_columns'])}", markup=False)
    for row in answer["refused"][:_SHOWN]:
        console.print(f"  row {row['row']} ({row['source_id']}): {row['reason']}", style="yellow", markup=False)
    _more(console, answer["refused_rows"])


def imported(report: ImportReport, flags: Flagged | None, *, as_json: bool) -> None:
    """How an import ended, with a reason for each row that was refused."""
    if as_json:
        known = asdict(flags) if flags else {"near_duplicates": None, "bursts": None}
        print_json(asdict(report) | {"total": report.total} | known)
        return
    counts = ", ".join(f"{count} {state}" for state, count in report.rows.items() if count)
    console.print(f"import {report.import_id} {report.state}: {report.total} rows: {counts}")
    if flags and (flags.near_duplicates or flags.bursts):
        console.print(
            f"{flags.near_duplicates} are near-duplicates, {flags.bursts} are in bursts: see `resight duplicates`."
        )
    for row, source_id, reason in report.refused[:_SHOWN]:
        console.print(f"  row {row} ({source_id}): {reason}", style="yellow", markup=False)
    _more(console, report.rows.get(RowState.REFUSED, 0))


def answered(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """Ranked candidates and the receipt, in the shape of POST /match."""
    if as_json:
        print_json(answer)
        return
    table, receipt = Table(box=None), answer["receipt"]
    for title in ("rank", "same", "score", "individual", "image", "view", "date", "encounter", "days between"):
        table.add_column(title, overflow="fold")
    for one in answer["candidates"]:
        score = f"{one['score']:.4f}" + (" (same file)" if one["same_photograph"] else "")
        seen = (one["individual"], one["source_id"], one["viewpoint"], one["date"] and one["date"][:10])
        same = None if one["probability_same"] is None else percent(one["probability_same"])
        facts = (one["rank"], same, score, *seen, one["encounter"], one["days_between"])
        table.add_row(*("-" if fact is None else Text(str(fact)) for fact in facts))
    console.print(table)
    removed = ", ".join(f"{count} by {name}" for name, count in receipt["removed"].items() if count) or "none"
    searched = f"searched {receipt['searched']} of {receipt['gallery']} annotations (left out: {removed})"
    took = f"in {sum(receipt['milliseconds'].values()):.0f} ms"
    ensemble = "ensemble {name} {version}".format(**receipt["ensemble"])
    versions = "catalogue version {catalogue_version}, index generation {index_generation}".format(**receipt)
    console.print(f"{searched} {took}; {ensemble}, {versions}.", highlight=False, markup=False)
    _calibrated(answer)
    console.print("The score orders candidates and is not a probability; the decision is yours.", highlight=False)
    if any(one["source_id"].startswith(SYNTHETIC) for one in answer["candidates"]):
        console.print(f"These are {SYNTHETIC} animals, drawn by a generator.", style="yellow")


def _calibrated(answer: Mapping[str, Any]) -> None:
    """What a calibration says of the question as a whole, or that there is none."""
    note = answer["receipt"]["calibration"]
    if note is None:
        reason = answer["receipt"]["no_probabilities"]
        console.print(f"There are no probabilities: {reason}.", highlight=False, markup=False)
        return
    if answer["probability_new"] is not None:
        new = percent(answer["probability_new"])
        console.print(f"The animal is none of those searched with {new} probability.", highlight=False)
    console.print(f"Probabilities are fitted on {note['fitted_on']}.", highlight=False, markup=False)
    for sentence in note["meter"]:
        console.print(sentence, highlight=False, markup=False)


def indexed(snapshot: Snapshot, *, as_json: bool) -> None:
    """The generation that answers now."""
    facts = {"generation": snapshot.generation, "catalogue_version": snapshot.catalogue_version}
    facts["annotations"] = len(snapshot.gallery)
    if as_json:
        print_json(facts)
    else:
        console.print("generation {generation}: {annotations} annotations".format(**facts), highlight=False)


def failed(error: ResightError, *, as_json: bool) -> None:
    """One line for an error, and one for each fault of a sheet; for machines the same on standard output."""
    _say(f"{error.code}: {error}", style="red")
    faults = error.faults if isinstance(error, BadRows) else ()
    if as_json:
        problem: dict[str, Any] = {"code": error.code, "detail": str(error)}
        if isinstance(error, BadRows):
            problem |= {"faults": [asdict(fault) for fault in faults], "total": error.total}
        print_json(problem)
        return
    for fault in faults[:_SHOWN]:
        _say(f"  row {fault.row}, {fault.column}: {fault.reason}")
    if isinstance(error, BadRows):
        _more(errors, error.total)


def broken(error: OSError) -> None:
    """One line for a file or a device that cannot be used."""
    place = f"{error.filename}: " if error.filename else ""
    _say(f"resight: {place}{error.strerror or error}", style="red")


def _say(sentence: str, style: str | None = None) -> None:
    errors.print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)


def _more(where: Console, total: int) -> None:
    if total > _SHOWN:
        where.print(f"  … and {total - _SHOWN} more (--json lists up to 1,000)", highlight=False)


def print_json(content: Any) -> None:
    """An answer for machines, on standard output."""
    console.file.write(json.dumps(content, default=_plain, indent=1) + "\n")


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset | set) else str(value)
