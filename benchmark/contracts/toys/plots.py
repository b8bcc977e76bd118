"""A small bird's-eye view for tests: cells with points, boxes on a plane, tokens of 2 × 2 cells, most of them empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality, grid_positions
from jepakit.types import Batch, Card, Data, Part, Task, Tokens

SIDE, PATCH, BOXES = 16, 2, 4  # cells of one metre, the sensor in the middle


def cut(x: Tensor) -> Tensor:
    """Cells (b, side, side, f) → what lies under each token (b, n, PATCH² · f), row-major, cells then values."""
    b, _, _, f = x.shape
    grid = SIDE // PATCH
    return x.reshape(b, grid, PATCH, grid, PATCH, f).transpose(2, 3).reshape(b, grid * grid, PATCH * PATCH * f)


class Pillars(nn.Module):
    """A linear map of the cells of a token; an empty token is zero."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Linear(3 * PATCH**2, dim, bias=False)

    def forward(self, batch: Batch) -> Tokens:
        pos = grid_positions((SIDE // PATCH, SIDE // PATCH)).to(batch.x.device)
        return Tokens(self.weight(cut(batch.x)), pos.expand(len(batch), -1, -1))


@dataclass(frozen=True)
class Raster:
    """The plan: corner, side of a cell in metres, tokens along x and y, cells along the side of a token."""

    low: tuple[float, float]
    cell: float
    grid: tuple[int, int]
    patch: int


@dataclass(frozen=True)
class Policy:
    """What an action of one means: degrees, and change of scale."""

    angle: float
    scale: float


class Plots(Modality):
    """(16, 16, 3) cells: log(1 + points), mean height, largest height. Cars are 2 × 2 cells, walls runs of five."""

    name = "plots"
    dataset = "plots"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card("Test plots", "CC0", "generated", "none", "plot")
    cell_classes: ClassVar[tuple[str, ...]] = ("ground", "car", "wall")
    raster: ClassVar[Raster] = Raster((-SIDE / 2, -SIDE / 2), 1.0, (SIDE // PATCH, SIDE // PATCH), PATCH)
    policy: ClassVar[Policy] = Policy(180.0, 0.05)
    actions = ("turn", "mirror", "scale")
    rows: ClassVar[dict[Part, int]] = {"train": 128, "val": 40, "test": 40}
    town: ClassVar[int] = 0

    def __init__(self, root: object = None) -> None:
        super().__init__(None)
        self.grid = (SIDE // PATCH, SIDE // PATCH)
        self.tasks = (Task("cars", "regression", "r2"),)

    @property
    def patch_values(self) -> int:
        return 3 * PATCH**2

    def data(self, part: Part) -> Data:
        n, rng = self.rows[part], np.random.default_rng([self.town, ["train", "val", "test"].index(part)])
        height = np.zeros((n, SIDE, SIDE))
        kind = np.zeros((n, SIDE, SIDE), np.int64)
        boxes = np.full((n, BOXES, 8), -1.0)
        for i in range(n):
            for k in range(rng.integers(1, 3)):
                r, c = rng.integers(1, SIDE - 3, 2)
                kind[i, r : r + 2, c : c + 2], height[i, r : r + 2, c : c + 2] = 1, 1.5
                boxes[i, k] = 1, r + 1 - SIDE / 2, c + 1 - SIDE / 2, 0.7, 2, 2, 1.5, 0
            r, c = rng.integers(0, SIDE), rng.integers(0, SIDE - 5)
            kind[i, r, c : c + 5], height[i, r, c : c + 5] = 2, 3.0
            boxes[i, 3] = 2, r + 0.5 - SIDE / 2, c + 2.5 - SIDE / 2, 1.5, 5, 1, 3, np.pi / 2
        hit = np.where(kind > 0, rng.uniform(size=kind.shape) < 0.8, rng.uniform(size=kind.shape) < 0.15)
        points = np.where(hit, rng.integers(1, 20, kind.shape), 0)
        mean = np.where(hit, height * 0.6 + 0.05 * rng.normal(size=kind.shape), 0)
        cells = np.stack([np.log1p(points), mean, np.where(hit, height, 0)], -1).astype(np.float32)
        x = torch.from_numpy(cells)
        middle = np.arange(SIDE) + 0.5 - SIDE / 2
        outside = np.hypot(middle[:, None], middle) > 10
        filled = cut(x).unflatten(-1, (-1, 3))[..., 0].amax(-1) > 0
        extra = {
            "occupied": filled,
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "cell_class": torch.from_numpy(np.where(outside, -1, kind).reshape(n, -1)),
            "full": torch.from_numpy((kind > 0).reshape(n, -1)),
        }
        cars = torch.from_numpy((boxes[:, :, 0] == 1).sum(1).astype(np.float32))
        return Data(x, {"cars": cars}, np.array([f"{part}{i // 2}" for i in range(n)]), extra=extra)

    def tokenizer(self, dim: int) -> nn.Module:
        return Pillars(dim)

    def patches(self, batch: Batch) -> Tensor:
        return cut(batch.x)

    def cells(self, batch: Batch) -> Tensor:
        return batch.x

    def views(self, batch: Batch) -> Batch:
        """The plot turned by a quarter or half turn, or not, and perhaps mirrored, the same for the whole batch."""
        turns, mirror = int(torch.randint(-1, 3, ())), int(torch.randint(0, 2, ()))
        x = batch.x.flip(2) if mirror else batch.x  # y to −y
        x = torch.rot90(x, turns, (1, 2))  # x (rows) towards y (columns): a positive yaw
        action = torch.tensor([turns / 2, float(mirror), 0.0], device=x.device).expand(len(x), -1)
        filled = F.relu(cut(x).unflatten(-1, (-1, 3))[..., 0]).amax(-1) > 0
        return Batch(x, batch.labels, {**batch.extra, "occupied": filled, "action": action})


class Town(Plots):
    """Other plots."""

    dataset = "plots-town"
    town: ClassVar[int] = 1
