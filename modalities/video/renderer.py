"""Renderer: one or two textured sprites that move over a textured ground; equal seeds give equal bytes.

Everything is drawn once per clip in double precision and rounded: a ground, and a stamp of the sprite. Frames are made of
these by integer arithmetic alone, so they do not depend on the processor. Pictures of both sprites of a clip are the
same; each has a pen of its own. See ``paths`` for how they move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modalities.image.silhouettes import NAMES, look_up, tables
from modalities.video.paths import MOTIONS, advance, follow, places

FIGURES = ("disc", "ring", "triangle", "square", "cross", "star", "heart", "crescent")
TEXTURES = ("plain", "stripes", "checks", "gradient", "clouds")
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
MOST = 2  # sprites
# As shares of the side of a frame:
RADIUS = (0.11, 0.135)  # of the disc of a sprite's area
PEN = 0.27  # radius of the pen
SPEED = (0.03, 0.075)  # mean, per frame
FINE = 16  # steps of a place per pixel
NOISE = 16  # largest width of the noise, in stored units: uniform in ± half of it
CHUNK = 8  # clips drawn at once: few enough for the processor's cache
GROUND, STEP = (0.05, 0.15), (0.45, 0.65)  # luma of the ground; how much lighter sprites are
PAINT, EARTH = (0.25, 0.5), (0.0, 0.1)  # strength of colour of sprites and of the ground
WEAVE, COAT = (0.02, 0.06), 0.2  # amplitude of the ground's texture; of the sprite's, as a share of its light
GREY = np.array([0.299, 0.587, 0.114])
_CODES = np.array([NAMES.index(name) for name in FIGURES])


@dataclass(frozen=True)
class Clips:
    """clip: (n, 3, frames, side, side) uint8; place: (n, MOST, frames, 2) centres (x, y) in pixels; factors: (n,) each.

    Factors: motion, figure, order, texture, hue (indices of their names), count (0 for one sprite, 1 for two), speed (mean,
    pixels a frame), heading_x, heading_y (unit vector of the first sprite's velocity in the middle of the clip), noise (its
    width as a share of the largest).
    """

    clip: np.ndarray
    place: np.ndarray
    factors: dict[str, np.ndarray]


def render(n: int, seed: int, *, side: int = 32, frames: int = 16) -> Clips:
    """``n`` clips whose factors are all independent of each other."""
    random = np.random.default_rng(seed)
    factors = {
        "motion": random.integers(0, len(MOTIONS), n),
        "figure": random.integers(0, len(FIGURES), n),
        "count": random.integers(0, MOST, n),
        "order": random.integers(0, 2, n),
        "speed": random.uniform(*SPEED, n) * side,
        "texture": random.integers(0, len(TEXTURES), n),
        "hue": random.integers(0, len(HUES), n),
        "noise": random.integers(0, NOISE + 1, n) / NOISE,
    }
    radius = random.uniform(*RADIUS, n) * side
    reach = tables().reach[_CODES[factors["figure"]]] * radius
    place = np.stack([_move(random, factors, reach, side, frames) for _ in range(MOST)], 1)
    middle = place[:, 0, frames // 2] - place[:, 0, frames // 2 - 1]
    length = np.maximum(np.sqrt((middle**2).sum(1)), 1e-9)
    factors["heading_x"], factors["heading_y"] = (middle / length[:, None]).T
    done = [
        _draw(random, {name: value[rows] for name, value in factors.items()}, radius[rows], place[rows], side)
        for rows in _chunks(n)
    ]
    return Clips(np.concatenate(done), place, factors)


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(n, start + CHUNK)) for start in range(0, n, CHUNK))


def _move(
    random: np.random.Generator, factors: dict[str, np.ndarray], reach: np.ndarray, side: int, frames: int
) -> np.ndarray:
    """Centres (n, frames, 2) of one sprite of each clip, in a pen that lies anywhere inside the frame."""
    n = len(reach)
    margin = reach + PEN * side
    pen = margin[:, None] + np.maximum(side - 2 * margin, 0.0)[:, None] * random.random((n, 2))
    gone = advance(factors["speed"], factors["order"], np.arange(frames, dtype=np.float64), frames - 1.0)
    way = random.choice(np.array([-1.0, 1.0]), n)
    path = follow(places(random, n, PEN * side), factors["motion"], way, gone, PEN * side)
    return np.asarray(pen[:, None] + path)


def _draw(
    random: np.random.Generator, factors: dict[str, np.ndarray], radius: np.ndarray, place: np.ndarray, side: int
) -> np.ndarray:
    n, frames = len(radius), place.shape[2]
    below, paint = _colours(random, factors["hue"])
    weave = random.uniform(*WEAVE, n) * random.choice(np.array([-1.0, 1.0]), n)
    pattern = texture(random, factors["texture"], side)
    ground = np.rint(255 * np.clip(below[:, :, None, None] + (weave[:, None, None] * pattern)[:, None], 0, 1))
    clip = np.empty((n, 3, frames, side, side), dtype=np.uint8)
    clip[:] = ground.astype(np.uint8)[:, :, None]
    stamps = stamp(random, _CODES[factors["figure"]], radius, paint)
    for k in range(MOST):
        rows = np.flatnonzero(factors["count"] >= k)
        some = clip[rows]
        press(some, stamps[rows], place[rows, k])
        clip[rows] = some
    return grain(random, clip, np.rint(factors["noise"] * NOISE).astype(np.uint16))


def _colours(random: np.random.Generator, hue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (n, 3) of the grounds and of the sprites."""
    n = len(hue)
    dark = random.uniform(*GROUND, n)
    below = tint(random.random(n), random.uniform(*EARTH, n), dark)
    turn = (hue + random.uniform(-0.35, 0.35, n)) / len(HUES)
    return below, tint(turn, random.uniform(*PAINT, n), dark + random.uniform(*STEP, n))


def tint(hue: np.ndarray, strength: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Colours (n, 3) of ``hue`` (turns, 0 = red) whose luma is ``lightness``, as far as [0, 1] allows."""
    pure = np.clip(np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    middle = (pure * GREY).sum(1, keepdims=True)
    return np.asarray(np.clip(lightness[:, None] + strength[:, None] * (pure - middle), 0, 1))


def texture(random: np.random.Generator, kind: np.ndarray, side: int) -> np.ndarray:
    """Patterns (n, side, side) in about [−1, 1] with a random direction, wavelength (an eighth to a quarter) and phase."""
    n = len(kind)
    axis = (np.arange(side) + 0.5) / side - 0.5
    angle = random.uniform(0, np.pi, n)
    wave = 2 * np.pi / random.uniform(0.125, 0.25, n)
    phase = random.uniform(0, 2 * np.pi, (4, n, 1, 1))
    pattern = np.zeros((n, side, side))
    rows = [np.flatnonzero(kind == k) for k in range(len(TEXTURES))]

    def field(at: np.ndarray, share: float, quarter: float) -> np.ndarray:
        cos, sin = np.cos(angle[at] + quarter)[:, None, None], np.sin(angle[at] + quarter)[:, None, None]
        return np.asarray(share * wave[at, None, None] * (cos * axis + sin * axis[:, None]))

    stripes, checks, gradient, clouds = rows[1:]
    pattern[stripes] = np.sin(field(stripes, 1.0, 0.0) + phase[0, stripes])
    u, v = (np.sin(field(checks, 0.5, turn) + phase[k, checks]) for k, turn in enumerate((0.0, np.pi / 2)))
    pattern[checks] = np.clip(6 * u * v, -1, 1)
    pattern[gradient] = field(gradient, 1.0, 0.0) / wave[gradient, None, None] * 2
    for k, (a, b) in enumerate(((1, 1), (2, -1), (-1, 2), (1.5, 2.5))):
        pattern[clouds] += np.sin(2 * np.pi * (a * axis + b * axis[:, None]) + phase[k, clouds]) / 2
    return pattern


def stamp(random: np.random.Generator, figure: np.ndarray, radius: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """Pictures (n, 4, w, w) uint16 of sprites in the middle of a square that any of them fits: red, green and blue times
    cover, and cover, each 0 … 255. Light and dark bands run across a sprite, so that it has a texture of its own."""
    size = 2 * int(np.ceil((tables().reach[figure] * radius).max() + 1)) + 1
    axis = np.arange(size) - size // 2.0
    x, y = np.broadcast_arrays(axis / radius[:, None, None], axis[:, None] / radius[:, None, None])
    cover = np.clip(0.5 - look_up(figure, x, y).astype(np.float64) * radius[:, None, None], 0, 1)
    angle, phase = random.uniform(0, 2 * np.pi, (2, len(figure), 1, 1))
    bands = 1 + COAT * np.sin(3 * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    light = np.clip(paint[:, :, None, None] * bands[:, None], 0, 1) * cover[:, None]
    return np.rint(255 * np.concatenate([light, cover[:, None]], 1)).astype(np.uint16)


def press(clip: np.ndarray, stamps: np.ndarray, place: np.ndarray) -> None:
    """The stamps on every frame at ``place`` (n, frames, 2), moved by 16ths of a pixel (bilinear, 16 bits); in place."""
    side, size = clip.shape[-1], stamps.shape[-1]
    fine = np.rint((place - 0.5) * FINE).astype(np.int64)  # the pixel i has its centre at i + ½
    first = fine // FINE - size // 2  # n frames 2, of the stamp's left and top pixel
    right, down = np.moveaxis((fine % FINE).astype(np.uint16), 2, 0)[..., None, None, None]
    wide = np.pad(stamps, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, None]
    moved = wide[..., 1:] * (FINE - right) + wide[..., :-1] * right
    moved = (moved[..., 1:, :] * (FINE - down) + moved[..., :-1, :] * down) >> 8  # n frames 4 w+1 w+1
    light, seen = moved[:, :, :3], 256 - moved[:, :, 3:]
    start = np.maximum(first, 0).tolist()  # the stamp's empty border may lie outside the frame
    cut, stop = np.maximum(-first, 0).tolist(), np.minimum(first + size + 1, side).tolist()
    for row, frames in enumerate(start):  # slices are faster here than one gather over all frames
        for frame, (x, y) in enumerate(frames):
            (right_of, below), (end_x, end_y) = cut[row][frame], stop[row][frame]
            at = (slice(None), slice(below, below + end_y - y), slice(right_of, right_of + end_x - x))
            spot = clip[row, :, frame, y:end_y, x:end_x]
            spot[:] = ((spot * seen[row, frame][at]) >> 8) + light[row, frame][at]


def grain(random: np.random.Generator, clip: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Uniform noise of ``width`` (n,) stored units on every pixel of every frame, in place of the clip."""
    drawn = np.frombuffer(random.bytes(clip.size), dtype=np.uint8).reshape(clip.shape)
    shift = width[:, None, None, None, None]
    noisy = drawn * shift
    noisy >>= 8
    noisy += clip
    np.clip(noisy, shift // 2, 255 + shift // 2, out=noisy)
    noisy -= shift // 2
    return noisy.astype(np.uint8)
