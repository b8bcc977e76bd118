"""Raster: cells of a ground plan and what lies in them; rows run along x (forward), columns along y (left)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Stored coordinates are whole centimetres, so a point lies on a border or a hundredth of a cell away from it: this much of a
# cell is added before rounding down, and float32 finds the same cell as exact arithmetic.
EDGE = 1e-4
STATISTICS = ("count", "mean z", "max z", "min z", "intensity")


@dataclass(frozen=True)
class Raster:
    """low: metres, the corner with the smallest x and y; cell: metres; grid: tokens along x and y; patch: cells of a token's
    side."""

    low: tuple[float, float]
    cell: float
    grid: tuple[int, int]
    patch: int

    @property
    def sides(self) -> tuple[int, int]:
        """Cells along x and y."""
        return self.grid[0] * self.patch, self.grid[1] * self.patch

    @property
    def count(self) -> int:
        return self.sides[0] * self.sides[1]

    def index(self, points: Float[Tensor, "b p 4"]) -> Int[Tensor, "b p"]:
        """The row-major cell of every point; ``count`` (one past the last) for absent points and those outside."""
        points = points.float()
        rows = ((points[..., 0] - self.low[0]) / self.cell + EDGE).floor()
        columns = ((points[..., 1] - self.low[1]) / self.cell + EDGE).floor()
        inside = (rows >= 0) & (rows < self.sides[0]) & (columns >= 0) & (columns < self.sides[1])
        return torch.where(inside, rows * self.sides[1] + columns, self.count).long()

    def cells_of(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """``index`` for coordinates in metres as numpy arrays of one shape, not finite ones being outside."""
        with np.errstate(invalid="ignore"):
            rows = np.floor((x - self.low[0]) / self.cell + EDGE)
            columns = np.floor((y - self.low[1]) / self.cell + EDGE)
            inside = (rows >= 0) & (rows < self.sides[0]) & (columns >= 0) & (columns < self.sides[1])
            return np.where(inside, rows * self.sides[1] + columns, self.count).astype(np.int64)

    def statistics(self, points: Float[Tensor, "b p 4"]) -> Float[Tensor, "b m 5"]:
        """What lies in each of the m cells, in the order of STATISTICS; 0 in empty cells."""
        cell = self.index(points)
        z, intensity = points[..., 2].float(), points[..., 3].float()

        def pile(value: Tensor, how: str) -> Tensor:
            start = value.new_zeros(len(value), self.count + 1)
            return start.scatter_reduce(1, cell, value, how, include_self=False)[:, :-1]

        number = pile(torch.ones_like(z), "sum")
        whole = (number, pile(z, "mean"), pile(z, "amax"), pile(z, "amin"), pile(intensity, "mean"))
        return torch.stack(whole, -1)

    def occupied(self, points: Float[Tensor, "b p 4"]) -> Bool[Tensor, "b n"]:
        """Whether any point lies in each token."""
        cell = self.index(points)
        found = points.new_zeros(len(points), self.count + 1).scatter(1, cell, 1.0)[:, :-1]
        return self.by_token(found[..., None]).amax((2, 3)) > 0

    def by_token(self, cells: Float[Tensor, "b m f"]) -> Float[Tensor, "b n q f"]:
        """Values of cells grouped by the token that they belong to: n tokens of q = patch² cells, both row-major."""
        shape = (self.grid[0], self.patch, self.grid[1], self.patch)
        return cells.unflatten(1, shape).transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def tokens_of(self, cells: np.ndarray) -> np.ndarray:
        """``by_token`` of one value per cell as a numpy array: (n, m) → (n, tokens, patch²)."""
        rows, columns = self.grid
        split = cells.reshape(-1, rows, self.patch, columns, self.patch).transpose(0, 1, 3, 2, 4)
        return split.reshape(-1, rows * columns, self.patch**2)
