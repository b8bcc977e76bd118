"""Local masked windows (LoMaR, SAR-JEPA): small windows of a grid, each encoded and predicted by itself."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.masking import Masker
from jepakit.modality import grid_positions
from jepakit.types import Split, Tokens, UsageError


class LocalWindows(Masker):
    """``count`` windows at uniform places per sample, on grids of any number of axes; of each, the share ``hide`` of the
    tokens is asked for from the others of the same window.

    side: window length along every axis (7 in the papers); default half of each axis, which is 7 of 14.
    """

    def __init__(self, grid: tuple[int, ...], *, count: int = 4, side: int | None = None, hide: float = 0.8) -> None:
        super().__init__(grid)
        self.windows = count
        self.sides = tuple(max(1, length // 2) if side is None else min(side, length) for length in grid)
        self.hidden = int(hide * math.prod(self.sides) + 1e-9)
        if count < 1 or not 0 < self.hidden < math.prod(self.sides):
            raise UsageError(
                f"{count} windows of {math.prod(self.sides)} tokens, {self.hidden} of them hidden, leave nothing to see or "
                "to predict; use larger windows or a smaller patch (more tokens)"
            )

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        shape, device = (len(tokens.x), self.windows), tokens.x.device
        inside = grid_positions(self.sides).to(device).long()  # (window, axes)
        index: Tensor | int = 0
        for axis, (side, length) in enumerate(zip(self.grid, self.sides, strict=True)):
            first = torch.randint(0, side - length + 1, shape, device=device)[..., None]
            index = index * side + first + inside[:, axis]
        assert isinstance(index, Tensor)
        order = torch.rand(index.shape, device=device).argsort(-1)
        mixed = torch.gather(index, 2, order)
        hidden, seen = mixed[..., : self.hidden].sort(-1).values, mixed[..., self.hidden :].sort(-1).values
        return Split(seen, hidden[:, :, None])
