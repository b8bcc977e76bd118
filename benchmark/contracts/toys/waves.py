"""Small modalities for tests of the library: class-dependent sinusoids on 1-D, 2-D or channel × time grids."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from jepakit.modality import Modality, grid_positions
from jepakit.types import Batch, Card, Data, Part, Task, Tokens


class Linear(nn.Module):
    def __init__(self, waves: Waves, dim: int) -> None:
        super().__init__()
        self.waves = waves
        self.weight = nn.Linear(waves.patch_values, dim, bias=False)

    def forward(self, batch: Batch) -> Tokens:
        pos = grid_positions(self.waves.grid).to(batch.x.device)
        return Tokens(self.weight(self.waves.patches(batch)), pos.expand(len(batch), -1, -1))


class Waves(Modality):
    """Rows of ∏grid patches of four values; two classes differ in frequency, units hold four rows each."""

    name = "toy"
    dataset = "waves"
    time = 1  # the axis of x: each value is a frame
    actions = ("gain",)
    card: ClassVar[Card] = Card("Toy waves", "none", "generated", "none", "unit")
    rows: ClassVar[dict[Part, int]] = {"train": 128, "val": 64, "test": 64}

    def __init__(self, root: object = None, grid: tuple[int, ...] = (40,)) -> None:
        super().__init__(None)
        self.grid = grid
        self.tasks = (Task("wave", "class", "macro_f1", ("slow", "fast")), Task("phase", "regression", "r2"))

    @property
    def patch_values(self) -> int:
        return 4

    def data(self, part: Part) -> Data:
        n, tokens = self.rows[part], math.prod(self.grid)
        rng = np.random.default_rng(["train", "val", "test"].index(part))
        label, phase = rng.integers(0, 2, n), rng.uniform(0, 1, n)
        time = np.arange(tokens * 4) / 40
        x = np.sin(2 * np.pi * ((1 + 2 * label[:, None]) * time + phase[:, None]))
        x += 0.05 * rng.normal(size=x.shape)
        labels = {"wave": torch.from_numpy(label), "phase": torch.from_numpy(np.cos(2 * np.pi * phase)).float()}
        unit = np.array([f"{part}{i // 4}" for i in range(n)])
        return Data(torch.from_numpy(x).float(), labels, unit)

    def tokenizer(self, dim: int) -> nn.Module:
        return Linear(self, dim)

    def patches(self, batch: Batch) -> Tensor:
        return batch.x.reshape(len(batch), -1, 4)

    def views(self, batch: Batch) -> Batch:
        gain = 2 * torch.rand(len(batch), 1, device=batch.x.device) - 1
        x = batch.x * (1 + 0.2 * gain) + 0.1 * torch.randn_like(batch.x)
        return Batch(x, batch.labels, {**batch.extra, "action": gain})

    def channelwise(self) -> Waves:
        """Read the row as four "leads" of a quarter each."""
        return Waves(grid=(4, math.prod(self.grid) // 4))


class Bodies(Waves):
    """Waves on a grid whose outer tokens are background in some rows: the side input ``occupied`` says which are not."""

    def data(self, part: Part) -> Data:
        data = super().data(part)
        tokens = math.prod(self.grid)
        edge = np.random.default_rng(7).integers(0, tokens // 4, (len(data), 2))
        place = np.arange(tokens)
        occupied = (place >= edge[:, :1]) & (place < tokens - edge[:, 1:])
        return replace(data, extra={"occupied": torch.from_numpy(occupied)})
