"""Scenario packs and predictions in the contest's csv files."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from app.domain.cells import parse_path, shown
from app.domain.errors import BadRows, BadScenario, Fault, Unavailable
from app.domain.records import columns, missing_columns, ragged, records
from app.domain.scenario import Prediction, Query, Scenario, ScenarioPack, Truth, check_pack

PACK = "query_scenarios.csv"
TRUTH = "ground_truth.csv"
OTHER_ENCOUNTER = "ground_truth_other_encounter.csv"
PREDICTIONS = ("query_id", "database_image_id", "score")
_CHUNK = 1 << 18


class CsvScenarios:
    """The ScenarioPacks port; every fault names its file and line."""

    def read(self, folder: Path) -> ScenarioPack:
        """The checked pack in ``folder``; the ground truths may be absent. Raises BadScenario."""
        truth, other = folder / TRUTH, folder / OTHER_ENCOUNTER
        pack = ScenarioPack(
            scenarios=tuple(_scenarios(folder)),
            truth=_truth(truth) if truth.exists() else {},
            other_encounter=_truth(other) if other.exists() else None,
        )
        check_pack(pack)
        return pack

    def read_predictions(self, path: Path) -> list[Prediction]:
        """The rows of a prediction file with exactly the contest's columns; raises BadScenario.

        Whether they fit a scenario is for ``check_predictions`` to say.
        """
        return list(_predictions(path))

    def write_predictions(self, path: Path, predictions: Iterable[Prediction]) -> None:
        """Write predictions as the contest wants them; the file appears whole or not at all. Raises Unavailable."""
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                sheet = csv.writer(file, lineterminator="\n")
                sheet.writerow(PREDICTIONS)
                # repr keeps every digit: what is read back is what was scored.
                sheet.writerows((row.query_id, row.image_id, repr(float(row.score))) for row in predictions)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise Unavailable(f"{path.name} cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)


def _scenarios(folder: Path) -> Iterator[Scenario]:
    for row, (scenario_id, queries, database) in _table(
        folder / PACK, ("scenario_id", "queries_path", "database_path")
    ):
        asked = _table(_beside(folder, row, queries), ("query_id", "query_image_id"), name=queries)
        searched = _table(_beside(folder, row, database), ("database_image_id",), name=database)
        yield Scenario(
            scenario_id,
            tuple(Query(query_id, image_id) for _, (query_id, image_id) in asked),
            tuple(image_id for _, (image_id,) in searched),
        )


def _beside(folder: Path, row: int, text: str) -> Path:
    """A file of the pack, which must not lead out of its folder."""
    try:
        path = folder / parse_path(text)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{shown(text)} leads out of the pack's folder")
    except (OSError, RuntimeError, ValueError) as error:
        raise BadScenario(f"{PACK}, line {row}: {error}") from error
    return path


def _truth(path: Path) -> Truth:
    matches: dict[str, set[str]] = defaultdict(set)
    for row, (query_id, image_id) in _table(path, ("query_id", "database_image_id")):
        if image_id in matches[query_id]:
            raise BadScenario(f"{path.name}, line {row}: {query_id!r}, {image_id!r} stands there twice")
        matches[query_id].add(image_id)
    return {query_id: frozenset(images) for query_id, images in matches.items()}


def _predictions(path: Path) -> Iterator[Prediction]:
    for row, (query_id, image_id, text) in _table(path, PREDICTIONS, exactly=True):
        try:
            yield Prediction(query_id, image_id, float(text))
        except ValueError as error:
            raise BadScenario(f"{path.name}, line {row}: the score {shown(text)} is not a number") from error


def _table(
    path: Path, wanted: Sequence[str], *, name: str = "", exactly: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """(line, wanted cells) of each row of a csv file; no wanted cell is empty. ``name`` is shown in messages."""
    try:
        yield from _rows(_chunks(path), wanted, exactly=exactly)
    except BadRows as error:
        first = error.faults[0]
        column = f", column {first.column}" if first.column else ""
        raise BadScenario(f"{name or path.name}, line {first.row}{column}: {first.reason}") from error
    except OSError as error:
        raise BadScenario(f"{name or path.name} cannot be read: {error.strerror}") from error


def _rows(chunks: Iterable[bytes], wanted: Sequence[str], *, exactly: bool) -> Iterator[tuple[int, list[str]]]:
    rows = records(chunks)
    _, header = next(rows, (1, [""]))
    positions = columns(header)
    if faults := missing_columns(positions, wanted):
        raise BadRows(faults)
    if exactly and tuple(header) != tuple(wanted):
        raise BadRows([Fault(1, "", f"the columns must be exactly {', '.join(wanted)}, in this order")])
    for row, cells in rows:
        if fault := ragged(row, cells, header):
            raise BadRows([fault])
        values = [cells[positions[name]].strip() for name in wanted]
        if "" in values:
            raise BadRows([Fault(row, wanted[values.index("")], "the cell is empty")])
        yield row, values


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
