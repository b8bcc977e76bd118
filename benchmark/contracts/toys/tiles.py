"""A small two-axis modality for tests of the library: striped colour tiles with views, small crops and reported actions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality, grid_positions
from jepakit.types import Batch, Card, Data, Part, Task, Tokens

SIDE, PATCH, CHANNELS = 16, 2, 3


def cut(x: Tensor) -> Tensor:
    """Non-overlapping patches of (b, c, h, w), flattened: (b, h·w / PATCH², c·PATCH²), row-major."""
    return F.unfold(x, PATCH, stride=PATCH).mT


class Patches(nn.Module):
    """A linear map of each patch. Tokens of a smaller crop are spread over the extent of the full grid."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Linear(CHANNELS * PATCH**2, dim, bias=False)

    def forward(self, batch: Batch) -> Tokens:
        side = batch.x.shape[-1] // PATCH
        pos = (grid_positions((side, side)).to(batch.x.device) + 0.5) * (SIDE // PATCH / side) - 0.5
        return Tokens(self.weight(cut(batch.x)), pos.expand(len(batch), -1, -1))


class Tiles(Modality):
    """(3, 16, 16) tiles in patches of 2×2 (grid 8×8); stripes run across or down, their tone is a number."""

    name = "tiles"
    dataset = "tiles"
    embedded: ClassVar[bool] = True
    card: ClassVar[Card] = Card("Test tiles", "CC0", "generated", "none", "unit")
    actions = ("down", "right", "brightness")
    rows: ClassVar[dict[Part, int]] = {"train": 128, "val": 64, "test": 64}

    def __init__(self, root: object = None) -> None:
        super().__init__(None)
        self.grid = (SIDE // PATCH, SIDE // PATCH)
        self.tasks = (Task("stripe", "class", "macro_f1", ("across", "down")), Task("tone", "regression", "r2"))

    @property
    def patch_values(self) -> int:
        return CHANNELS * PATCH**2

    def data(self, part: Part) -> Data:
        n = self.rows[part]
        rng = np.random.default_rng(["train", "val", "test"].index(part))
        label, tone = rng.integers(0, 2, n), rng.uniform(-1, 1, n)
        wave = np.sin(2 * np.pi * (np.arange(SIDE) / 5 + rng.uniform(0, 1, (n, 1))))
        stripes = np.where(label[:, None, None] == 0, wave[:, :, None], wave[:, None, :])[:, None]
        colour = tone[:, None, None, None] * np.array([1.0, 0.0, -1.0])[:, None, None]
        x = stripes + colour + 0.1 * rng.normal(size=(n, CHANNELS, SIDE, SIDE))
        labels = {"stripe": torch.from_numpy(label), "tone": torch.from_numpy(tone).float()}
        return Data(torch.from_numpy(x).float(), labels, np.array([f"{part}{i // 4}" for i in range(n)]))

    def tokenizer(self, dim: int) -> nn.Module:
        return Patches(dim)

    def patches(self, batch: Batch) -> Tensor:
        return cut(batch.x)

    def views(self, batch: Batch) -> Batch:
        """A cyclic shift by up to four pixels along each axis and a change of brightness, as (b, 3) actions in [−1, 1]."""
        shift = torch.randint(-4, 5, (len(batch), 2), device=batch.x.device)
        light = 2 * torch.rand(len(batch), 1, device=batch.x.device) - 1
        place = torch.arange(SIDE, device=batch.x.device)
        row, column = ((place - shift[:, i, None]) % SIDE for i in range(2))
        sample = torch.arange(len(batch), device=batch.x.device)[:, None, None]
        x = batch.x[sample, :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2) + 0.3 * light[..., None, None]
        return Batch(x, batch.labels, {**batch.extra, "action": torch.cat([shift / 4, light], 1)})

    def local_views(self, batch: Batch) -> Batch:
        """A crop of half the side at a random corner, at the resolution it has."""
        top, left = (int(torch.randint(0, SIDE // 2 + 1, ())) for _ in range(2))
        return batch.with_x(batch.x[..., top : top + SIDE // 2, left : left + SIDE // 2])
