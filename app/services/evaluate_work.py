"""The work of an evaluation: freeze, then a scenario a step, then the three documents.

The first step keeps what the catalogue and the index hold of the pack's photographs; every later one works on that
alone. So a step may be repeated after a kill, edits of the catalogue do not reach an evaluation that has begun, and the
same pins give the same files byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial

import numpy as np

from app.domain.calibration_record import purpose_of
from app.domain.errors import BadScenario, Conflict, InvalidInput, ResightError, Unavailable
from app.domain.evaluation import Evaluation, Pinned, Pins, gallery_sizes, readable
from app.domain.frozen import Frozen
from app.domain.jobs import JSON, Step
from app.domain.outcomes import outcomes
from app.domain.own_profiles import profile_of
from app.domain.ports import Blobs, Catalogue, Embedder, Images, ScenarioPacks, Snapshot, VectorIndex
from app.domain.ports_calibrations import KnownCalibrations
from app.domain.ports_evaluate import FrozenVectors, Reports, Runs
from app.domain.profiles import CONTEST, Profile, profile_named
from app.domain.report import Calibration
from app.domain.scenario import Prediction, ScenarioPack, Truth, by_query
from app.domain.slices import Facts
from app.services.evaluate_desk import Bench, Desk
from app.services.evaluate_predict import predict
from app.services.evaluate_report import Album, figures, report, shown
from app.services.rank import current_snapshot

PREDICTIONS, SCORES, REPORT = "predictions.csv", "scores.json", "report.html"
JOB, SUMMARY = "job.json", "summary.json"
PACK = "pack"
THUMBNAIL = 160

_REQUEST, _PINS, _VECTORS = "request.json", "pins.json", "vectors.npz"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an evaluation was asked for: a ranking profile, an earlier run to compare with, kinds left out and why.

    ``scenarios`` counts those of its pack, 0 before it is recorded.
    """

    name: str = ""
    profile: str = CONTEST.name
    against: str | None = None
    unfilled: tuple[str, ...] = ()
    scenarios: int = 0

    def to_json(self) -> bytes:
        """As it is kept beside the pack."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_json(text: bytes) -> Wanted:
        """What ``to_json`` wrote, here or in a later version with more to say; raises BadScenario for anything else."""
        with readable("the request of this evaluation"):
            raw = json.loads(text)
            known = {one.name: raw[one.name] for one in fields(Wanted) if one.name in raw}
            return Wanted(**known | {"unfilled": tuple(map(str, raw["unfilled"]))})


@dataclass(frozen=True, slots=True)
class EvaluationWork:
    """The Work of evaluations; nothing is embedded, every vector is one that the index stores."""

    catalogue: Catalogue
    blobs: Blobs
    images: Images
    embedder: Embedder
    index: VectorIndex
    packs: ScenarioPacks
    runs: Runs
    frozen: FrozenVectors
    reports: Reports
    release: str
    calibrations: Sequence[KnownCalibrations] = ()
    _desk: Desk = field(default_factory=Desk, init=False, compare=False, repr=False)

    def step(self, arguments: Mapping[str, JSON], seen: int) -> Step:  # noqa: ARG002 - what is on disk says what is left
        """Freeze, predict a scenario or finish, whichever is next.

        Raises BadScenario when the catalogue or its index lacks an image, InvalidInput when the ensemble was changed
        meanwhile, and Unavailable.
        """
        run_id = str(arguments["evaluation_id"])
        pack = self._desk.pack(run_id) or self._desk.open(run_id, self.pack(run_id))
        total = len(pack.scenarios) + 2
        done = self.done(run_id, total)
        if done == 0:
            self._freeze(run_id, pack)
        elif done < total - 1:
            self._predict(run_id, pack, done - 1)
        elif done < total:
            self._finish(run_id, pack)
        done = min(done + 1, total)
        if done == total:
            _tidy(self, run_id)
        return Step(done, total, finished=done == total, result={"evaluation_id": run_id})

    def pack(self, run_id: str) -> ScenarioPack:
        """The pack of an evaluation; raises UnknownEvaluation, BadScenario."""
        return self.packs.read(self.runs.folder(run_id) / PACK)

    def wanted(self, run_id: str) -> Wanted:
        """What an evaluation was asked for; raises UnknownEvaluation, BadScenario."""
        return Wanted.from_json(self.runs.get(run_id, _REQUEST) or b"")

    def done(self, run_id: str, total: int) -> int:
        """How many of its ``total`` steps are behind an evaluation, by the documents that it has."""
        folder = self.runs.folder(run_id)
        if (folder / REPORT).exists():
            return total
        if not (folder / _PINS).exists():
            return 0
        return 1 + next((n for n in range(total - 2) if not (folder / _rows(n)).exists()), total - 2)

    def evaluation(self, run_id: str) -> Evaluation:
        """What an evaluation that has ended found; raises UnknownEvaluation, Conflict, BadScenario."""
        scores = self.runs.get(run_id, SCORES)
        if scores is None or not (self.runs.folder(run_id) / REPORT).exists():
            raise Conflict(f"the evaluation {run_id} has not ended")
        return Evaluation.from_json(scores)

    def ids(self, pack: ScenarioPack) -> Mapping[str, int]:
        """The annotation of each image of a pack; raises BadScenario for one that the catalogue does not hold."""
        names = {query.image_id for scenario in pack.scenarios for query in scenario.queries}
        names |= {name for scenario in pack.scenarios for name in scenario.gallery}
        ids = self.catalogue.annotation_ids(names)
        if lacking := names - ids.keys():
            raise BadScenario(f"{len(lacking)} image(s) of the pack are not in the catalogue, such as {min(lacking)!r}")
        return ids

    def _freeze(self, run_id: str, pack: ScenarioPack) -> None:
        """Keep vectors and facts of one catalogue version; the pins are written last and so vouch for them."""
        for _ in range(_ATTEMPTS):
            snapshot = _current(self)
            ids = self.ids(pack)
            found = self.catalogue.annotations(ids.values())
            if self.catalogue.version() == snapshot.catalogue_version:
                break
        else:
            raise Unavailable("the catalogue kept changing while the evaluation began; it is tried again")
        self.frozen.write(
            self.runs.folder(run_id) / _VECTORS, Frozen.of(snapshot, np.array(sorted(ids.values()), np.int64))
        )
        pinned = {}
        for name, number in sorted(ids.items()):
            one = found[number]
            longest = max((one.box.width, one.box.height) if one.box else (one.image.width, one.image.height))
            facts = Facts(one.viewpoint, one.captured.year, longest, one.individual, one.encounter)
            pinned[name] = asdict(Pinned(number, facts, one.image.sha256, one.box))
        profile, ensemble = profile_named(self.wanted(run_id).profile), self.embedder.ensemble
        calibration = _calibration(self, profile)
        pins = Pins(
            catalogue_version=snapshot.catalogue_version,
            ensemble=ensemble.name,
            ensemble_version=ensemble.version,
            manifest_sha256=ensemble.manifest_sha256,
            spaces=dict(sorted(snapshot.fingerprints.items())),
            profile=profile.name,
            settings=profile.settings(),
            pack_sha256=pack_sha256(pack),
            release=self.release,
            calibration=calibration.fitted_on if calibration else "",
        )
        kept = {"pins": asdict(pins), "photographs": pinned, "calibration": calibration and asdict(calibration)}
        self.runs.put(run_id, _PINS, json.dumps(kept).encode())

    def _predict(self, run_id: str, pack: ScenarioPack, number: int) -> None:
        """Rank one scenario in the frozen vectors; raises InvalidInput when the ensemble was changed meanwhile."""
        bench, ensemble = self._bench(run_id), self.embedder.ensemble
        pins, snapshot = bench.pins, bench.snapshot or self._thawed(run_id)
        if ensemble.manifest_sha256 != pins.manifest_sha256:
            raise InvalidInput(f"this evaluation was begun with the ensemble {pins.ensemble!r}; begin it again")
        ids = {name: one.annotation_id for name, one in bench.photographs.items()}
        rows = predict(pack.scenarios[number], ids, snapshot, ensemble, profile_of(pins.profile, pins.settings))
        self.packs.write_predictions(self.runs.folder(run_id) / _rows(number), rows)

    def _bench(self, run_id: str) -> Bench:
        """What the first step pinned, read once while the work goes on."""
        text = self.runs.get(run_id, _PINS) or b""
        if held := self._desk.bench(text):
            return held
        raw = json.loads(text)
        photographs = {name: Pinned.from_json(one) for name, one in raw["photographs"].items()}
        return self._desk.lay(text, Bench(Pins(**raw["pins"]), photographs, Calibration.from_json(raw["calibration"])))

    def _thawed(self, run_id: str) -> Snapshot:
        """The vectors that the first step froze, read once as well."""
        frozen = self.frozen.read(self.runs.folder(run_id) / _VECTORS)
        if frozen is None:
            self.runs.drop(run_id, _PINS)
            raise Unavailable("the vectors of this evaluation were damaged; they are frozen again")
        bench = replace(self._bench(run_id), snapshot=(snapshot := self.frozen.snapshot(frozen)))
        self._desk.lay(self.runs.get(run_id, _PINS) or b"", bench)
        return snapshot

    def _finish(self, run_id: str, pack: ScenarioPack) -> None:
        """Score all rows and write the documents; the report is the last one and so vouches for the others."""
        bench, folder, wanted = self._bench(run_id), self.runs.folder(run_id), self.wanted(run_id)
        pins, photographs = bench.pins, bench.photographs
        rows = [row for n in range(len(pack.scenarios)) for row in self.packs.read_predictions(folder / _rows(n))]
        evaluation = _evaluation(pack, rows, pins, photographs)
        against = self.evaluation(wanted.against) if wanted.against else None
        parts = figures(pack, evaluation, photographs, against)
        album = Album(pack, by_query(rows), photographs, partial(_thumbnail, self, photographs))
        page = report(parts, evaluation, album, wanted.unfilled, bench.calibration)
        self.packs.write_predictions(folder / PREDICTIONS, rows)
        self.runs.put(run_id, SCORES, evaluation.to_json(parts.document()))
        self.runs.put(run_id, SUMMARY, evaluation.digest().to_json())
        self.runs.put(run_id, REPORT, self.reports.render(page))
        self._desk.clear()


def _tidy(work: EvaluationWork, run_id: str) -> None:
    """Forget what only the way to the report needed, and what kills have left; done again after one."""
    for pattern in (_VECTORS, "rows-*.csv", "*.partial"):
        work.runs.drop(run_id, pattern)


def _current(work: EvaluationWork) -> Snapshot:
    """The generation of the catalogue as it is now, built first when the catalogue has moved on."""
    snapshot = current_snapshot(work.index, work.embedder)
    if snapshot.catalogue_version != work.catalogue.version():
        work.index.refresh(work.catalogue)
        snapshot = current_snapshot(work.index, work.embedder)
    return snapshot


def _calibration(work: EvaluationWork, profile: Profile) -> Calibration | None:
    """What the report will show of the calibration in force now: the catalogue's own before the release's."""
    purpose = purpose_of(work.embedder.ensemble.manifest_sha256, profile)
    return shown(next((found for one in work.calibrations if (found := one.newest(purpose))), None))


def _thumbnail(work: EvaluationWork, photographs: Mapping[str, Pinned], image_id: str) -> bytes | None:
    """A small JPEG of a photograph's box; None where the original cannot be read: a report does without."""
    one = photographs[image_id]
    try:
        photograph = work.images.decode(work.blobs.get(one.sha256), whole=one.box is not None)
        return work.images.render(photograph, longest=THUMBNAIL, box=one.box)
    except ResightError:
        return None


def pack_sha256(pack: ScenarioPack) -> str:
    """A hash of scenarios and truths that does not depend on the files that they came in."""
    truths = [None if truth is None else {q: sorted(m) for q, m in sorted(truth.items())} for truth in _truths(pack)]
    text = json.dumps([[asdict(scenario) for scenario in pack.scenarios], truths], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _truths(pack: ScenarioPack) -> tuple[Truth, Truth | None]:
    return pack.truth, pack.other_encounter


def _rows(number: int) -> str:
    return f"rows-{number:04}.csv"


def _evaluation(
    pack: ScenarioPack, rows: Sequence[Prediction], pins: Pins, photographs: Mapping[str, Pinned]
) -> Evaluation:
    gathered, elsewhere = by_query(rows), pack.other_encounter or {}
    found = tuple(one for s in pack.scenarios for one in outcomes(s, gathered, pack.truth, elsewhere))
    named = {one.image_id: who for one in found if (who := photographs[one.image_id].facts.individual) is not None}
    return Evaluation(pins, gallery_sizes(pack), found, named)
