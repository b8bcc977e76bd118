"""Scenes: one to four silhouettes on a textured ground, drawn with known factors; equal seeds give equal bytes.

All objects of a scene share figure, size, turn and colour, so a scene has one class; objects of a crowd are smaller, so
that the painted area hardly tells their number. They lie wholly inside the frame and do not touch. Ground
colour, texture, specks (small dots that are nobody's class), noise and speckle are independent of all that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modalities.image.silhouettes import NAMES, look_up, tables

TEXTURES = ("plain", "stripes", "checks", "gradient", "clouds")
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
MOST = 4  # objects
RADIUS = (5.0, 6.5)  # pixels, of the disc of equal area, of a single object
SHRINK = np.array([1.0, 0.7, 0.7, 0.7])  # by the number of objects; the longest figure still fits its quarter
GAP = 1.0  # pixels between two objects, at least
NOISE = 0.03  # largest standard deviation of pixel noise, as a share of full intensity
SPECKS = 3  # at most
CHUNK = 500  # scenes drawn at once, to bound memory
GROUND, STEP = (0.1, 0.3), (0.4, 0.55)  # luma of the ground; how much lighter objects are
PAINT, EARTH = (0.25, 0.5), (0.0, 0.25)  # strength of colour of objects and of the ground
WEAVE = (0.02, 0.08)  # amplitude of the texture
TURN = np.pi / 12  # largest, radians: below half of what turns a square or star into itself
GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Scenes:
    """image: (n, c, side, side) uint8; cover: (n, side, side) share of each pixel that objects cover; factors: (n,) each.

    Factors: figure (index of NAMES), count (0 for one object … 3), x, y (centre of a single object in [−1, 1]), radius
    (pixels), turn (radians), texture, hue (class of the objects' colour), noise.
    """

    image: np.ndarray
    cover: np.ndarray
    factors: dict[str, np.ndarray]


def place(random: np.random.Generator, reach: np.ndarray, count: np.ndarray, side: int) -> np.ndarray:
    """Centres (n, MOST, 2) as (x, y) in pixels of objects that extend ``reach`` (n,) pixels from there.

    A single object lies anywhere inside the frame; of several, each has a quarter of the frame of its own.
    """
    n = len(reach)
    corner = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (side / 2)
    own = corner[random.random((n, MOST)).argsort(1)]
    alone = (count == 1)[:, None, None]
    own, width = np.where(alone, 0, own), np.where(alone, side, side / 2)
    margin = reach[:, None, None] + np.where(alone, 0, GAP / 2)
    return np.asarray(own + margin + (width - 2 * margin) * random.random((n, MOST, 2)))


def tint(hue: np.ndarray, strength: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Colours (n, 3) of ``hue`` (turns, 0 = red) whose luma is ``lightness``, as far as [0, 1] allows."""
    pure = np.clip(np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    colour = lightness[:, None] + strength[:, None] * (pure - (pure @ GREY)[:, None])
    return np.clip(colour, 0, 1).astype(np.float32)


def texture(random: np.random.Generator, kind: np.ndarray, side: int) -> np.ndarray:
    """Patterns (n, side, side) in about [−1, 1] with a random direction, wavelength (4-9 pixels) and phase each."""
    n = len(kind)
    axis = (np.arange(side) + 0.5 - side / 2).astype(np.float32)
    angle = random.uniform(0, np.pi, (n, 1, 1)).astype(np.float32)
    u = np.cos(angle) * axis + np.sin(angle) * axis[:, None]
    v = np.cos(angle) * axis[:, None] - np.sin(angle) * axis
    wave = (2 * np.pi / random.uniform(4.0, 9.0, (n, 1, 1))).astype(np.float32)
    phase = random.uniform(0, 2 * np.pi, (4, n, 1, 1)).astype(np.float32)
    pattern = np.zeros((n, side, side), dtype=np.float32)
    stripes, checks, gradient, clouds = (kind == k for k in range(1, 5))
    pattern[stripes] = np.sin(wave * u + phase[0])[stripes]
    # a steep sine, so that the edges of the checks are soft over a pixel
    fields = np.sin(wave / 2 * u + phase[0]) * np.sin(wave / 2 * v + phase[1])
    pattern[checks] = np.tanh(6 * fields)[checks]
    pattern[gradient] = (u / (side / 2))[gradient]
    billow = sum(
        np.sin(2 * np.pi / side * (a * axis + b * axis[:, None]) + phase[k])
        for k, (a, b) in enumerate(((1, 1), (2, -1), (-1, 2), (1.5, 2.5)))
    )
    pattern[clouds] = (billow / 2)[clouds]
    return pattern


def discs(x: np.ndarray, y: np.ndarray, radius: np.ndarray, side: int) -> np.ndarray:
    """Anti-aliased discs: cover (n, side, side) of centres and radii (n,) in pixels."""
    axis = (np.arange(side) + 0.5).astype(np.float32)
    x, y, radius = (value.astype(np.float32)[:, None, None] for value in (x, y, radius))
    return np.clip(0.5 + radius - np.sqrt((axis - x) ** 2 + (axis[:, None] - y) ** 2), 0, 1)


def render(n: int, seed: int, *, side: int = 32, channels: int = 3, looks: int | None = None) -> Scenes:
    """``n`` scenes. ``channels``: 3 for colour, 1 for grey; ``looks``: multiplies every pixel by gamma-distributed speckle
    of mean 1 and variance 1/looks, as radar images of that many looks have it (Goodman 1976)."""
    random = np.random.default_rng(seed)
    factors = {
        "figure": random.integers(0, len(NAMES), n),
        "count": random.integers(0, MOST, n),
        "turn": random.uniform(-TURN, TURN, n),
        "texture": random.integers(0, len(TEXTURES), n),
        "hue": random.integers(0, len(HUES), n),
        "noise": random.uniform(0.0, NOISE, n),
    }
    factors["radius"] = random.uniform(*RADIUS, n) * SHRINK[factors["count"]]
    centre = place(random, tables().reach[factors["figure"]] * factors["radius"], factors["count"] + 1, side)
    factors["x"], factors["y"] = (2 * centre[:, 0] / side - 1).T
    done = [
        _draw(random, {name: value[rows] for name, value in factors.items()}, centre[rows], side, channels, looks)
        for rows in _chunks(n)
    ]
    return Scenes(np.concatenate([image for image, _ in done]), np.concatenate([cover for _, cover in done]), factors)


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(n, start + CHUNK)) for start in range(0, n, CHUNK))


def _draw(
    random: np.random.Generator,
    factors: dict[str, np.ndarray],
    centre: np.ndarray,
    side: int,
    channels: int,
    looks: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    n = len(centre)
    cover = objects(factors, centre, side)
    ground = random.uniform(*GROUND, n)
    light = ground + random.uniform(*STEP, n)
    hue = (factors["hue"] + random.uniform(-0.35, 0.35, n)) / len(HUES)
    paint = tint(hue, random.uniform(*PAINT, n), light)
    below = tint(random.random(n), random.uniform(*EARTH, n), ground)
    pattern = texture(random, factors["texture"], side)
    weave = random.uniform(*WEAVE, (n, 1)) * random.choice([-1, 1], (n, 3)) * random.uniform(0.5, 1.0, (n, 3))
    image = below[:, :, None, None] + weave.astype(np.float32)[:, :, None, None] * pattern[:, None]
    image = image * (1 - cover[:, None]) + paint[:, :, None, None] * cover[:, None]
    number = random.integers(0, SPECKS + 1, n)
    for k in range(SPECKS):
        x, y = random.uniform(0, side, (2, n))
        dot = discs(x, y, random.uniform(0.5, 1.2, n), side) * (k < number)[:, None, None]
        colour = tint(random.random(n), random.uniform(0.2, 0.7, n), random.uniform(0.1, 0.9, n))
        image = image * (1 - dot[:, None]) + colour[:, :, None, None] * dot[:, None]
    if channels == 1:
        image = np.einsum("nchw,c->nhw", image, GREY.astype(np.float32))[:, None]
    if looks is not None:
        image = image * random.standard_gamma(looks, image.shape, dtype=np.float32) / looks
    image += factors["noise"].astype(np.float32)[:, None, None, None] * random.standard_normal(
        image.shape, dtype=np.float32
    )
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8), cover


def objects(factors: dict[str, np.ndarray], centre: np.ndarray, side: int) -> np.ndarray:
    """The cover (n, side, side) of all objects of each scene: a pixel's distance to the outline becomes its share inside."""
    axis = (np.arange(side) + 0.5).astype(np.float32)
    cover = np.zeros((len(centre), side, side), dtype=np.float32)
    turn = factors["turn"].astype(np.float32)[:, None, None]
    cos, sin = np.cos(turn), np.sin(turn)
    radius = factors["radius"][:, None, None].astype(np.float32)
    for k in range(MOST):
        rows = np.flatnonzero(factors["count"] >= k)
        right = axis - centre[rows, k, 0, None, None].astype(np.float32)
        down = axis[:, None] - centre[rows, k, 1, None, None].astype(np.float32)
        right, down = np.broadcast_arrays(right, down)
        x = (cos[rows] * right + sin[rows] * down) / radius[rows]
        y = (cos[rows] * down - sin[rows] * right) / radius[rows]
        distance = look_up(factors["figure"][rows], x, y) * radius[rows]
        cover[rows] = np.maximum(cover[rows], np.clip(0.5 - distance, 0, 1))
    return cover
