"""I-JEPA's mask sampler as it was released, biases included: for comparison with the corrected one (masking.Blocks).

Its context is cut to the shortest of the batch, so lengths are only known after drawing: masks are drawn on the host, for
all samples at once, and copied to the device. No other masker of the library does that.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from jepakit.masking import Masker, chosen, uniform
from jepakit.types import Split, Tokens, UsageError


def paper_sides(grid: tuple[int, ...], scale: float, aspect: float) -> tuple[int, int]:
    """(height, width) of a block of ``scale`` of a grid of two axes; ``aspect`` is height over width.

    Both are lowered until they are shorter than their side: in the released code no block spans the grid.
    """
    area = int(grid[0] * grid[1] * scale)
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    return min(height, grid[0] - 1), min(width, grid[1] - 1)


class PaperBlocks(Masker):
    """The multi-block masks of I-JEPA's released code (Assran et al. 2023, arXiv 2301.08243), on grids of two axes.

    Block sizes are drawn once per batch, *one* draw giving scale and aspect of the targets. Places are drawn per sample
    with an exclusive upper end, so that blocks never reach the last row and column. The context is the context block
    without the targets; with ``min_keep`` tokens or fewer it is placed again, and after every 20 failures one more target,
    the last first, loses its exclusion. At last all contexts are cut to the shortest of the batch by keeping their first
    tokens in row-major order: larger batches see less, and little of the lower rows.
    """

    TRIES = 20

    def __init__(
        self,
        grid: tuple[int, ...],
        *,
        targets: int = 4,
        target_scale: tuple[float, float] = (0.15, 0.20),
        target_aspect: tuple[float, float] = (0.75, 1.5),
        context_scale: tuple[float, float] = (0.85, 1.0),
        min_keep: int = 10,
    ) -> None:
        """Raises UsageError on grids of other than two axes and on those whose context block holds no more than
        ``min_keep`` tokens or whose targets are empty."""
        super().__init__(grid)
        self.targets, self.target_scale, self.target_aspect = targets, target_scale, target_aspect
        self.context_scale, self.min_keep = context_scale, min_keep
        if len(grid) != 2:
            raise UsageError(
                f"the released sampler of I-JEPA needs a grid of two axes, this one has {len(grid)}; "
                "use recipe.sampler=corrected"
            )
        if not self.fits(grid):
            side = next(side for side in range(2, 1000) if self.fits((side, side)))
            raise UsageError(
                f"a grid of {grid[0]}×{grid[1]} tokens is too small for the released sampler with more than {min_keep} "
                f"context tokens, {side}×{side} would do; use a smaller patch or recipe.sampler=corrected"
            )

    def fits(self, grid: tuple[int, ...]) -> bool:
        """Whether the smallest blocks drawn on ``grid`` are usable."""
        blocks = [paper_sides(grid, self.target_scale[0], aspect) for aspect in self.target_aspect]
        context = paper_sides(grid, self.context_scale[0], 1.0)
        return min(min(block) for block in blocks) >= 1 and math.prod(context) > self.min_keep

    def place(self, count: tuple[int, ...], sides: tuple[int, int]) -> Bool[Tensor, "..."]:
        """Blocks of the given sides at places drawn with an exclusive upper end: bool of shape (*count, n)."""
        rows, columns = (
            torch.arange(side) - torch.randint(0, side - length, (*count, 1)) for side, length in zip(self.grid, sides)
        )
        down, across = (rows >= 0) & (rows < sides[0]), (columns >= 0) & (columns < sides[1])
        return (down[..., :, None] & across[..., None, :]).flatten(-2)

    def blocks(self, samples: int) -> tuple[Bool[Tensor, "b t n"], Bool[Tensor, "b n"]]:
        """(targets, contexts before the cut) of one batch."""
        ratio = uniform(0.0, 1.0)
        scale, aspect = (low + ratio * (high - low) for low, high in (self.target_scale, self.target_aspect))
        targets = self.place((samples, self.targets), paper_sides(self.grid, scale, aspect))
        around = paper_sides(self.grid, uniform(*self.context_scale), 1.0)
        context = torch.zeros(samples, self.count, dtype=torch.bool)
        waiting = torch.arange(samples)
        failures = 0
        while len(waiting):  # ends: the context block alone is large enough, see ``fits``
            excluded = targets[waiting, : max(0, self.targets - failures // self.TRIES)].any(1)
            drawn = self.place((len(waiting),), around) & ~excluded
            enough = drawn.sum(1) > self.min_keep
            context[waiting[enough]] = drawn[enough]
            waiting = waiting[~enough]
            failures += 1
        return targets, context

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        blocks, free = self.blocks(len(tokens.x))
        context: Int[Tensor, "b k"] = chosen(free, int(free.sum(1).min()))
        wanted = chosen(blocks, int(blocks[0, 0].sum()))
        device = tokens.x.device
        return Split(context[:, None].to(device, non_blocking=True), wanted[:, None].to(device, non_blocking=True))
