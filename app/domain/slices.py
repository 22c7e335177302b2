"""Slices: the same figures for a part of the queries, so that an average hides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from app.domain.catalogue import Viewpoint
from app.domain.outcomes import Outcome, Side, Summary, summary
from app.domain.scenario import Truth


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a photograph when its scores are cut into slices; ``longest`` is its longer side in pixels."""

    viewpoint: Viewpoint
    year: int
    longest: int
    individual: str | None = None
    encounter: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """The queries for which ``by`` is ``name``, under one truth."""

    by: str
    name: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Known:
    """What slices are cut by: facts of every image by its id, the matches of every query, who is whose."""

    facts: Mapping[str, Facts]
    truth: Truth
    groups: Mapping[str, Hashable]


Cut = Callable[[Outcome, Known], str]


def slices(found: Sequence[Outcome], side: Side, known: Known) -> list[Slice]:
    """Slices by viewpoints, year gap, image size and images per individual, in the order in which a reader counts."""
    counted = [one for one in found if side(one)]
    return [piece for by, cut in _CUTS.items() for piece in _cut(by, cut, counted, side, known)]


def _cut(by: str, cut: Cut, found: Sequence[Outcome], side: Side, known: Known) -> list[Slice]:
    parts: dict[str, list[Outcome]] = defaultdict(list)
    for one in found:
        parts[cut(one, known)].append(one)
    figures = [(name, summary(parts[name], side, known.groups)) for name in sorted(parts, key=_reading_order)]
    return [Slice(by, name, means) for name, means in figures if means]


def _reading_order(name: str) -> tuple[int, str]:
    digits = "".join(letter if letter.isdigit() else " " for letter in name).split()
    return int(digits[0]) if digits else -1, name


def _viewpoints(one: Outcome, known: Known) -> str:
    """The query's viewpoint against that of its matches."""
    shown = {known.facts[image].viewpoint.value for image in known.truth[one.query_id]}
    return f"{known.facts[one.image_id].viewpoint} against {' and '.join(sorted(shown))}"


def _year_gap(one: Outcome, known: Known) -> str:
    """Years between a query and its nearest match."""
    year = known.facts[one.image_id].year
    years = [known.facts[image].year for image in known.truth[one.query_id]]
    gaps = [abs(year - other) for other in years if other and year]
    return "not known" if not gaps else ("same year", "1 year")[gap] if (gap := min(gaps)) < 2 else f"{gap} years"


def _image_size(one: Outcome, known: Known) -> str:
    longest = known.facts[one.image_id].longest
    for limit in (128, 256, 512, 1024):
        if longest <= limit:
            return f"up to {limit} px"
    return "1025 px and more"


def _images(one: Outcome, known: Known) -> str:
    """How many photographs of the animal the gallery holds beside the query."""
    count = len(known.truth[one.query_id])
    for limit, name in ((1, "1 image"), (3, "2 to 3 images"), (9, "4 to 9 images"), (19, "10 to 19 images")):
        if count <= limit:
            return name
    return "20 or more images"


_CUTS: Mapping[str, Cut] = {
    "viewpoints": _viewpoints,
    "year gap": _year_gap,
    "image size": _image_size,
    "images of the individual": _images,
}
