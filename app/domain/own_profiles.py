"""Ranking profiles of the user's own: from text to profiles, every setting checked before anything is ranked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from app.domain.errors import InvalidInput
from app.domain.profiles import (
    BOUNDS,
    BUILT_IN,
    Augment,
    Bridge,
    Centre,
    Expand,
    Fold,
    Occasion,
    Profile,
    Reciprocal,
    Spread,
    Stage,
    Verify,
    Vouch,
)

STAGES: Mapping[str, type[Stage]] = {
    kind.__name__.lower(): kind
    for kind in (Centre, Augment, Expand, Vouch, Reciprocal, Bridge, Occasion, Fold, Spread, Verify)
}
"""Every stage by its name in receipts and in the user's file."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def own_profiles(text: str) -> list[Profile]:
    """Profiles from TOML: a table for each, in it one for each stage, in the order in which they run.

    Raises InvalidInput naming the key for anything that is no profile, and for the name of one that is built in.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"this is no TOML: {error}") from error
    return [_named(name, stages) for name, stages in raw.items()]


def profile_of(name: str, settings: Mapping[str, Any]) -> Profile:
    """The profile with these settings by stage, as ``Profile.settings`` gives them; what is not set has its default.

    Raises InvalidInput naming the key.
    """
    return Profile(name, tuple(_stage(f"{name}.{stage}", stage, given) for stage, given in settings.items()))


def _named(name: str, stages: object) -> Profile:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a profile: up to 40 of a-z, 0-9, - and _, of which the first is a letter"
        )
    if name in BUILT_IN:
        raise InvalidInput(f"{name!r} is the name of a built-in profile: give yours another one")
    return profile_of(name, _table(name, stages))


def _stage(key: str, stage: str, given: object) -> Stage:
    if stage not in STAGES:
        raise InvalidInput(f"{key}: there is no such stage; there are {', '.join(STAGES)}")
    known = {one.name: one for one in fields(STAGES[stage])}
    settings = {}
    for name, value in _table(key, given).items():
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "this stage has none"
            raise InvalidInput(f"{key}.{name}: there is no such setting; {there}")
        settings[name] = _value(f"{key}.{name}", known[name], value)
    try:
        return STAGES[stage](**settings)
    except InvalidInput as error:
        raise InvalidInput(f"{key}: {error}") from error


def _value(key: str, setting: Field[Any], value: object) -> object:
    default: Any = setting.default
    if not isinstance(default, tuple):
        return _number(key, setting, value, type(default))
    if not isinstance(value, list) or len(value) != len(default):
        raise InvalidInput(f"{key} must be a list of {len(default)} numbers, not {value!r}")
    return tuple(_number(key, setting, one, float) for one in value)


def _number(key: str, setting: Field[Any], value: object, kind: type[float]) -> float:
    least, most = setting.metadata[BOUNDS]
    # A whole number will do for any; true is no number, though Python takes it for one. NaN is within no bounds.
    if isinstance(value, (int, kind)) and not isinstance(value, bool) and least <= value <= most:
        return kind(value)
    wanted = "a whole number" if kind is int else "a number"
    raise InvalidInput(f"{key} must be {wanted} between {least} and {most}, not {value!r}")


def _table(key: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise InvalidInput(f"{key} must be a table, not {given!r}")
    return given
