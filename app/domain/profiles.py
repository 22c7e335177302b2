"""Ranking profiles: a name for how candidates are ordered, with every setting of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TypeVar

from app.domain.errors import InvalidInput

Setting = bool | int | float | str | list[float]


@dataclass(frozen=True, slots=True)
class Stage:
    """The base of a ranking stage; its fields are its settings."""


S = TypeVar("S", bound=Stage)


@dataclass(frozen=True, slots=True)
class Augment(Stage):
    """Database-side augmentation: an annotation's vector plus its ``neighbours`` nearest of the gallery.

    Each neighbour counts by its cosine to the power ``power``; the gallery alone decides.
    """

    neighbours: int = 8
    power: float = 3.0


@dataclass(frozen=True, slots=True)
class Expand(Stage):
    """Alpha query expansion: the query plus its ``neighbours`` best answers, by their cosine to the power ``power``."""

    neighbours: int = 3
    power: float = 3.0


@dataclass(frozen=True, slots=True)
class Vouch(Stage):
    """The contest's first place: likeness to the query and to its two best answers, by ``weights``, to ``power``."""

    weights: tuple[float, float, float] = (0.4, 0.4, 0.2)
    power: float = 7.0


@dataclass(frozen=True, slots=True)
class Reciprocal(Stage):
    """k-reciprocal re-ranking of the best ``shortlist`` answers (Zhong et al. 2017).

    ``near`` is k1, ``nearer`` k2, and ``keep`` the share of the first distance in the last one (lambda).
    """

    shortlist: int = 100
    near: int = 20
    nearer: int = 6
    keep: float = 0.3


@dataclass(frozen=True, slots=True)
class Bridge(Stage):
    """Viewpoint bridging: an annotation of another view gains by its individual's likeness in the query's own view.

    A cosine above ``threshold`` carries over, at most by ``weight`` of what lacks to a likeness of 1.
    """

    weight: float = 1.0
    threshold: float = 0.4


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

    shortlist: int = 25
    whole: tuple[float, float] = (-5.9, 8.0)
    parts: tuple[float, float] = (-3.1, 0.57)
    share: float = 0.3


@dataclass(frozen=True, slots=True)
class Profile:
    """Stages in the order in which they run; without a stage candidates are ordered by their fused cosine."""

    name: str
    stages: tuple[Stage, ...] = ()

    def stage(self, kind: type[S]) -> S | None:
        """Its stage of this kind, if it has one."""
        return next((stage for stage in self.stages if isinstance(stage, kind)), None)

    def settings(self) -> dict[str, dict[str, Setting]]:
        """The settings of each stage by its name, as JSON can hold them."""
        return {
            type(stage).__name__.lower(): {name: _plain(value) for name, value in asdict(stage).items()}
            for stage in self.stages
        }


COSINE = Profile("cosine")
CONTEST = Profile("contest", (Augment(), Expand()))
REVIEW = Profile("review", (Bridge(), Fold(), Spread()))

VERIFIED = Profile("verified", (Bridge(), Fold(), Spread(), Verify()))

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (COSINE, CONTEST, REVIEW)})
# A match knows one more: an evaluation and a calibration rank stored vectors and have no photographs at hand.
MATCHING: Mapping[str, Profile] = MappingProxyType({**PROFILES, VERIFIED.name: VERIFIED})


def profile_named(name: str, known: Mapping[str, Profile] = PROFILES) -> Profile:
    """The profile of this name; raises InvalidInput listing those that there are."""
    if name not in known:
        raise InvalidInput(f"there is no ranking profile {name!r}; there are {', '.join(known)}")
    return known[name]


def _plain(value: Setting | tuple[float, ...]) -> Setting:
    return list(value) if isinstance(value, tuple) else value
