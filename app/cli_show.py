"""What the command line prints: tables on a terminal, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.domain.errors import BadRows, ResightError
from app.domain.ingestion import ImportReport
from app.domain.ports import Snapshot
from app.services.evaluate import Evaluation, ScenarioScore
from app.services.ingest import Plan
from app.services.match import MatchResult
from app.services.reindex import Verification

SYNTHETIC = "synthetic"
_SHOWN_REFUSALS = 20

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


def planned(plan: Plan, *, as_json: bool) -> None:
    """A sheet without fault."""
    if as_json:
        _json({"rows": len(plan.sightings), "faults": 0})
    else:
        console.print(f"{len(plan.sightings)} rows, no fault. Nothing was written.")


def imported(report: ImportReport, *, as_json: bool) -> None:
    """How an import ended, with a reason for each row that was refused."""
    if as_json:
        _json(asdict(report) | {"total": report.total})
        return
    counts = ", ".join(f"{count} {state}" for state, count in report.rows.items() if count)
    console.print(f"import {report.import_id} {report.state}: {report.total} rows: {counts}")
    for row, source_id, reason in report.refused[:_SHOWN_REFUSALS]:
        console.print(f"  row {row} ({source_id}): {reason}", style="yellow", markup=False)


def matched(result: MatchResult, *, as_json: bool) -> None:
    """Ranked candidates and the receipt."""
    receipt = result.receipt
    if as_json:
        versions = asdict(receipt)
        versions["scope"] = {name: value for name, value in versions["scope"].items() if value}
        _json({"candidates": [asdict(candidate) for candidate in result.candidates], "receipt": versions})
        return
    table = _candidates()
    for one in result.candidates:
        seen = one.annotation
        facts = (seen.individual, seen.source_id, seen.viewpoint, seen.captured.day, seen.encounter)
        table.add_row(*_cells(one.rank, one.score, one.same_photograph, *facts, one.days_between))
    console.print(table)
    _searched(
        f"{receipt.searched} of {receipt.gallery} annotations",
        receipt.removed,
        sum(receipt.milliseconds.values()),
        f"ensemble {receipt.ensemble} {receipt.ensemble_version}, catalogue version {receipt.catalogue_version}, "
        f"index generation {receipt.index_generation}",
    )


def answered(answer: Mapping[str, Any]) -> None:
    """The same as ``matched`` for an answer that came through the HTTP door."""
    table, receipt = _candidates(), answer["receipt"]
    for one in answer["candidates"]:
        facts = (
            one["individual"],
            one["source_id"],
            one["viewpoint"],
            one["date"] and one["date"][:10],
            one["encounter"],
        )
        table.add_row(*_cells(one["rank"], one["score"], one["same_photograph"], *facts, one["days_between"]))
    console.print(table)
    _searched(
        f"{receipt['searched']} of {receipt['gallery']} annotations",
        receipt["removed"],
        sum(receipt["milliseconds"].values()),
        "ensemble {name} {version}".format(**receipt["ensemble"]),
    )
    if any(one["source_id"].startswith(SYNTHETIC) for one in answer["candidates"]):
        console.print("These are synthetic animals, drawn by a generator.", style="yellow")


def _candidates() -> Table:
    table = Table(box=None)
    for title in ("rank", "score", "individual", "image", "view", "date", "encounter", "days between"):
        table.add_column(title, overflow="fold")
    return table


def _cells(rank: int, score: float, same: bool, *facts: object) -> list[str]:
    shown = f"{score:.4f}" + (" (same file)" if same else "")
    return [str(rank), shown, *("-" if fact is None else str(fact) for fact in facts)]


def _searched(what: str, removed: Mapping[str, int], milliseconds: float, versions: str) -> None:
    left_out = ", ".join(f"{count} by {name}" for name, count in removed.items() if count) or "none"
    console.print(f"searched {what} (left out: {left_out}) in {milliseconds:.0f} ms; {versions}.", highlight=False)
    console.print("The score orders candidates and is not a probability; the decision is yours.", highlight=False)


def evaluated(evaluation: Evaluation, out: Path, *, as_json: bool) -> None:
    """Scores of a pack, and where its predictions went."""
    if as_json:
        _json(asdict(evaluation) | {"predictions": str(out)})
        return
    scored([*evaluation.scenarios, evaluation.pooled], as_json=False)
    console.print(f"{len(evaluation.predictions)} predictions in {out}", highlight=False)


def scored(scores: Iterable[ScenarioScore], *, as_json: bool) -> None:
    """mAP@20 a scenario beside the other-encounter figure."""
    if as_json:
        _json([asdict(one) for one in scores])
        return
    columns = ("scenario", "queries", "gallery", "mAP@20", "top-1", "top-20", "other encounter: mAP@20", "top-20")
    table = Table(*columns, box=None)
    for one in scores:
        other = one.other_encounter
        figures = [one.score.map20, one.score.top1, one.score.top20]
        table.add_row(
            one.name,
            str(one.queries),
            str(one.gallery),
            *(f"{value:.4f}" for value in figures),
            *((f"{other.map20:.4f}", f"{other.top20:.4f}") if other else ("-", "-")),
        )
    console.print(table)


def indexed(snapshot: Snapshot, *, as_json: bool) -> None:
    """The generation that answers now."""
    facts = {"generation": snapshot.generation, "catalogue_version": snapshot.catalogue_version}
    facts["annotations"] = len(snapshot.gallery)
    if as_json:
        _json(facts)
    else:
        console.print("generation {generation}: {annotations} annotations".format(**facts), highlight=False)


def verified(found: Verification, *, as_json: bool) -> None:
    """Every fault that a read-only check found."""
    if as_json:
        _json(asdict(found) | {"sound": found.sound})
        return
    for sentence in (*found.index, *found.originals):
        console.print(sentence, style="yellow", markup=False)
    for space, count in found.lacking.items():
        if count:
            console.print(f"{count} annotations lack a vector in the space {space}", style="yellow", markup=False)
    console.print("sound" if found.sound else "not sound: `resight reindex` mends the index, never the originals")


def failed(error: ResightError) -> None:
    """One line for an error, and one for each fault of a sheet."""
    errors.print(f"{error.code}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    if isinstance(error, BadRows):
        for fault in error.faults[:_SHOWN_REFUSALS]:
            errors.print(
                f"  row {fault.row}, {fault.column}: {fault.reason}", markup=False, highlight=False, soft_wrap=True
            )


def _json(content: Any) -> None:
    console.file.write(json.dumps(content, default=_plain, indent=1) + "\n")


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset | set) else str(value)
