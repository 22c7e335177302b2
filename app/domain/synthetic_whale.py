"""A made-up whale: the shape of its body and the marks that it keeps, laid on the skin of a body of revolution.

A place on the skin is (s, theta): s runs along the body from the snout (0) to the tail (1); theta runs around it, 0 on
the back, positive to the left, in radians. Lengths are in body lengths. Because marks lie on the skin and not in a
picture, a scar high on the left flank shows from above and from the left, and never from the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

STATIONS = 512
"""Steps of s at which the body's outline is given."""
REACH = 2.0
"""The skin is painted from -REACH to REACH radians around the back: further down it is never seen."""
MEAN_RADIUS = 0.12

_BODY, _SKIN = 10, 11
_OUTLINE_S = (0, 0.012, 0.03, 0.07, 0.12, 0.17, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 1)
_OUTLINE_R = (0, 0.026, 0.043, 0.059, 0.063, 0.064, 0.08, 0.112, 0.128, 0.129, 0.121, 0.104, 0.079, 0.047, 0.028, 0.018)


@dataclass(frozen=True, slots=True)
class Whale:
    """One synthetic individual in one year.

    ``radius`` and ``ridge`` (STATIONS + 1,) give the body's radius and the height of its dorsal ridge along s, in body
    lengths; ``skin`` (along, around) is the brightness of the skin, 0 black to 1 white, over s and -REACH..REACH.
    """

    radius: Float32
    ridge: Float32
    skin: Float32


@lru_cache(maxsize=32)
def whale(seed: int, individual: int, year: int, texels: int) -> Whale:
    """The whale ``individual`` (from 0) in ``year`` (from 0), its skin painted in ``texels`` steps along the body.

    Scars are kept for life and some are gained: a mark of a later year is not yet there in an earlier one.
    """
    drawn = np.random.default_rng((seed, _BODY, individual))
    stations = np.linspace(0.0, 1.0, STATIONS + 1)
    radius = _radius(drawn, stations)
    ridge = _ridge(drawn, stations)
    tone = float(np.clip(drawn.beta(3.0, 1.4), 0.4, 0.92)) + 0.01 * year
    skin = tone * _painted(np.random.default_rng((seed, _SKIN, individual)), year, texels)
    return Whale(radius, ridge, np.clip(skin, 0.03, 1.0).astype(np.float32))


def _radius(drawn: np.random.Generator, stations: npt.NDArray[np.float64]) -> Float32:
    """The outline of a beluga from above - round head, narrow neck, full flanks, long taper - a little its own."""
    girth, shift = drawn.uniform(0.9, 1.16), drawn.uniform(-0.03, 0.03)
    warped = np.clip(stations + shift * np.sin(np.pi * stations), 0.0, 1.0)
    coarse = np.interp(warped, _OUTLINE_S, _OUTLINE_R)
    padded = np.pad(coarse, 12, mode="edge")
    smooth = np.convolve(padded, np.hanning(27)[1:-1] / np.hanning(27).sum(), mode="same")[12:-12]
    shoulder = drawn.uniform(0.0, 0.02) * np.exp(-(((stations - drawn.uniform(0.28, 0.36)) / 0.045) ** 2))
    return np.asarray(np.minimum(girth * (smooth + shoulder), 2.2 * np.sqrt(stations / 12 + 1e-9)), dtype=np.float32)


def _ridge(drawn: np.random.Generator, stations: npt.NDArray[np.float64]) -> Float32:
    """The dorsal ridge: a low crest over the rear half, with humps and notches that tell one whale from another."""
    start, stop = drawn.uniform(0.4, 0.5), drawn.uniform(0.82, 0.94)
    crest = np.clip(np.minimum((stations - start) / 0.07, (stop - stations) / 0.12), 0.0, 1.0)
    height = np.full_like(stations, drawn.uniform(0.006, 0.011))
    for _ in range(int(drawn.integers(2, 6))):
        place, width = drawn.uniform(start, stop), drawn.uniform(0.012, 0.04)
        height += drawn.uniform(0.002, 0.006) * np.exp(-(((stations - place) / width) ** 2))
    for _ in range(int(drawn.integers(1, 5))):
        place, width = drawn.uniform(start + 0.03, stop - 0.05), drawn.uniform(0.006, 0.018)
        height *= 1.0 - drawn.uniform(0.5, 0.95) * np.exp(-(((stations - place) / width) ** 4))
    return np.asarray(crest * height, dtype=np.float32)


def _painted(drawn: np.random.Generator, year: int, texels: int) -> npt.NDArray[np.float64]:
    """The skin's brightness against the whale's own tone, about 1: mottle, pigment, scars, blowhole."""
    skin = _Skin(texels)
    for knots, depth in (((9, 7), 0.045), ((30, 18), 0.02), ((10, 70), 0.018)):
        skin.paint += depth * smooth_noise(drawn, skin.paint.shape, knots)
    for _ in range(int(drawn.integers(3, 10))):
        skin.patch(drawn, drawn.uniform(0.012, 0.06), drawn.uniform(-0.34, 0.12), 0.3)
    if drawn.random() < 0.35:
        for _ in range(int(drawn.integers(8, 30))):
            skin.patch(drawn, drawn.uniform(0.006, 0.013), 0.16, 0.1)
    for _ in range(int(drawn.integers(10, 24))):
        gained = int(drawn.integers(0, 12)) - 8
        strength = drawn.uniform(0.16, 0.5) * (1.0 if drawn.random() < 0.35 else -1.0)
        skin.scars(drawn, strength if gained <= year else 0.0, int(drawn.choice((1, 1, 2, 4))))
    skin.head(drawn)
    return skin.paint


class _Skin:
    """A canvas over (s, arc length): ``paint`` (along, around) starts at 1, marks are added where they lie."""

    def __init__(self, texels: int) -> None:
        self.s = np.linspace(0.0, 1.0, texels)
        self.arc = np.linspace(-REACH, REACH, texels // 2) * MEAN_RADIUS
        self.paint = np.ones((len(self.s), len(self.arc)))
        self.finest = 0.75 / texels

    def patch(self, drawn: np.random.Generator, size: float, strength: float, ragged: float) -> None:
        """A blot of pigment with soft edges, uneven by ``ragged`` (0 is an ellipse), some two ``size`` across."""
        s, arc = self._place(drawn)
        turn, long = drawn.uniform(0.0, np.pi), drawn.uniform(1.0, 1.8)
        wobble = drawn.uniform(-ragged, ragged, size=2)
        rows, columns, x, y = self._around(s, arc, turn, 2.2 * size * long)
        angle = np.arctan2(y, x)
        reach = np.hypot(x / long, y) / size * (1 + wobble[0] * np.sin(2 * angle) + wobble[1] * np.sin(3 * angle))
        self.paint[rows, columns] += strength * np.exp(-(reach**4))

    def scars(self, drawn: np.random.Generator, strength: float, lines: int) -> None:
        """One scar, or ``lines`` side by side as teeth leave them; each a thin, slightly bent line."""
        s, arc = self._place(drawn)
        turn, bend = drawn.uniform(0.0, np.pi), drawn.uniform(-4.0, 4.0)
        half, gap, wave = drawn.uniform(0.02, 0.1), drawn.uniform(0.008, 0.014), drawn.uniform(0.0, 0.003)
        rows, columns, x, y = self._around(s, arc, turn, half + 0.05)
        bent = y - bend * x**2 - wave * np.sin(x * drawn.uniform(40.0, 90.0))
        for line in range(lines):
            width, length = drawn.uniform(0.0014, 0.004), half * drawn.uniform(0.6, 1.0)
            thick = max(width, self.finest)
            profile = np.exp(-(((bent - line * gap) / thick) ** 2) - ((x + drawn.uniform(-0.01, 0.01)) / length) ** 4)
            self.paint[rows, columns] += strength * drawn.uniform(0.5, 1.0) * np.sqrt(width / thick) * profile

    def head(self, drawn: np.random.Generator) -> None:
        """The blowhole, and the creases of the neck behind it."""
        s, arc = drawn.uniform(0.108, 0.122), drawn.uniform(-0.003, 0.003)
        rows, columns, x, y = self._around(s, arc, 0.0, 0.03)
        self.paint[rows, columns] -= 0.85 * np.exp(-(((x / 0.0095) ** 2 + (y / 0.012) ** 2) ** 2))
        rows, columns, x, y = self._around(0.16, 0.0, 0.0, 0.12)
        crease = np.sin((x + 1.5 * y**2) * drawn.uniform(500.0, 700.0)) * np.exp(-((x / 0.02) ** 2) - (y / 0.06) ** 2)
        if self.finest < 0.004:
            self.paint[rows, columns] -= 0.05 * crease

    def _place(self, drawn: np.random.Generator) -> tuple[float, float]:
        """Where a mark lies: anywhere behind the neck, mostly where somebody can see it."""
        return drawn.uniform(0.2, 0.92), MEAN_RADIUS * float(np.clip(drawn.normal(0.0, 0.75), -1.7, 1.7))

    def _around(
        self, s: float, arc: float, turn: float, reach: float
    ) -> tuple[slice, slice, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The part of the canvas within ``reach`` of a place, with coordinates along and across a line through it."""
        rows = slice(*np.searchsorted(self.s, (s - reach, s + reach)).tolist())
        columns = slice(*np.searchsorted(self.arc, (arc - reach, arc + reach)).tolist())
        along, around = self.s[rows, None] - s, self.arc[None, columns] - arc
        return (
            rows,
            columns,
            along * np.cos(turn) + around * np.sin(turn),
            around * np.cos(turn) - along * np.sin(turn),
        )


def smooth_noise(drawn: np.random.Generator, shape: tuple[int, int], knots: tuple[int, int]) -> Float32:
    """A smooth random field of ``shape``, mean about 0 and deviation about 1, with ``knots`` waves down and across."""
    rough = drawn.standard_normal((knots[0] + 3, knots[1] + 3), dtype=np.float32)
    return np.asarray(spline(shape[0], knots[0]) @ rough @ spline(shape[1], knots[1]).T, dtype=np.float32) * 2.0


@lru_cache(maxsize=512)
def spline(length: int, knots: int) -> Float32:
    """Cubic B-spline weights (length, knots + 3): each row adds up to 1."""
    place = np.linspace(0.0, knots, length, endpoint=False)[:, None]
    gap = np.abs(place + 1.0 - np.arange(knots + 3)[None, :])
    near = 2 / 3 - gap**2 + gap**3 / 2
    far = np.clip(2 - gap, 0.0, None) ** 3 / 6
    return np.where(gap < 1, near, far).astype(np.float32)
