"""The Annals port in memory: what editors change, on the dictionaries of the catalogue that it is a part of."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.domain.catalogue import Annotation, CaptureDate, DatePrecision, Image, Sighting, name_key
from app.domain.conflicts import Held, KnownNames, Remembered, crosscheck
from app.domain.curation import Amendment, Edition, Facts, plain
from app.domain.duplicates import UNTIMED
from app.domain.errors import Conflict, StaleRevision, UnknownAnnotation


class FakeAnnals:
    """The half of FakeCatalogue that editors see."""

    _lock: Any
    _version: int
    _annotations: dict[int, Annotation]
    _individuals: Any
    _encounters: Any
    _owners: dict[str, str]
    _vectors: Any
    _active: Any
    _past: dict[int, list[Edition]]
    _images: dict[str, Image]

    def kept(self, annotation_id: int) -> Annotation:
        if annotation_id not in self._annotations:
            raise UnknownAnnotation(str(annotation_id))
        return self._annotations[annotation_id]

    def embedded_in(self, annotation_id: int) -> set[str]:
        self.kept(annotation_id)
        held = {name: self._vectors[name, space.fingerprint] for name, space in self._active.items()}
        return {name for name, vectors in held.items() if annotation_id in vectors}

    def history(self, annotation_id: int) -> list[Edition]:
        self.kept(annotation_id)
        return list(self._past.get(annotation_id, []))

    def amend(self, amendment: Amendment) -> int:
        with self._lock:
            number, facts = amendment.annotation_id, amendment.facts
            held = self.kept(number)
            if held.revision != amendment.revision:
                raise StaleRevision(str(held.revision))
            if (Facts.of(held), held.removed) == (facts, amendment.removed):
                return held.revision
            if held.removed and amendment.removed:
                raise UnknownAnnotation(str(number))
            self._agree(held, facts)
            for name, vector in amendment.vectors.items():
                self._check(name, vector)
            self._version += 1
            self._settle(held, amendment)
            return self._version

    def unhashed(self, limit: int) -> list[str]:
        return [sha256 for sha256, image in self._images.items() if image.phash is None][:limit]

    def add_hashes(self, hashes: Mapping[str, int]) -> None:
        with self._lock:
            for sha256, bits in hashes.items():
                self._images[sha256] = replace(self._images[sha256], phash=bits)
            self._version += bool(hashes)

    def _check(self, space: str, vector: Any) -> None:
        raise NotImplementedError

    def _agree(self, held: Annotation, facts: Facts) -> None:
        others = [one for one in self._annotations.values() if one is not held]
        if any((one.image.sha256, one.box) == (held.image.sha256, facts.box) for one in others):
            raise Conflict("box")
        owners = {name_key(one.encounter): one.individual for one in others if one.encounter and one.individual}
        said = Sighting(held.source_id, "", *_said(facts))
        names = KnownNames(self._individuals.spelled, self._encounters.spelled, owners)
        if faults := crosscheck([said], Held([], names), Remembered()):
            raise Conflict(str(faults))

    def _settle(self, held: Annotation, amendment: Amendment) -> None:
        facts, number = amendment.facts, held.annotation_id
        whale, meeting = self._individuals.put(facts.individual), self._encounters.put(facts.encounter)
        self._annotations[number] = replace(
            held,
            viewpoint=facts.viewpoint,
            captured=facts.captured,
            individual=whale,
            encounter=meeting,
            box=facts.box,
            revision=self._version,
            removed=amendment.removed,
        )
        place = facts.viewpoint, facts.captured.year, amendment.removed
        moved = place != (held.viewpoint, held.captured.year, held.removed)
        for vectors in self._vectors.values():
            if facts.box != held.box:
                vectors.pop(number, None)
            elif number in vectors and moved:
                vectors[number] = (self._version, vectors[number][1])
        for name, vector in amendment.vectors.items():
            vectors = self._vectors[name, self._active[name].fingerprint]
            vectors.setdefault(number, (self._version, np.array(vector, np.float32)))
        rows = self._annotations.values()
        self._individuals.forget({name_key(one.individual) for one in rows if one.individual})
        self._encounters.forget({name_key(one.encounter) for one in rows if one.encounter})
        self._owners.clear()
        self._owners.update({name_key(a.encounter): a.individual for a in rows if a.encounter and a.individual})
        before, after = plain(Facts.of(held), removed=held.removed), plain(facts, removed=amendment.removed)
        written = Edition(amendment.action(held), datetime.now(UTC), amendment.signature, before, after, self._version)
        self._past.setdefault(number, []).append(written)


def _said(facts: Facts) -> tuple[Any, ...]:
    return facts.viewpoint, facts.captured, facts.individual, facts.encounter, facts.box


def moment(captured: CaptureDate) -> int:
    """Seconds since 1970, as the gallery's folds are made of."""
    if captured.taken is None or captured.precision is not DatePrecision.SECOND:
        return UNTIMED
    return int((captured.taken.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds())
