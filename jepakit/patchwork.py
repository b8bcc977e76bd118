"""Masks made of unions of blocks, on grids of any number of axes: V-JEPA's multi-block, data2vec 2's inverse blocks."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from jepakit.masking import Masker
from jepakit.modality import grid_positions
from jepakit.types import Split, Tokens, UsageError


class Patchwork(Masker):
    """The union of ``blocks`` blocks at uniform places is hidden, or shown with ``shown=True``; drawn for every sample and
    context.

    sides: block length per axis, at most the grid's; keep: visible share of the tokens; ask: queried share, all that is
    not visible by default; contexts: independent masks of a sample, which share one pass of the teacher.

    Unions differ in size, so both lists are brought to their fixed lengths at random: context tokens come from the visible
    region first and queried tokens from the hidden one, and what is left of either takes no part. The released V-JEPA code
    cuts to the batch minimum in index order instead, which empties the end of the grid.
    """

    def __init__(
        self,
        grid: tuple[int, ...],
        sides: tuple[int, ...],
        blocks: int,
        *,
        shown: bool = False,
        keep: float = 0.25,
        ask: float | None = None,
        contexts: int = 1,
    ) -> None:
        """Raises UsageError where nothing would be seen or asked for, ValueError for sides that do not fit the grid."""
        super().__init__(grid)
        if len(sides) != len(grid) or any(not 1 <= side <= whole for side, whole in zip(sides, grid, strict=False)):
            raise ValueError(f"blocks of {sides} do not fit a grid of {grid}")
        self.sides, self.blocks, self.shown, self.contexts = sides, blocks, shown, contexts
        self.visible = round(keep * self.count)
        self.queried = self.count - self.visible if ask is None else round(ask * self.count)
        if (
            self.visible < 1
            or self.queried < 1
            or self.visible + self.queried > self.count
            or min(blocks, contexts) < 1
        ):
            raise UsageError(
                f"seeing {self.visible} and predicting {self.queried} of {self.count} tokens, with {blocks} blocks in each "
                f"of {contexts} contexts, is no usable mask; use other shares or a smaller patch (more tokens)"
            )

    def union(self, samples: int, device: torch.device) -> Bool[Tensor, "b m n"]:
        """Where the blocks lie."""
        inside = torch.ones(samples, self.contexts, self.blocks, self.count, dtype=torch.bool, device=device)
        for place, side, whole in zip(
            grid_positions(self.grid).to(device).unbind(-1), self.sides, self.grid, strict=True
        ):
            first = torch.randint(0, whole - side + 1, (*inside.shape[:3], 1), device=device)
            inside &= (place >= first) & (place < first + side)
        return inside.any(2)

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        union = self.union(len(tokens.x), tokens.x.device)
        hidden = ~union if self.shown else union
        order = (hidden + torch.rand(hidden.shape, device=hidden.device)).argsort(-1)
        context, asked = order[..., : self.visible], order[..., self.count - self.queried :]
        return Split(context.sort(-1).values, asked.sort(-1).values[:, :, None])


def multiblock(grid: tuple[int, ...], *, blocks: int = 8, scale: float = 0.15, keep: float = 0.25) -> Patchwork:
    """V-JEPA's short-range masks (arXiv 2404.08471): the union of eight blocks of 15 % of the last two axes, spanning the
    axes before them, is hidden; half of all tokens are asked for. Blocks have the proportions of the grid."""
    share = scale ** (1 / min(2, len(grid)))
    sides = (*grid[:-2], *(max(1, round(share * side)) for side in grid[-2:]))
    return Patchwork(grid, sides, blocks, keep=keep, ask=0.5)


def inverse_blocks(grid: tuple[int, ...], *, hide: float, side: int = 3, contexts: int = 1) -> Patchwork:
    """data2vec 2's inverse block masks (arXiv 2212.07525): blocks of ``side`` tokens per axis stay visible, drawn until they
    cover about 7 % more than the visible share if they did not overlap; everything else is asked for."""
    sides = tuple(min(side, whole) for whole in grid)
    blocks = max(1, round((1 - hide + 0.07) * math.prod(grid) / math.prod(sides)))
    return Patchwork(grid, sides, blocks, shown=True, keep=1 - hide, contexts=contexts)
