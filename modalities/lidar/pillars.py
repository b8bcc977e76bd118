"""Pillars: points become vectors by a small shared network, the largest values of a cell stand for it, a square of cells is
a token (PointPillars, Lang et al. 2019, arXiv 1812.05784, without its batch statistics)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import grid_positions
from jepakit.types import Batch, Tokens
from modalities.lidar.raster import Raster
from modalities.signals import token_std

WIDTH = 16  # of a point's and of a cell's vector


class PillarTokenizer(nn.Module):
    """(b, P, 4) points → one token per square of cells. Nothing but the points of its own cells reaches a token.

    A point says x and y as shares of the map, its height, its offset to the centre of its cell, its distance from the
    origin and its intensity. Cells without a point hold one learned vector.
    """

    pos: Tensor

    def __init__(self, raster: Raster, height: float, dim: int, width: int = WIDTH) -> None:
        """``height``: metres that count as one unit of z."""
        super().__init__()
        self.raster, self.height = raster, height
        self.point = nn.Sequential(nn.Linear(7, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width))
        self.empty = nn.Parameter(torch.zeros(width))
        values = width * raster.patch**2
        self.project = nn.Linear(values, dim)
        # Values of cells are small at the start, and many cells are empty: tokens are as large as those of images then.
        nn.init.trunc_normal_(self.project.weight, std=4 * token_std(values))
        nn.init.zeros_(self.project.bias)
        self.register_buffer("pos", grid_positions(raster.grid), persistent=False)

    def forward(self, batch: Batch) -> Tokens:
        cell = self.raster.index(batch.x)
        cells = self.pile(self.point(self.describe(batch.x)), cell)
        x = self.project(self.raster.by_token(cells).flatten(2))
        return Tokens(x, self.pos.expand(len(x), -1, -1))

    def describe(self, points: Float[Tensor, "b p 4"]) -> Float[Tensor, "b p 7"]:
        """The numbers that a point is described by, all of about unit size."""
        raster = self.raster
        place = torch.stack([(points[..., axis] - raster.low[axis]) / raster.cell for axis in (0, 1)], -1)
        sides = max(raster.sides)
        offset = place - place.floor() - 0.5
        far = points[..., :2].norm(dim=-1, keepdim=True) / (sides * raster.cell)
        share = 2 * place / sides - 1
        x = torch.cat([share, points[..., 2:3] / self.height, 2 * offset, 2 * far, points[..., 3:4]], -1)
        return x.clamp(-4, 4)

    def pile(self, points: Float[Tensor, "b p d"], cell: Tensor) -> Float[Tensor, "b m d"]:
        """The largest value of every number over the points of each cell; the learned vector where there is none."""
        n = self.raster.count + 1
        at = (cell + n * torch.arange(len(cell), device=cell.device)[:, None]).flatten()
        full: Tensor = Largest.apply(  # type: ignore[no-untyped-call]
            points.flatten(0, 1), self.empty.to(points.dtype), at, len(cell) * n
        )
        return full.unflatten(0, (len(cell), n))[:, :-1]


class Largest(torch.autograd.Function):
    """Largest values by group. Its gradient goes to every point that holds the largest value (torch's own divides it among
    them, which costs several times as much), by gathering alone: the same bits on every device."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, empty: Tensor, at: Tensor, groups: int) -> Tensor:
        """``points`` (p, d) of the groups ``at`` (p,) → values (groups, d); ``empty`` (d,) is the value without points."""
        largest = empty.repeat(groups, 1)
        largest.scatter_reduce_(0, at[:, None].expand_as(points), points, "amax", include_self=False)
        vacant = points.new_ones(groups).index_fill(0, at, 0.0)
        ctx.save_for_backward(points, at, largest, vacant)
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        points, at, largest, vacant = ctx.saved_tensors
        return gradient.index_select(0, at) * (points == largest.index_select(0, at)), vacant @ gradient, None, None
