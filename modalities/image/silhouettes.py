"""Silhouettes: ten plane figures as signed distance tables, so that a scene of any pose is drawn by looking up.

Every figure has its centroid at the origin and the area of the unit disc: neither size nor place gives the class away.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

TURN = 2 * np.pi
REACH = 2.5  # a table covers [−REACH, REACH]²
CELLS = 121  # per side; a cell is a 24th of the unit disc's radius


def _arc(start: float, stop: float, points: int, radius: float = 1.0, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    angle = np.linspace(start, stop, points)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def _circle(radius: float = 1.0) -> np.ndarray:
    return _arc(0, TURN, 65, radius)[:-1]


def _star() -> np.ndarray:
    angle = np.arange(10) * TURN / 10 - TURN / 4
    radius = np.where(np.arange(10) % 2, 0.45, 1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _heart() -> np.ndarray:
    t = np.linspace(0, TURN, 65)[:-1]
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], 1)


def _crescent() -> np.ndarray:
    """The unit disc without a disc of radius .8 whose centre lies .7 to the right."""
    bite, away = 0.8, 0.7
    x = (1 - bite**2 + away**2) / (2 * away)
    outer, inner = np.arccos(x), np.arccos((x - away) / bite)
    return np.concatenate([_arc(outer, TURN - outer, 49), _arc(TURN - inner, inner, 33, bite, away)[1:-1]])


def _drop() -> np.ndarray:
    """A disc and its two tangents from a point 2 radii above."""
    touch = np.arccos(1 / 2)
    return np.concatenate([[[0.0, -2.0]], _arc(-TURN / 4 + touch, 3 * TURN / 4 - touch, 49)])


# Loops of corners, y down; a second loop is a hole. order: rotations by 1/order of a turn change nothing (0: none does).
_FIGURES: dict[str, tuple[int, list[np.ndarray]]] = {
    "disc": (0, [_circle()]),
    "ring": (0, [_circle(), _circle(0.6)]),
    "triangle": (3, [_arc(-TURN / 4, 3 * TURN / 4, 4)[:-1]]),
    "square": (4, [_arc(TURN / 8, 9 * TURN / 8, 5)[:-1]]),
    "cross": (
        4,
        [np.array([[1, 3], [1, 1], [3, 1], [3, -1], [1, -1], [1, -3], [-1, -3], [-1, -1], [-3, -1], [-3, 1], [-1, 1],
                   [-1, 3]], dtype=float)],
    ),
    "star": (5, [_star()]),
    "heart": (1, [_heart()]),
    "crescent": (1, [_crescent()]),
    "drop": (1, [_drop()]),
    "arrow": (1, [np.array([[0, -3], [2.4, -0.2], [0.9, -0.2], [0.9, 3], [-0.9, 3], [-0.9, -0.2], [-2.4, -0.2]])]),
}  # fmt: skip

NAMES = tuple(_FIGURES)
ORDERS = np.array([order for order, _ in _FIGURES.values()])


@dataclass(frozen=True)
class Tables:
    """distance: (k, CELLS, CELLS) signed distance to the outline, rows along y, negative inside, in radii of the disc of
    equal area; reach: (k,) largest distance of the outline from the centroid."""

    distance: np.ndarray
    reach: np.ndarray


def _shoelace(loop: np.ndarray) -> tuple[float, np.ndarray]:
    """Area (positive) and centroid of a simple polygon."""
    x, y = loop.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    centroid = ((loop + np.roll(loop, -1, 0)) * cross[:, None]).sum(0) / (6 * area)
    return abs(float(area)), centroid


def normalised(loops: list[np.ndarray]) -> list[np.ndarray]:
    """The loops moved and scaled to centroid 0 and area π (the second loop is a hole)."""
    sizes = [_shoelace(loop) for loop in loops]
    weight = np.array([sizes[0][0], *(-area for area, _ in sizes[1:])])
    centroid = (weight[:, None] * np.array([centre for _, centre in sizes])).sum(0) / weight.sum()
    return [(loop - centroid) * np.sqrt(np.pi / weight.sum()) for loop in loops]


def signed_distance(loops: list[np.ndarray], at: np.ndarray) -> np.ndarray:
    """Distance of the points ``at`` (m, 2) from the nearest edge, negative inside (even-odd rule): (m,)."""
    nearest, inside = np.full(len(at), np.inf), np.zeros(len(at), dtype=bool)
    for loop in loops:
        for a, b in zip(loop, np.roll(loop, -1, 0), strict=True):
            along = np.clip((at - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
            nearest = np.minimum(nearest, np.square(at - a - along[:, None] * (b - a)).sum(1))
            if a[1] != b[1]:
                crosses = (a[1] > at[:, 1]) != (b[1] > at[:, 1])
                inside ^= crosses & (at[:, 0] < a[0] + (at[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]))
    return np.where(inside, -1.0, 1.0) * np.sqrt(nearest)


@functools.cache
def tables() -> Tables:
    """The tables of all figures, in the order of ``NAMES``."""
    axis = np.linspace(-REACH, REACH, CELLS)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    at = np.stack([x.ravel(), y.ravel()], 1)
    loops = [normalised(loops) for _, loops in _FIGURES.values()]
    distance = np.stack([signed_distance(one, at).reshape(CELLS, CELLS) for one in loops]).astype(np.float32)
    return Tables(distance, np.array([np.linalg.norm(one[0], axis=1).max() for one in loops]))


def look_up(figure: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance at (x, y), each (n, …) in radii, of the figures (n,): bilinear, the border value outside."""
    table = tables().distance
    column = np.clip((x + REACH) * ((CELLS - 1) / (2 * REACH)), 0, CELLS - 1.01).astype(np.float32)
    row = np.clip((y + REACH) * ((CELLS - 1) / (2 * REACH)), 0, CELLS - 1.01).astype(np.float32)
    left, top = column.astype(np.int32), row.astype(np.int32)
    right, down = column - left, row - top
    start = (figure.astype(np.int32) * CELLS**2).reshape(-1, *(1,) * (x.ndim - 1)) + top * CELLS + left
    flat = table.ravel()
    upper = flat[start] * (1 - right) + flat[start + 1] * right
    lower = flat[start + CELLS] * (1 - right) + flat[start + CELLS + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)
