"""Scenario packs and predictions in the contest's csv files."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from app.disk import disk_errors
from app.domain.cells import parse_path, shown
from app.domain.errors import BadRows, BadScenario, Fault, Unavailable
from app.domain.records import columns, missing_columns, ragged, records
from app.domain.scenario import Prediction, Query, Scenario, ScenarioPack, Truth, check_pack

PACK = "query_scenarios.csv"
TRUTH = "ground_truth.csv"
OTHER_ENCOUNTER = "ground_truth_other_encounter.csv"
PACK_COLUMNS = ("scenario_id", "queries_path", "database_path")
QUERY_COLUMNS = ("query_id", "query_image_id")
DATABASE_COLUMNS = ("database_image_id",)
TRUTH_COLUMNS = ("query_id", "database_image_id")
PREDICTIONS = ("query_id", "database_image_id", "score")

_QUERIES, _DATABASES = "queries", "databases"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_CHUNK = 1 << 18


class CsvScenarios:
    """The ScenarioPacks port; every fault names its file and line."""

    def read(self, folder: Path) -> ScenarioPack:
        """The checked pack in ``folder``; the ground truths may be absent. Raises BadScenario."""
        truth, other = folder / TRUTH, folder / OTHER_ENCOUNTER
        pack = ScenarioPack(
            scenarios=(scenarios := tuple(_scenarios(folder))),
            truth=_truth(truth, scenarios) if truth.exists() else {},
            other_encounter=_truth(other, scenarios) if other.exists() else None,
        )
        check_pack(pack)
        return pack

    def read_predictions(self, path: Path) -> list[Prediction]:
        """The rows of a prediction file with exactly the contest's columns; raises BadScenario.

        Whether they fit a scenario is for ``check_predictions`` to say.
        """
        return list(_predictions(path))

    def write(self, folder: Path, pack: ScenarioPack) -> None:
        """Write a pack into a folder, made when missing, as the contest lays it out. Raises Unavailable, StorageFull.

        A scenario's files are named for it where its id can be a file's name, else for its place.
        """
        with _written(folder.name):
            for place in (folder / _QUERIES, folder / _DATABASES):
                place.mkdir(parents=True, exist_ok=True)
        listed = []
        for number, scenario in enumerate(pack.scenarios, start=1):
            name = f"{scenario.scenario_id if _PLAIN.fullmatch(scenario.scenario_id) else number}.csv"
            listed.append((scenario.scenario_id, f"{_QUERIES}/{name}", f"{_DATABASES}/{name}"))
            asked = [(query.query_id, query.image_id) for query in scenario.queries]
            _sheet(folder / _QUERIES / name, QUERY_COLUMNS, asked)
            _sheet(folder / _DATABASES / name, DATABASE_COLUMNS, [(image_id,) for image_id in scenario.gallery])
        for file, truth in ((TRUTH, pack.truth or None), (OTHER_ENCOUNTER, pack.other_encounter)):
            if truth is not None:
                pairs = [(query_id, image) for query_id, images in truth.items() for image in sorted(images)]
                _sheet(folder / file, TRUTH_COLUMNS, pairs)
        _sheet(folder / PACK, PACK_COLUMNS, listed)

    def write_predictions(self, path: Path, predictions: Iterable[Prediction]) -> None:
        """Write predictions as the contest wants them; the file appears whole or not at all.

        Raises Unavailable, StorageFull.
        """
        # repr keeps every digit: what is read back is what was scored.
        rows = ((row.query_id, row.image_id, repr(float(row.score))) for row in predictions)
        _sheet(path, PREDICTIONS, rows)


def _sheet(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    part = path.with_name(f"{path.name}.part")
    with _written(path.name):
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                sheet = csv.writer(file, lineterminator="\n")
                sheet.writerow(header)
                sheet.writerows(rows)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _written(name: str) -> AbstractContextManager[None]:
    return disk_errors(
        f"the disk is full: {name} was not written", lambda why: Unavailable(f"{name} cannot be written: {why}")
    )


def _scenarios(folder: Path) -> Iterator[Scenario]:
    scenarios, everywhere = _Once(PACK, "scenario"), dict[str, str]()
    for row, (scenario_id, queries, database) in _table(folder / PACK, PACK_COLUMNS):
        scenarios.add(row, scenario_id)
        asked = _table(_beside(folder, row, queries), QUERY_COLUMNS, name=queries)
        searched = _table(_beside(folder, row, database), DATABASE_COLUMNS, name=database)
        found = []
        for line, (query_id, image_id) in asked:
            if query_id in everywhere:
                raise BadScenario(
                    f"{queries}, line {line}: query {query_id!r} appears more than once (first: {everywhere[query_id]})"
                )
            everywhere[query_id] = f"{queries}, line {line}"
            found.append(Query(query_id, image_id))
        gallery = _Once(database, f"{scenario_id} database image")
        for line, (image_id,) in searched:
            gallery.add(line, image_id)
        yield Scenario(scenario_id, tuple(found), tuple(gallery.lines))


class _Once:
    """Names of one file that may each appear once, with their lines; raises BadScenario for a second time."""

    def __init__(self, file: str, what: str) -> None:
        self.lines: dict[str, int] = {}
        self._file, self._what = file, what

    def add(self, line: int, name: str) -> None:
        if (first := self.lines.setdefault(name, line)) != line:
            raise BadScenario(
                f"{self._file}, line {line}: {self._what} {name!r} appears more than once (first: line {first})"
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


def _truth(path: Path, scenarios: Sequence[Scenario]) -> Truth:
    """Matches by query; raises BadScenario for a line that no scenario of the pack can hold."""
    asked = {query.query_id: (query.image_id, scenario) for scenario in scenarios for query in scenario.queries}
    galleries = {scenario.scenario_id: frozenset(scenario.gallery) for scenario in scenarios}
    matches: dict[str, set[str]] = defaultdict(set)
    for row, (query_id, image_id) in _table(path, TRUTH_COLUMNS):
        where = f"{path.name}, line {row}"
        if query_id not in asked:
            raise BadScenario(f"{where}: the query {query_id!r}, which no scenario holds")
        own, scenario = asked[query_id]
        if image_id not in galleries[scenario.scenario_id]:
            stray = f"{image_id!r} of {query_id!r}, which is not in its database"
            raise BadScenario(f"{where}: {stray} ({scenario.scenario_id})")
        if image_id == own:
            raise BadScenario(f"{where}: {query_id!r} names its own photograph {own!r} as a match")
        if image_id in matches[query_id]:
            raise BadScenario(f"{where}: {query_id!r}, {image_id!r} stands there twice")
        matches[query_id].add(image_id)
    return {query_id: frozenset(images) for query_id, images in matches.items()}


def _predictions(path: Path) -> Iterator[Prediction]:
    for row, (query_id, image_id, text) in _table(path, PREDICTIONS, exactly=True):
        try:
            yield Prediction(query_id, image_id, float(text), row)
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
