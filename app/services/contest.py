"""Contest: answer a folder in the contest's code-execution layout, without a catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.domain.catalogue import Sighting
from app.domain.ensemble import Float32, Space
from app.domain.errors import BadImage, BadRows, BadScenario, Fault, TooLarge
from app.domain.frozen import Frozen
from app.domain.partition import NOBODY, UNDATED, VIEWPOINTS, Gallery, Int64
from app.domain.photograph import Photograph
from app.domain.ports import Embedder, Images, ScenarioPacks, Sheet
from app.domain.ports_evaluate import FrozenVectors, VectorCache
from app.domain.profiles import Profile
from app.domain.scenario import Prediction, ScenarioPack, check_pack
from app.services.evaluate_predict import predict

SUBMISSION = "submission.csv"
_BATCH, _AHEAD, _FAULTS = 64, 2, 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Submitted:
    """The pack that was answered, why photographs are left out, and queries whose rows are only filled up."""

    pack: ScenarioPack
    unreadable: tuple[str, ...]
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contest:
    """The use case: every photograph that a scenario names is embedded once, then each scenario is ranked.

    ``open_sheet`` opens the folder with metadata.csv; ``cache`` keeps vectors, so that a run that was cut short, or
    another pack of the same photographs, embeds nothing twice.
    """

    open_sheet: Callable[[Path], Sheet]
    images: Images
    embedder: Embedder
    packs: ScenarioPacks
    frozen: FrozenVectors
    cache: VectorCache

    def __call__(self, folder: Path, out: Path, profile: Profile, progress: Progress | None = None) -> Submitted:
        """Write submission.csv into ``out`` and tell what it answers.

        ``progress`` is called with (photographs embedded or found in the cache, photographs). Raises BadScenario for a
        broken pack or an image that metadata.csv does not list, BadRows for a broken sheet, and Unavailable. A
        photograph that cannot be used is never found; a query of one has rows of the lowest score.
        """
        pack = self.packs.read(folder)
        check_pack(pack)
        sheet = self.open_sheet(folder)
        sightings = _named(pack, sheet)
        unreadable: list[str] = []
        frozen = self._frozen(sheet, sightings, unreadable, progress)
        snapshot, ids = self.frozen.snapshot(frozen), {one.source_id: n for n, one in enumerate(sightings, start=1)}
        rows: list[Prediction] = []
        for scenario in pack.scenarios:
            rows += predict(scenario, ids, snapshot, self.embedder.ensemble, profile, fill=True)
        out.mkdir(parents=True, exist_ok=True)
        self.packs.write_predictions(out / SUBMISSION, rows)
        answered = {row.query_id for row in rows if row.score > 0.0}
        asked = [query.query_id for scenario in pack.scenarios for query in scenario.queries]
        return Submitted(pack, tuple(unreadable), tuple(one for one in asked if one not in answered))

    def _frozen(
        self, sheet: Sheet, sightings: Sequence[Sighting], unreadable: list[str], progress: Progress | None
    ) -> Frozen:
        """Every photograph's vectors, as a snapshot has them; ids count the sightings from 1.

        Why a photograph has none goes into ``unreadable``.
        """
        active = {space.name: space.fingerprint for space in self.embedder.active_spaces()}
        vectors: dict[str, dict[int, Float32]] = {space.name: {} for space in self.embedder.ensemble.spaces}
        # The next photographs are read and decoded while the ensemble computes on the ones before.
        with ThreadPoolExecutor(1) as ahead:
            batches = [sightings[start : start + _BATCH] for start in range(0, len(sightings), _BATCH)]
            coming = [ahead.submit(self._opened, sheet, batch, active) for batch in batches[:_AHEAD]]
            done = 0
            for place in range(len(batches)):
                opened = coming.pop(0).result()
                unreadable += [one.fault for one in opened if one.fault]
                if place + _AHEAD < len(batches):
                    coming.append(ahead.submit(self._opened, sheet, batches[place + _AHEAD], active))
                for space in self.embedder.ensemble.spaces:
                    found = self._vectors(space, opened, active[space.name])
                    vectors[space.name] |= {done + 1 + n: vector for n, vector in found.items()}
                done += len(opened)
                if progress:
                    progress(done, len(sightings))
        stacked = {
            space.name: _stacked(vectors[space.name], space.dimension) for space in self.embedder.ensemble.spaces
        }
        return Frozen(0, active, _gallery(sightings), stacked)

    def _opened(self, sheet: Sheet, batch: Sequence[Sighting], active: Mapping[str, str]) -> list[_Opened]:
        """Photographs by their content, decoded only where the cache lacks a vector."""
        contents = [sheet.read(one.path) for one in batch]
        keys = [_key(content, one) for content, one in zip(contents, batch, strict=True)]
        held = {name: self.cache.get(fingerprint, keys) for name, fingerprint in active.items()}
        opened = []
        for one, key, content in zip(batch, keys, contents, strict=True):
            own = {name: vectors[key] for name, vectors in held.items() if key in vectors}
            served = [space for space in self.embedder.ensemble.spaces if one.viewpoint in space.viewpoints]
            photograph, fault = None, ""
            if any(space.name not in own for space in served):
                try:
                    photograph = self.images.decode(content, whole=one.box is not None)
                except (BadImage, TooLarge) as error:
                    fault = f"{one.source_id} ({one.path}): {error}"
            opened.append(_Opened(one, key, photograph, own, fault))
        return opened

    def _vectors(self, space: Space, opened: Sequence[_Opened], fingerprint: str) -> dict[int, Float32]:
        """The vectors of those photographs that a space serves, by their place; what is new goes into the cache."""
        served = [n for n, one in enumerate(opened) if one.sighting.viewpoint in space.viewpoints]
        new = [
            (n, one.photograph)
            for n, one in enumerate(opened)
            if n in served and space.name not in one.held and one.photograph is not None
        ]
        crops = [(photograph, opened[n].sighting.box) for n, photograph in new]
        found = {n: opened[n].held[space.name] for n in served if space.name in opened[n].held}
        if crops:
            block = self.embedder.embed(crops, [space])[space.name]
            self.cache.put(fingerprint, {opened[n].key: row for (n, _), row in zip(new, block, strict=True)})
            found |= {n: row for (n, _), row in zip(new, block, strict=True)}
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A photograph of a batch: decoded where a vector is lacking, with the vectors that the cache held.

    ``fault`` says why it could not be decoded.
    """

    sighting: Sighting
    key: str
    photograph: Photograph | None
    held: Mapping[str, Float32]
    fault: str


def _key(content: bytes, one: Sighting) -> str:
    """What tells vectors of one space apart: the photograph's bytes and the box in it."""
    box = "" if one.box is None else f"-{one.box.x}-{one.box.y}-{one.box.width}-{one.box.height}"
    return hashlib.sha256(content).hexdigest() + box


def _named(pack: ScenarioPack, sheet: Sheet) -> list[Sighting]:
    """The rows of the sheet that the pack names, by their ids; others are never opened."""
    wanted = {query.image_id for scenario in pack.scenarios for query in scenario.queries}
    wanted |= {name for scenario in pack.scenarios for name in scenario.gallery}
    found: dict[str, Sighting] = {}
    faults = []
    for row in sheet.sightings():
        if isinstance(row, Fault):
            faults.append(row)
        elif row.source_id in wanted:
            found[row.source_id] = row
    if faults:
        raise BadRows(faults[:_FAULTS], len(faults))
    if lacking := wanted - found.keys():
        raise BadScenario(f"{len(lacking)} image(s) of the pack are not in metadata.csv, such as {min(lacking)!r}")
    return [found[name] for name in sorted(found)]


def _stacked(vectors: Mapping[int, Float32], dimension: int) -> tuple[Int64, Float32]:
    ids = sorted(vectors)
    rows = np.array([vectors[one] for one in ids], np.float32).reshape(-1, dimension)
    return np.array(ids, np.int64), rows


def _gallery(sightings: Sequence[Sighting]) -> Gallery:
    """The columns that ranking may look at; nobody has a name here."""
    ids = np.arange(1, len(sightings) + 1, dtype=np.int64)
    days = [one.captured.day.toordinal() if one.captured.day else UNDATED for one in sightings]
    return Gallery(
        annotation=ids,
        individual=np.full(len(ids), NOBODY, np.int64),
        encounter=np.full(len(ids), NOBODY, np.int64),
        image=ids,
        viewpoint=np.array([VIEWPOINTS.index(one.viewpoint) for one in sightings], np.int64),
        year=np.array([one.captured.year for one in sightings], np.int64),
        day=np.array(days, np.int64),
        phash=np.zeros(len(ids), np.int64),
        fold=ids,
    )
