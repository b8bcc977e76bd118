"""Clouds: measured points as rows of one length: what is no number or lies outside leaves, what is too many is thinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from jepakit.types import Data
from modalities.lidar.raster import Raster
from modalities.signals import add_counts

CENTIMETRES, LEVELS = 100.0, 255.0  # stored units of a metre and of full intensity
ABSENT = -(2**15)  # the stored x of a row without a point: 328 m away, outside of every map
SCALE = (torch.zeros(4), torch.tensor([CENTIMETRES, CENTIMETRES, CENTIMETRES, LEVELS]))
HIGHEST = 300.0  # metres: what can be stored


@dataclass
class Clouds:
    """Clouds of one part. x: (n, P, 4) int16, coordinates in centimetres and intensity in levels, real points first;
    points: (n,) how many are real; occupied: (n, tokens); repairs: by kind, with counts."""

    x: np.ndarray
    points: np.ndarray
    occupied: np.ndarray
    repairs: dict[str, int] = field(default_factory=dict)

    def data(self, labels: dict[str, np.ndarray], unit: np.ndarray, extra: dict[str, np.ndarray] | None = None) -> Data:
        """The part with its labels and side inputs."""
        columns = {"points": self.points, "occupied": self.occupied, **(extra or {})}
        return Data(
            torch.from_numpy(self.x),
            {name: torch.from_numpy(column) for name, column in labels.items()},
            unit,
            extra={name: torch.from_numpy(column) for name, column in columns.items()},
            repairs=self.repairs,
            scale=SCALE,
        )


def turns(cell: np.ndarray) -> np.ndarray:
    """The turn (p,) in which each point is taken when cells give one point after the other: 0 for the first of a cell …"""
    order = np.argsort(cell.astype(np.uint16), kind="stable")
    ordered = cell[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(cell) else np.zeros(0, dtype=np.int64)
    turn = np.empty(len(cell), dtype=np.int64)
    turn[order] = np.arange(len(cell)) - np.repeat(first, np.diff(np.r_[first, len(cell)]))
    return turn


def thin(points: np.ndarray, raster: Raster, most: int, random: np.random.Generator) -> np.ndarray:
    """At most ``most`` of the points (p, 4): cells give one point each, then a second each, and so on, so that far things
    keep what little they have. Who is first in a cell, and which cells give one in the last turn, is drawn."""
    if len(points) <= most:
        return points
    points = points[random.permutation(len(points))]
    turn = turns(raster.cells_of(points[:, 0], points[:, 1]))
    return points[np.argsort(turn.astype(np.uint16), kind="stable")[:most]]


def settle(
    points: np.ndarray, raster: Raster, most: int, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, int]]:
    """One cloud (p, 4) in metres with intensity in [0, 1] as (most, 4) int16, and what was mended.

    Counted: points that are no numbers, that lie outside the map, that were too many, and a cloud of which none is left.
    Coordinates are rounded before cells are looked up, so labels made of stored points fit them.
    """
    whole = np.isfinite(points).all(1)
    repairs = {"points_not_finite_dropped": int((~whole).sum())}
    points = points[whole].astype(np.float64)
    points[:, :3] = np.round(points[:, :3].clip(-HIGHEST, HIGHEST) * CENTIMETRES) / CENTIMETRES
    inside = raster.cells_of(points[:, 0], points[:, 1]) < raster.count
    repairs["points_outside_dropped"] = int((~inside).sum())
    points = points[inside]
    repairs["points_thinned"] = max(0, len(points) - most)
    kept = thin(points, raster, most, random)
    repairs["clouds_empty"] = int(not len(kept))
    stored = np.zeros((most, 4), dtype=np.int16)
    stored[:, 0] = ABSENT
    stored[: len(kept), :3] = np.rint(kept[:, :3] * CENTIMETRES)
    stored[: len(kept), 3] = np.rint(kept[:, 3].clip(0, 1) * LEVELS)
    return stored, {kind: count for kind, count in repairs.items() if count}


def metres(stored: np.ndarray) -> np.ndarray:
    """The real points (p, 4) of one stored row, float64, in metres and [0, 1]."""
    real = stored[stored[:, 0] > ABSENT]
    return real / np.array([CENTIMETRES, CENTIMETRES, CENTIMETRES, LEVELS])


def collect(clouds: Sequence[np.ndarray], raster: Raster, most: int, seed: int) -> Clouds:
    """Clouds of one part from measured points; the k-th is thinned by a generator of its own (seed, k)."""
    x = np.empty((len(clouds), most, 4), dtype=np.int16)
    repairs: dict[str, int] = {}
    for row, points in enumerate(clouds):
        x[row], mended = settle(points, raster, most, np.random.default_rng((seed, row)))
        add_counts(repairs, mended)
    occupied = np.zeros((len(clouds), raster.grid[0] * raster.grid[1]), dtype=bool)
    for row, stored in enumerate(x):
        points = metres(stored)
        hit = np.zeros(raster.count, dtype=bool)
        hit[raster.cells_of(points[:, 0], points[:, 1])] = True
        occupied[row] = np.any(raster.tokens_of(hit)[0], axis=-1)
    return Clouds(x, (x[..., 0] > ABSENT).sum(1), occupied, repairs)
