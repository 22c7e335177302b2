"""The ensemble: its members, the spaces that they span and the manifest that describes them.

A *member* is one ONNX model. A *space* joins the members that serve the same viewpoints: one vector an annotation, in
which the inner product of two unit vectors is the weighted mean of the members' cosines. Spaces never mix.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.errors import InvalidInput, SpaceMismatch

Float32 = npt.NDArray[np.float32]


class Fit(StrEnum):
    """How a photograph is brought to a member's input shape."""

    SQUASH = "squash"
    LETTERBOX = "letterbox"


class Mirror(StrEnum):
    """How a member looks at a photograph's mirror image.

    "mean" takes the mean of both vectors: left and right are one to such a member. "beside" puts them one after the
    other as they are (second place's rule), so that the cosine of two photographs is a mean over the two pairs of
    sides, the longer vectors weighing more. "none" does not look at it, for half the work.
    """

    MEAN = "mean"
    BESIDE = "beside"
    NONE = "none"

    @property
    def views(self) -> int:
        """How many pictures of one photograph the member sees."""
        return 1 if self is Mirror.NONE else 2

    @property
    def sides(self) -> int:
        """How many vectors of single pictures stand in that of a photograph."""
        return 2 if self is Mirror.BESIDE else 1

    def merge(self, sides: Float32) -> Float32:
        """One vector a photograph, (n, d) or (n, 2 d), of those of its pictures, (views, n, d); not normalised."""
        if self is Mirror.BESIDE:
            return np.concatenate(tuple(sides), axis=1)
        return np.asarray(sides.mean(axis=0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens between a decoded photograph and a member's input tensors (3 x height x width, float32).

    ``mean`` and ``std`` are per RGB channel in 0..255 units. ``turn_wide`` turns a crop that is wider than tall
    90 degrees clockwise, so that laterals and top views share one upright frame (first place's rule).
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Fit = Fit.SQUASH
    turn_wide: bool = True
    mirror: Mirror = Mirror.MEAN


@dataclass(frozen=True, slots=True)
class Member:
    """One ONNX model: ``file`` is relative to the manifest, ``weight`` counts within its space.

    ``dimension`` is the length of what it gives for a photograph: twice its model's where the mirror stands beside.
    """

    name: str
    file: str
    sha256: str
    dimension: int
    preprocessing: Preprocessing
    weight: float = 1.0

    @property
    def view_dimension(self) -> int:
        """The length of the vector of one picture, as the model gives it."""
        return self.dimension // self.preprocessing.mirror.sides


@dataclass(frozen=True, slots=True)
class Space:
    """Members whose vectors are joined; ``viewpoints`` are those that it can place, ``weight`` counts in the fusion."""

    name: str
    members: tuple[Member, ...]
    viewpoints: frozenset[Viewpoint]
    weight: float = 1.0

    @property
    def dimension(self) -> int:
        """The length of one joined vector."""
        return sum(member.dimension for member in self.members)

    def fingerprint(self, precision: str) -> str:
        """SHA-256 over everything that changes a vector: model hashes, preprocessing, weights and precision."""
        parts = [[m.sha256, _told(m.preprocessing), m.weight, m.dimension] for m in self.members]
        text = json.dumps([precision, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def join(self, vectors: Sequence[Float32]) -> Float32:
        """Join the members' vectors, each (n, d_member), into unit vectors (n, dimension).

        Each member is normalised and scaled by the square root of its weight, so that the inner product of two joined
        vectors is the weighted mean of the members' cosines.
        """
        parts = [
            _unit(block) * np.float32(np.sqrt(member.weight))
            for member, block in zip(self.members, vectors, strict=True)
        ]
        return _unit(np.concatenate(parts, axis=1))


@dataclass(frozen=True, slots=True)
class ActiveSpace:
    """A space whose vectors are served now, told apart from every other computation by its fingerprint."""

    name: str
    fingerprint: str
    dimension: int
    viewpoints: frozenset[Viewpoint]


def require_spaces(held: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raise SpaceMismatch unless the active spaces are those of the ensemble; both as fingerprints by name."""
    if dict(held) != dict(wanted):
        names = sorted({*held, *wanted} - {name for name, own in wanted.items() if held.get(name) == own})
        raise SpaceMismatch(
            f"the catalogue serves vectors of another ensemble than the one that is loaded (space {', '.join(names)}): "
            "pause what waits and re-embed with `resight reindex`, or load the ensemble that the catalogue serves"
        )


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A released set of spaces; ``manifest_sha256`` names the release exactly."""

    name: str
    version: str
    licence: str
    training_data: str
    spaces: tuple[Space, ...]
    manifest_sha256: str

    @property
    def members(self) -> tuple[Member, ...]:
        """Every member of every space, in the manifest's order."""
        return tuple(member for space in self.spaces for member in space.members)

    def spaces_for(self, query: Viewpoint, gallery: Viewpoint) -> tuple[Space, ...]:
        """The spaces that can compare a query of one viewpoint with gallery annotations of another."""
        return tuple(space for space in self.spaces if {query, gallery} <= space.viewpoints)


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the SHA-256 of everything else in it: a flipped bit in a mean would else be a valid mean."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {**rest, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def parse_manifest(text: bytes) -> Ensemble:
    """Read a manifest (JSON, UTF-8).

    Raises InvalidInput when it does not match its own hash, naming the field that is missing or contradicts another;
    files are not opened here.
    """
    try:
        raw: Mapping[str, Any] = json.loads(text)
        if sealed(raw)["sha256"] != raw["sha256"]:
            raise InvalidInput("the manifest does not match its own SHA-256: it was damaged or edited")
        spaces = tuple(_space(part) for part in raw["spaces"])
        ensemble = Ensemble(
            name=str(raw["name"]),
            version=str(raw["version"]),
            licence=str(raw["licence"]),
            training_data=str(raw["training_data"]),
            spaces=spaces,
            manifest_sha256=hashlib.sha256(text).hexdigest(),
        )
    except KeyError as error:
        raise InvalidInput(f"the manifest lacks the field {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the manifest cannot be read: {error}") from error
    _check(ensemble)
    return ensemble


def _space(raw: Mapping[str, Any]) -> Space:
    return Space(
        name=str(raw["name"]),
        members=tuple(_member(part) for part in raw["members"]),
        viewpoints=frozenset(Viewpoint(value) for value in raw["viewpoints"]),
        weight=float(raw.get("weight", 1.0)),
    )


def _member(raw: Mapping[str, Any]) -> Member:
    recipe = raw["preprocessing"]
    return Member(
        name=str(raw["name"]),
        file=str(raw["file"]),
        sha256=str(raw["sha256"]),
        dimension=int(raw["dimension"]),
        weight=float(raw.get("weight", 1.0)),
        preprocessing=Preprocessing(
            height=int(recipe["height"]),
            width=int(recipe["width"]),
            mean=_triple(recipe["mean"]),
            std=_triple(recipe["std"]),
            fit=Fit(recipe["fit"]),
            turn_wide=_flag(recipe["turn_wide"]),
            mirror=Mirror(recipe.get("mirror", Mirror.MEAN)),
        ),
    )


def _told(preprocessing: Preprocessing) -> dict[str, Any]:
    """For a fingerprint: the usual mirror is left out, as catalogues were embedded before there was a choice."""
    fields = asdict(preprocessing)
    if preprocessing.mirror is Mirror.MEAN:
        del fields["mirror"]
    return fields


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _check(ensemble: Ensemble) -> None:
    names = [space.name for space in ensemble.spaces]
    if not names or len(set(names)) != len(names):
        raise InvalidInput("a manifest needs at least one space, each with a name of its own")
    for space in ensemble.spaces:
        if not space.members or not space.viewpoints:
            raise InvalidInput(f"space {space.name!r} needs members and viewpoints")
        weights = [space.weight, *(member.weight for member in space.members)]
        if not all(0 < weight < math.inf for weight in weights) or any(m.dimension <= 0 for m in space.members):
            raise InvalidInput(f"space {space.name!r}: weights and dimensions must be above zero")
    for member in ensemble.members:
        shape = member.preprocessing
        if (
            min(shape.height, shape.width) <= 0
            or not all(0 < std < math.inf for std in shape.std)
            or not all(map(math.isfinite, shape.mean))
        ):
            raise InvalidInput(f"member {member.name!r}: height, width and std must be above zero")
        if "/" in member.file or "\\" in member.file or member.file in {"", ".", ".."}:
            raise InvalidInput(f"member {member.name!r}: its file must lie beside the manifest")
        if member.dimension % shape.mirror.sides:
            raise InvalidInput(
                f"member {member.name!r}: photograph and mirror beside each other have an even dimension"
            )


def _unit(rows: Float32) -> Float32:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.float32(1e-12)), dtype=np.float32)
