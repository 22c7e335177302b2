"""What the commands that measure print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from app.cli_show import Bar, console, print_json, waiting
from app.domain.comparison import Difference
from app.domain.evaluation import Evaluation, ScenarioScore
from app.domain.published import finalists
from app.domain.scenario_kinds import Built
from app.services.contest import Submitted

__all__ = ["Bar", "built", "evaluated", "scored", "submitted", "waiting"]


def evaluated(run_id: str, evaluation: Evaluation, pairs: Sequence[Difference], out: Path, *, as_json: bool) -> None:
    """Scores of a pack, how they differ from an earlier run, and where the documents went."""
    scores = evaluation.scores()
    if as_json:
        document: dict[str, object] = {"evaluation_id": run_id, "out": str(out), "pins": asdict(evaluation.pins)}
        document |= {
            "unanswered": evaluation.unanswered,
            "scenarios": [asdict(one) for one in scores[:-1]],
            "pooled": asdict(scores[-1]),
        }
        print_json(document | {"differences": [asdict(one) for one in pairs]})
        return
    scored(scores, as_json=False)
    if evaluation.unanswered:
        warn(f"{evaluation.unanswered} queries have nothing that they could be compared with: they count as missed")
    if pairs:
        compared(pairs)
    where = f"predictions.csv, scores.json and report.html in {out}"
    console.print(f"evaluation {run_id}: {where}", highlight=False, soft_wrap=True)


def scored(scores: Iterable[ScenarioScore], *, as_json: bool) -> None:
    """mAP@20 a scenario beside the other-encounter figure, and what the contest's finalists reached on theirs."""
    if as_json:
        print_json([asdict(one) for one in scores])
        return
    columns = ("scenario", "queries", "gallery", "mAP@20", "95 %", "top-1", "top-20")
    table = Table(*columns, "other encounter: mAP@20", "top-20", "finalists*", box=None)
    for one in scores:
        score, other = one.score, one.other_encounter
        interval = score.intervals.get("map20") if score else None
        table.add_row(
            one.name,
            str(one.queries),
            str(one.gallery),
            f"{score.map20:.4f}" if score else "-",
            f"{interval.low:.3f}-{interval.high:.3f}" if interval else "-",
            *((f"{score.top1:.4f}", f"{score.top20:.4f}") if score else ("-", "-")),
            *((f"{other.map20:.4f}", f"{other.top20:.4f}") if other else ("-", "-")),
            finalists(one.name) or "-",
        )
    console.print(table)
    console.print("* the contest's four winners on other photographs of other animals", highlight=False)


def compared(pairs: Iterable[Difference]) -> None:
    """Paired differences with their intervals."""
    table = Table("scenario", "queries", "difference", "95 %", "better", "worse", box=None)
    for one in pairs:
        interval = f"{one.interval.low:+.4f} to {one.interval.high:+.4f}" if one.interval else "-"
        table.add_row(one.name, str(one.queries), f"{one.mean:+.4f}", interval, str(one.better), str(one.worse))
    console.print(table)


def warn(words: str) -> None:
    """A sentence to be noticed."""
    console.print(words, style="yellow", markup=False, highlight=False, soft_wrap=True)


def submitted(found: Submitted, path: Path, *, as_json: bool) -> None:
    """Where the answer to a contest's folder lies, and what it had to do without."""
    pack = found.pack
    queries = sum(len(scenario.queries) for scenario in pack.scenarios)
    if as_json:
        told: dict[str, object] = {"submission": str(path), "scenarios": len(pack.scenarios), "queries": queries}
        print_json(told | {"unreadable": found.unreadable, "filled": found.filled})
    else:
        for words in found.unreadable:
            warn(f"left out {words}")
        if found.filled:
            warn(
                f"{len(found.filled)} queries could not be answered and hold any photographs, such as {found.filled[0]}"
            )
        console.print(f"{queries} queries of {len(pack.scenarios)} scenarios answered in {path}", highlight=False)


def built(found: Built, out: Path, *, as_json: bool) -> None:
    """The scenarios of a pack, and the kinds that were left out."""
    if as_json:
        rows: list[dict[str, object]] = [
            {"scenario": one.scenario_id, "queries": len(one.queries), "gallery": len(one.gallery)}
            for one in found.pack.scenarios
        ]
        print_json({"out": str(out), "scenarios": rows, "unfilled": [asdict(one) for one in found.unfilled]})
        return
    table = Table("scenario", "queries", "gallery", box=None)
    for one in found.pack.scenarios:
        table.add_row(one.scenario_id, str(len(one.queries)), str(len(one.gallery)))
    console.print(table)
    for left in found.unfilled:
        console.print(f"left out {left.kind}: {left.reason}", style="yellow", markup=False, highlight=False)
    console.print(f"pack in {out}", highlight=False)
