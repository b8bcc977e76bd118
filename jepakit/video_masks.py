"""V-JEPA's multi-block masks with the released geometry: unions of blocks of one share of the last two axes of a grid."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from jepakit.masking import Masker, uniform
from jepakit.types import Split, Tokens, UsageError

ASPECT = (0.75, 1.5)
SHORT, LONG = (8, 0.15), (2, 0.7)  # blocks, share of each


def sides(plane: tuple[int, int], share: float, aspect: float, *, corrected: bool) -> tuple[int, int]:
    """Height and width of a block on the ``plane``, both cut to it. ``corrected``: what one side loses by the cut the other
    gains, so that the block keeps its share on a plane that is no square."""
    rows, columns = plane
    area = int(share * rows * columns + 1e-9)
    height = min(rows, max(1, round(math.sqrt(area * aspect))))
    width = min(columns, max(1, round(math.sqrt(area / aspect))))
    if corrected and height == rows:
        width = min(columns, max(1, round(area / height)))
    elif corrected and width == columns:
        height = min(rows, max(1, round(area / width)))
    return height, width


def kept(plane: tuple[int, int], blocks: int, share: float, *, corrected: bool = False, steps: int = 61) -> float:
    """The share of the plane that a union of ``blocks`` at uniform places leaves visible, on average over aspects."""
    total = 0.0
    for step in range(steps):
        aspect = ASPECT[0] + (ASPECT[1] - ASPECT[0]) * (step + 0.5) / steps
        covered = [
            torch.tensor([min(i, side - 1, whole - side, whole - 1 - i) + 1.0 for i in range(whole)])
            / (whole - side + 1)
            for whole, side in zip(plane, sides(plane, share, aspect, corrected=corrected), strict=True)
        ]
        covered = [torch.minimum(axis, torch.ones(())) for axis in covered]
        total += float((1 - covered[0][:, None] * covered[1]).pow(blocks).mean())
    return total / steps


class VideoBlocks(Masker):
    """The union of many small or of few large blocks is hidden (V-JEPA's short-range and long-range masks), through all of
    the axes before the last two; which of the two is drawn once per batch.

    The context has the number of tokens that such a mask leaves on average, from the visible region first, and as many of
    the hidden ones as it leaves on average are asked for: the release cuts every list to the batch minimum in index order.
    """

    def __init__(self, grid: tuple[int, ...], *, corrected: bool = False) -> None:
        """Raises UsageError for a grid of one axis or one on which a mask leaves nothing to see or to predict."""
        super().__init__(grid)
        if len(grid) < 2:
            raise UsageError("blocks of a share of a plane need a grid of two axes; use Runs on a sequence")
        self.plane, self.corrected = (grid[-2], grid[-1]), corrected
        self.visible = [round(kept(self.plane, *one, corrected=corrected) * self.count) for one in (SHORT, LONG)]
        if min(self.visible) < 1 or max(self.visible) >= self.count:
            raise UsageError(
                f"multi-block masks leave {self.visible} of {self.count} tokens visible; use a smaller patch (more tokens)"
            )

    def union(self, samples: int, which: int, device: torch.device) -> Bool[Tensor, "b n"]:
        """Where the blocks lie: short-range (0) or long-range (1)."""
        blocks, share = (SHORT, LONG)[which]
        along = []
        lengths = sides(self.plane, share, uniform(*ASPECT), corrected=self.corrected)
        for whole, side in zip(self.plane, lengths, strict=True):
            first = torch.randint(whole - side + 1, (samples, blocks, 1), device=device)
            index = torch.arange(whole, device=device)
            along.append((index >= first) & (index < first + side))
        inside = (along[0][..., None] & along[1][:, :, None]).any(1).flatten(1)
        return inside.repeat(1, self.count // inside.shape[1])

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        which = int(torch.randint(2, ()))
        hidden = self.union(len(tokens.x), which, tokens.x.device)
        order = (hidden + torch.rand(hidden.shape, device=hidden.device)).argsort(-1)
        seen, asked = order[:, : self.visible[which]], order[:, self.visible[which] :]
        return Split(seen.sort(-1).values[:, None], asked.sort(-1).values[:, None, None])
