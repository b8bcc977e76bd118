"""Scenes: one to four silhouettes on a textured ground, drawn with known factors; equal seeds give equal bytes.

All objects of a scene share figure, size, turn and colour, so a scene has one class; objects of a crowd are smaller, so
that the painted area hardly tells their number. They lie wholly inside the frame and do not touch. Ground
colour, texture, specks (small dots that are nobody's class), noise and speckle are independent of all that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modalities.image.silhouettes import NAMES, ORDERS, look_up, tables

TEXTURES = ("plain", "stripes", "checks", "gradient", "clouds")
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
MOST = 4  # objects
RADIUS = (3.2, 5.2)  # pixels, of the disc of equal area, of a single object
SHRINK = np.array([1.0, 0.85, 0.75, 0.68])  # by the number of objects
GAP = 1.0  # pixels between two objects, at least
NOISE = 0.12  # largest standard deviation of pixel noise, as a share of full intensity
SPECKS = 6  # at most
CHUNK = 500  # scenes drawn at once, to bound memory
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
    """Centres (n, MOST, 2) as (x, y) in pixels: inside by ``reach`` (n,) pixels and apart by twice that and GAP.

    Scenes whose objects do not fit are placed anew, all together, so places stay uniform over what is allowed.
    """
    centre = np.empty((len(reach), MOST, 2))
    left = np.arange(len(reach))
    while len(left):
        room = side - 2 * reach[left, None, None]
        centre[left] = reach[left, None, None] + room * random.random((len(left), MOST, 2))
        gap = np.linalg.norm(centre[left, :, None] - centre[left, None], axis=-1)
        real = np.arange(MOST) < count[left, None]
        pair = real[:, :, None] & real[:, None] & ~np.eye(MOST, dtype=bool)
        left = left[(pair & (gap < (2 * reach[left] + GAP)[:, None, None])).any((1, 2))]
    return centre


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
        "turn": random.uniform(-np.pi, np.pi, n),
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
    # Objects are lighter or darker than their ground, never by less than a fifth of the scale.
    step = random.uniform(0.2, 0.45, n)
    ground = random.uniform(0.15, 0.85, n)
    lighter = np.where(ground < 0.5, random.random(n) < 0.8, random.random(n) < 0.2)
    light = ground + np.where(lighter, step, -step)
    outside = (light < 0.05) | (light > 0.95)
    light = np.where(outside, ground - (light - ground), light)
    hue = (factors["hue"] + random.uniform(-0.35, 0.35, n)) / len(HUES)
    paint = tint(hue, random.uniform(0.35, 0.7, n), light)
    below = tint(random.random(n), random.uniform(0.0, 0.4, n), ground)
    pattern = texture(random, factors["texture"], side)
    weave = random.uniform(0.04, 0.12, (n, 1)) * random.choice([-1, 1], (n, 3)) * random.uniform(0.5, 1.0, (n, 3))
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
    image += factors["noise"].astype(np.float32)[:, None, None, None] * random.standard_normal(image.shape, dtype=np.float32)
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


def has_direction(figure: np.ndarray) -> np.ndarray:
    """Whether a figure looks different after every turn short of a full one, so that its turn can be asked for."""
    return np.asarray(ORDERS[figure] == 1)
