"""Ranking profiles: a name for how candidates are ordered, with every setting of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from app.domain.errors import InvalidInput

Setting = bool | int | float | str | list[float]


@dataclass(frozen=True, slots=True)
class Stage:
    """The base of a ranking stage; its fields are its settings."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Stages in the order in which they run; without a stage candidates are ordered by their fused cosine."""

    name: str
    stages: tuple[Stage, ...] = ()

    def settings(self) -> dict[str, dict[str, Setting]]:
        """The settings of each stage by its name, as JSON can hold them."""
        return {
            type(stage).__name__.lower(): {name: _plain(value) for name, value in asdict(stage).items()}
            for stage in self.stages
        }


COSINE = Profile("cosine")
CONTEST = Profile("contest")
REVIEW = Profile("review")

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (COSINE, CONTEST, REVIEW)})


def profile_named(name: str) -> Profile:
    """The profile of this name; raises InvalidInput listing those that there are."""
    if name not in PROFILES:
        raise InvalidInput(f"there is no ranking profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


def _plain(value: Setting | tuple[float, ...]) -> Setting:
    return list(value) if isinstance(value, tuple) else value
