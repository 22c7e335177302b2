"""How a synthetic whale looks in one photograph: from above or from the side, in murky water, in that day's light.

A picture is worked out pixel by pixel: each finds its place (s, theta) on the whale's skin, is lit, and is mixed with
the water as far as it lies below the water line. Lengths are in body lengths, colours in 0..1, arrays are float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.catalogue import Viewpoint
from app.domain.survey import Shot, SurveyPlan
from app.domain.synthetic_whale import REACH, STATIONS, Float32, Whale, smooth_noise, whale

_DAY, _MOMENT = 20, 21
_S = np.linspace(0.0, 1.0, STATIONS + 1)


@dataclass(frozen=True, slots=True)
class Picture:
    """A computed picture: ``pixels`` uint8 (height, width, 3), RGB.

    The lens's ``blur`` (a radius in pixels) and the JPEG ``quality`` of the camera are left to whoever stores it.
    """

    pixels: npt.NDArray[np.uint8]
    blur: float
    quality: int


@dataclass(frozen=True, slots=True)
class _Scene:
    """Light and water of one encounter; ``sun`` is a unit vector: right, along (tailward, or to the viewer), up."""

    sun: tuple[float, float, float]
    strength: float
    sunlight: Float32
    skylight: Float32
    water: Float32
    murk: float
    foam: float
    exposure: float


@dataclass(frozen=True, slots=True)
class _Body:
    """Where the body is, for each pixel (height, width).

    ``cover`` 0..1 how much of the pixel it fills; ``depth`` below the water line, negative above it; ``normal`` three
    planes in the sun's directions; ``shade`` 0..1 the ridge's shadow; ``edge`` the distance outside the outline.
    """

    s: Float32
    theta: Float32
    cover: Float32
    depth: Float32
    normal: tuple[Float32, Float32, Float32]
    shade: Float32
    edge: Float32


def picture(plan: SurveyPlan, made: Shot) -> Picture:
    """Draw one photograph of a plan: the same arguments give the same pixels."""
    texels = int(np.clip(plan.longest, 64, 1024))
    return portrait(whale(plan.seed, made.individual, made.year, texels), plan, made)


def portrait(seen: Whale, plan: SurveyPlan, made: Shot) -> Picture:
    """Draw ``seen`` under the light, the water and the pose of one photograph of a plan."""
    drawn = np.random.default_rng((plan.seed, _MOMENT, made.number))
    scene = _scene(np.random.default_rng((plan.seed, _DAY, made.encounter)), made.viewpoint)
    longest = plan.longest * (1.0 - 0.5 * drawn.beta(1.2, 2.2))
    if made.viewpoint is Viewpoint.TOP:
        body = _above(seen, scene, drawn, longest)
        water = _water(scene, drawn, body, (9.0, 9.0))
    else:
        body = _beside(seen, drawn, longest, made.viewpoint)
        water = _water(scene, drawn, body, (3.0, 22.0))
    lit = _lit(seen, scene, drawn, body)
    through = body.cover * np.exp(-np.clip(body.depth, 0.0, None) / np.float32(scene.murk))
    colours = water + (lit - water) * through
    colours *= np.float32(scene.exposure * drawn.uniform(0.95, 1.05))
    colours += np.float32(drawn.uniform(0.01, 0.035)) * drawn.standard_normal(body.cover.shape, dtype=np.float32)
    _corner(colours, drawn)
    pixels = (np.clip(colours, 0.0, 1.0) * 255.0).astype(np.uint8)
    return Picture(
        np.ascontiguousarray(pixels.transpose(1, 2, 0)),
        blur=float(drawn.uniform(0.3, 0.9)) * plan.longest / 384,
        quality=int(drawn.integers(80, 93)),
    )


def _scene(drawn: np.random.Generator, viewpoint: Viewpoint) -> _Scene:
    """The light and the water of one encounter: overcast or sunny, brown or blue-grey, clear or murky."""
    top = viewpoint is Viewpoint.TOP
    around, height = drawn.uniform(0.0, 2 * np.pi), drawn.uniform(0.3, 1.1)
    sun = (np.cos(around) * np.cos(height), np.sin(around) * np.cos(height), np.sin(height))
    if not top and drawn.random() < 0.8:
        sun = (sun[0], abs(sun[1]), sun[2])
    overcast = drawn.random() < 0.35
    strength = drawn.uniform(0.08, 0.2) if overcast else drawn.uniform(0.45, 0.8)
    blue = drawn.uniform(0.85, 0.95) if overcast else drawn.uniform(0.4, 0.6)
    silt = np.array((0.255, 0.235, 0.21) if top else (0.29, 0.32, 0.34))
    return _Scene(
        sun=sun,
        strength=strength,
        sunlight=_colour(1.0, drawn.uniform(0.94, 1.0), drawn.uniform(0.86, 0.98)),
        skylight=_colour(blue**1.3, blue**1.15, blue**0.8),
        water=_colour(*(silt * drawn.uniform(0.7, 1.25) * drawn.uniform(0.97, 1.03, 3))),
        murk=drawn.uniform(0.03, 0.08) if top else 0.01,
        foam=drawn.uniform(0.2, 1.0),
        exposure=drawn.uniform(0.85, 1.15),
    )


def _colour(red: float, green: float, blue: float) -> Float32:
    return np.array((red, green, blue), dtype=np.float32)[:, None, None]


def _grid(
    drawn: np.random.Generator, high: float, wide: float, step: np.float32, tilt: float
) -> tuple[Float32, Float32]:
    """Coordinates (down, right) of the pixels of a ``high`` x ``wide`` frame around its centre, the camera tilted."""
    rows, columns = max(8, round(high / step)), max(8, round(wide / step))
    down = np.linspace(-high / 2, high / 2, rows, dtype=np.float32)[:, None]
    right = np.linspace(-wide / 2, wide / 2, columns, dtype=np.float32)[None, :]
    angle = drawn.uniform(-tilt, tilt)
    cos, sin = np.cos(angle), np.sin(angle)
    return (down * cos - right * sin).astype(np.float32), (right * cos + down * sin).astype(np.float32)


def _above(seen: Whale, scene: _Scene, drawn: np.random.Generator, longest: float) -> _Body:
    """The whale from above, head up: the ends of the body and its flanks sink into the water."""
    lift, droop = drawn.uniform(0.035, 0.085), drawn.uniform(0.2, 0.75)
    back = lift - droop * (_S - drawn.uniform(0.42, 0.58)) ** 2
    shown = np.flatnonzero(back > -1.5 * scene.murk)
    start, stop = _S[shown[0]] - drawn.uniform(0.0, 0.04), _S[shown[-1]] + drawn.uniform(-0.03, 0.03)
    half = float(seen.radius[shown].max()) + drawn.uniform(0.004, 0.03)
    roll, bend = drawn.normal(0.0, 0.13), drawn.normal(0.0, 0.1)
    step = np.float32((stop - start) / longest)
    s, x = _grid(drawn, stop - start, 2 * half, step, 0.1)
    s = s + np.float32((start + stop) / 2 + drawn.normal(0.0, 0.008))
    x = x + np.float32(drawn.normal(0.0, 0.006)) - np.float32(bend) * (s - np.float32(0.5)) ** 2
    at = _station(s)
    radius = seen.radius[at]
    across = np.clip(x / radius, -1.0, 1.0)
    up = np.sqrt(1.0 - across**2)
    depth = radius * (1.0 - up) - back.astype(np.float32)[at]
    ridge, aside = seen.ridge[at], x - radius * np.float32(np.sin(roll))
    shade, normal = _ridge_light(s, ridge, aside, across, scene, step)
    outside = np.abs(x) - radius
    inside = np.clip(0.5 - outside / step, 0.0, 1.0) * ((s > 0.0) & (s < 1.0))
    return _Body(s, np.arcsin(-across) + np.float32(roll), inside, depth, normal, shade, np.clip(outside, 0.0, None))


def _ridge_light(
    s: Float32, ridge: Float32, aside: Float32, across: Float32, scene: _Scene, step: np.float32
) -> tuple[Float32, tuple[Float32, Float32, Float32]]:
    """The ridge's shadow on the side away from the sun, and normals that fall away from it like a roof's."""
    side = np.float32(1.0 if scene.sun[0] >= 0 else -1.0)
    low = np.float32(min(2.0, abs(scene.sun[0]) / scene.sun[2]) + 0.25)
    lee = -side * aside
    soft = step + np.float32(0.002)
    shade = np.clip((ridge * low - lee) / soft, 0.0, 1.0) * np.clip(lee / soft + 0.5, 0.0, 1.0) * (ridge > 0.0005)
    roof = np.clip((s - np.float32(0.3)) * 3.0, 0.0, 0.95) * np.exp(-((aside / 0.07) ** 2))
    right = across * (1.0 - roof) + roof * np.float32(0.55) * np.tanh(aside / soft)
    up = np.sqrt(np.clip(1.0 - right**2, 0.0, 1.0))
    return shade, (right, np.zeros_like(right), up)


def _beside(seen: Whale, drawn: np.random.Generator, longest: float, viewpoint: Viewpoint) -> _Body:
    """The back of a surfacing whale from its left (head left) or its right (head right): the ridge is its outline."""
    lift, half, peak = drawn.uniform(0.06, 0.11), drawn.uniform(0.3, 0.42), drawn.uniform(0.44, 0.58)
    slope = np.where(peak > _S, drawn.uniform(1.6, 3.0), drawn.uniform(1.4, 2.4))
    back = lift * (1.0 - (np.abs(_S - peak) / half) ** slope)
    start, stop = peak - half - drawn.uniform(-0.01, 0.03), peak + half + drawn.uniform(-0.01, 0.03)
    below, above = drawn.uniform(0.008, 0.022), drawn.uniform(0.004, 0.02)
    high = lift + 0.01 + below + above
    step = np.float32((stop - start) / longest)
    down, right = _grid(drawn, high, stop - start, step, 0.04)
    facing = 1.0 if viewpoint is Viewpoint.LEFT else -1.0
    s = np.float32(facing) * right + np.float32((start + stop) / 2)
    y = np.float32((high / 2) - below) - down
    at = _station(s)
    radius, top = seen.radius[at], back.astype(np.float32)[at]
    up = np.clip((y - top) / radius + 1.0, -1.0, 1.0)
    outside = y - (top + np.float32(0.8) * seen.ridge[at])
    wide = y.shape[1]
    swell = np.float32(0.009) * smooth_noise(drawn, (1, wide), (1, 4)) ** 2
    swell += np.float32(0.0025) * smooth_noise(drawn, (1, wide), (1, 15))
    theta = np.float32(facing) * np.arccos(up) + np.float32(drawn.normal(0.0, 0.1))
    out = np.sqrt(1.0 - up**2)
    cover = np.clip(0.5 - outside / step, 0.0, 1.0)
    flat = np.zeros_like(out)
    return _Body(s, theta, cover, swell - y, (flat, out, up), flat, np.clip(outside, 0.0, None))


def _station(s: Float32) -> npt.NDArray[np.intp]:
    return np.asarray(np.clip(s * STATIONS + 0.5, 0, STATIONS), dtype=np.intp)


def _lit(seen: Whale, scene: _Scene, drawn: np.random.Generator, body: _Body) -> Float32:
    """The wet skin (3, height, width) under sun and sky, with glints."""
    albedo = _sampled(seen.skin, body.s, body.theta)
    right, along, up = body.normal
    sun = [np.float32(part) for part in scene.sun]
    facing = np.clip(right * sun[0] + along * sun[1] + up * sun[2], 0.0, None) * (1.0 - np.float32(0.85) * body.shade)
    sky = albedo * (np.float32(0.55) + np.float32(0.45) * up)
    sky *= 1.0 - np.float32(0.12 + 0.4 * scene.strength) * body.shade
    shine = np.clip(right * sun[0] + along * sun[1] + up * (sun[2] + 1.0), 0.0, None)
    shine /= np.float32(np.sqrt(sun[0] ** 2 + sun[1] ** 2 + (sun[2] + 1.0) ** 2))
    rows, columns = albedo.shape
    broad = smooth_noise(drawn, (rows, columns), (max(2, rows // 40), max(2, columns // 40)))
    spark = drawn.standard_normal((rows, columns), dtype=np.float32) + broad - np.float32(2.1)
    glint = np.float32(scene.strength * 1.4) * shine**20 * np.clip(spark, np.float32(-0.06), 1.0)
    direct = albedo * facing * np.float32(scene.strength)
    return np.asarray(sky * scene.skylight + direct * scene.sunlight + glint, dtype=np.float32)


def _sampled(skin: Float32, s: Float32, theta: Float32) -> Float32:
    """The skin at places (s, theta), between its four nearest texels."""
    rows, columns = skin.shape
    down = np.clip(s, 0.0, 1.0) * np.float32(rows - 1.001)
    right = (np.clip(theta, -REACH, REACH) + np.float32(REACH)) * np.float32((columns - 1.001) / (2 * REACH))
    top, left = down.astype(np.int32), right.astype(np.int32)
    down -= top
    right -= left
    first = top * columns + left
    flat = skin.ravel()
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + columns] * (1 - right) + flat[first + columns + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)


def _water(scene: _Scene, drawn: np.random.Generator, body: _Body, wave: tuple[float, float]) -> Float32:
    """The water (3, height, width): waves ``wave`` pixels high and wide, foam and glow where the body breaks it."""
    rows, columns = body.cover.shape
    scale = max(rows, columns) / 384
    knots = [max(2, round(side / (w * scale))) for side, w in zip((rows, columns), wave, strict=True)]
    broad = smooth_noise(drawn, (rows, columns), (max(1, knots[0] // 4), max(1, knots[1] // 4)))
    fine = smooth_noise(drawn, (rows, columns), (knots[0], knots[1]))
    crest = np.float32(0.5) - np.abs(fine + np.float32(0.4) * broad)
    level = 1.0 + np.float32(0.09) * broad + np.float32(0.13) * crest
    glow = np.float32(0.5) * np.exp(-body.edge / np.float32(0.012)) * np.clip(1.0 - body.depth * 8, 0.0, 1.0)
    line = np.exp(-((body.depth / np.float32(0.012)) ** 2)) * np.exp(-body.edge / np.float32(0.02))
    foam = np.float32(0.55 * scene.foam) * line * np.clip(fine + broad, 0.0, 1.6)
    sky = np.clip(fine + broad - 0.6, 0.0, None) * np.float32(0.05 + 0.1 * scene.strength)
    return np.asarray(scene.water * (level + glow) + foam + sky * scene.skylight, dtype=np.float32)


def _corner(colours: Float32, drawn: np.random.Generator) -> None:
    """Now and then white pixels at a corner, where a crop that was turned reaches beyond its photograph."""
    if drawn.random() > 0.12:
        return
    rows, columns = colours.shape[1:]
    down = np.arange(rows, dtype=np.float32)[:, None] / rows
    right = np.arange(columns, dtype=np.float32)[None, :] / columns
    if drawn.random() < 0.5:
        down = 1.0 - down
    if drawn.random() < 0.5:
        right = 1.0 - right
    colours[:, down / drawn.uniform(0.02, 0.15) + right / drawn.uniform(0.1, 0.7) < 1.0] = 1.0
