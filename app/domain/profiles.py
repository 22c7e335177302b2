"""Ranking profiles: a name for how candidates are ordered, with every setting of every stage."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from app.domain.errors import InvalidInput

Setting = bool | int | float | str | list[float]


@dataclass(frozen=True, slots=True)
class Stage:
    """The base of a ranking stage; its fields are its settings."""


S = TypeVar("S", bound=Stage)
V = TypeVar("V")

BOUNDS = "bounds"
"""Under this name the metadata of a setting tell the least and the largest number that it may hold."""


def _setting(default: V, least: float, most: float) -> V:
    found: V = field(default=default, metadata={BOUNDS: (least, most)})
    return found


@dataclass(frozen=True, slots=True)
class Centre(Stage):
    """What the photographs of one survey day and viewpoint share is taken out of their vectors and of the query's.

    ``weight`` says how much of their mean, ``prior`` how many photographs without anything in common it is drawn down
    by: a day of few says little. A query of an unknown day or viewpoint is compared as it is.
    """

    weight: float = _setting(1.0, 0, 1)
    prior: float = _setting(20.0, 0, 1000)


@dataclass(frozen=True, slots=True)
class Augment(Stage):
    """Database-side augmentation: an annotation's vector plus its ``neighbours`` nearest of the gallery.

    Each neighbour counts by its cosine to the power ``power``; the gallery alone decides. What lies in a crowd is like
    every query by that alone: ``crowding`` times its mean cosine with its neighbours is taken off its likeness, where
    that is a cosine to the end (not behind Vouch and Reciprocal).
    """

    neighbours: int = _setting(8, 1, 100)
    power: float = _setting(3.0, 0, 100)
    crowding: float = _setting(0.4, 0, 1)


@dataclass(frozen=True, slots=True)
class Expand(Stage):
    """Alpha query expansion: the query plus its ``neighbours`` best answers, by their cosine to the power ``power``."""

    neighbours: int = _setting(3, 1, 100)
    power: float = _setting(3.0, 0, 100)


@dataclass(frozen=True, slots=True)
class Vouch(Stage):
    """The contest's first place: likeness to the query and to its two best answers, by ``weights``, to ``power``.

    Raises InvalidInput where all weights are 0.
    """

    weights: tuple[float, float, float] = _setting((0.4, 0.4, 0.2), 0, 1)
    power: float = _setting(7.0, 0.01, 100)

    def __post_init__(self) -> None:
        """Refuse weights that weigh nothing: they are divided by their sum."""
        if not any(self.weights):
            raise InvalidInput("weights may not all be 0")


@dataclass(frozen=True, slots=True)
class Reciprocal(Stage):
    """k-reciprocal re-ranking of the best ``shortlist`` answers (Zhong et al. 2017).

    ``near`` is k1, ``nearer`` k2, and ``keep`` the share of the first distance in the last one (lambda).
    """

    shortlist: int = _setting(100, 1, 1000)
    near: int = _setting(20, 1, 200)
    nearer: int = _setting(6, 1, 200)
    keep: float = _setting(0.3, 0, 1)


@dataclass(frozen=True, slots=True)
class Bridge(Stage):
    """Viewpoint bridging: an annotation of another view gains by its individual's likeness in the query's own view.

    A cosine above ``threshold`` carries over, at most by ``weight`` of what lacks to a likeness of 1.
    """

    weight: float = _setting(1.0, 0, 1)
    threshold: float = _setting(0.4, 0, 0.99)


@dataclass(frozen=True, slots=True)
class Occasion(Stage):
    """An annotation of the query's own survey day gains ``gain``, at most half of what lacks to a likeness of 1.

    Whoever was seen that day was mostly seen more than once. A query of an unknown day gives nothing to anyone.
    """

    gain: float = _setting(0.15, 0, 1)


@dataclass(frozen=True, slots=True)
class Fold(Stage):
    """Annotations of one moment (bit-identical or burst near-duplicate photographs) count once."""


@dataclass(frozen=True, slots=True)
class Spread(Stage):
    """One answer for each encounter of an individual; the others are folded into it."""


@dataclass(frozen=True, slots=True)
class Verify(Stage):
    """Local features of the best ``shortlist`` answers, beside the likeness of whole photographs.

    ``whole`` and ``parts`` are intercept and slope of a logistic curve over likeness and log(1 + agreeing features);
    ``share`` is the weight of the second. It reads photographs, which only a match has at hand.
    """

    shortlist: int = _setting(25, 1, 100)
    whole: tuple[float, float] = _setting((-5.9, 8.0), -100, 100)
    parts: tuple[float, float] = _setting((-3.1, 0.57), -100, 100)
    share: float = _setting(0.3, 0, 1)


@dataclass(frozen=True, slots=True)
class Profile:
    """Stages in the order in which they run; without a stage candidates are ordered by their fused cosine."""

    name: str
    stages: tuple[Stage, ...] = ()

    def stage(self, kind: type[S]) -> S | None:
        """Its stage of this kind, if it has one."""
        return next((stage for stage in self.stages if isinstance(stage, kind)), None)

    def without(self, *kinds: type[Stage]) -> Profile:
        """The profile without its stages of these kinds."""
        return replace(self, stages=tuple(stage for stage in self.stages if not isinstance(stage, kinds)))

    def settings(self) -> dict[str, dict[str, Setting]]:
        """The settings of each stage by its name, as JSON can hold them."""
        return {
            type(stage).__name__.lower(): {name: _plain(value) for name, value in asdict(stage).items()}
            for stage in self.stages
        }


COSINE = Profile("cosine")
CONTEST = Profile("contest", (Centre(), Augment(), Expand(), Occasion()))
REVIEW = Profile("review", (Centre(), Bridge(), Occasion(0.05), Fold(), Spread()))

VERIFIED = Profile("verified", (*REVIEW.stages, Verify()))

BUILT_IN: Mapping[str, Profile] = MappingProxyType({one.name: one for one in (REVIEW, CONTEST, COSINE, VERIFIED)})

# The user's own, which stand in a file that is read once, when the program starts.
_own: dict[str, Profile] = {}
_own_stored: dict[str, Profile] = {}

MATCHING: Mapping[str, Profile] = MappingProxyType(ChainMap(_own, dict(BUILT_IN)))
"""Every profile by name, the user's own last."""

# An evaluation and a calibration rank stored vectors and have no photographs at hand.
PROFILES: Mapping[str, Profile] = MappingProxyType(
    ChainMap(_own_stored, {name: one for name, one in BUILT_IN.items() if one.stage(Verify) is None})
)
"""Those that can also be evaluated and calibrated."""


def use_own(profiles: Iterable[Profile]) -> None:
    """Let profiles of the user's own be known by name, in place of those before them."""
    _own.clear()
    _own_stored.clear()
    for one in profiles:
        _own[one.name] = one
        if one.stage(Verify) is None:
            _own_stored[one.name] = one


def profile_named(name: str, known: Mapping[str, Profile] = PROFILES) -> Profile:
    """The profile of this name; raises InvalidInput listing those that there are."""
    if name not in known:
        why = "reads photographs, which only a match has at hand" if name in MATCHING else "does not exist"
        raise InvalidInput(f"the ranking profile {name!r} {why}; there are {', '.join(known)}")
    return known[name]


def _plain(value: Setting | tuple[float, ...]) -> Setting:
    return list(value) if isinstance(value, tuple) else value
