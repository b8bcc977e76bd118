"""Masks that are tubes: the same cells of the last two axes of a grid are hidden through all axes before them.

V-JEPA's multi-block masks in two sets, as they were released and with fixed lengths; VideoMAE's random tubes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from jepakit.masking import Masker, chosen, uniform
from jepakit.types import Split, Tokens, UsageError
from jepakit.video_masks import ASPECT, LONG, SHORT, sides

SETS = (SHORT, LONG)
# Shares of the plane that are seen and asked for once the release has cut a batch of 24 (mean over 14×14, 16×16 and 8×8).
CUT = ((0.23, 0.48), (0.07, 0.70))
CPU = torch.device("cpu")


class Tubes(Masker):
    """A mask over the plane of the last two axes, repeated through the ``depth`` planes of the others."""

    def __init__(self, grid: tuple[int, ...]) -> None:
        """Raises UsageError for a grid of one axis."""
        super().__init__(grid)
        if len(grid) < 2:
            raise UsageError(
                f"tubes need a grid of at least two axes, this one has {len(grid)}; use mae or ijepa on a sequence"
            )
        self.plane = (grid[-2], grid[-1])
        self.cells = math.prod(self.plane)
        self.depth = self.count // self.cells

    def through(self, cells: Int[Tensor, "b k"]) -> Int[Tensor, "b l"]:
        """Tokens of the tubes at ``cells``, plane by plane: sorted, l = depth · k."""
        first = torch.arange(self.depth, device=cells.device)[:, None] * self.cells
        return (cells.sort(-1).values[:, None] + first).flatten(1)


class RandomTubes(Tubes):
    """A random subset of tubes is hidden, exactly int(hide · cells) in every plane, and all of them are asked for."""

    def __init__(self, grid: tuple[int, ...], hide: float = 0.9) -> None:
        """Raises UsageError where nothing would be seen or asked for."""
        super().__init__(grid)
        self.hidden = int(hide * self.cells)
        if not 0 < self.hidden < self.cells:
            raise UsageError(
                f"hiding {hide:.0%} of {self.cells} tubes leaves nothing to see or to predict; use another recipe.hide or a "
                "smaller patch (more tokens)"
            )

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        order = torch.rand(len(tokens.x), self.cells, device=tokens.x.device).argsort(1)
        seen, asked = self.through(order[:, self.hidden :]), self.through(order[:, : self.hidden])
        return Split(seen[:, None], asked[:, None, None])


class MultiBlocks(Tubes):
    """V-JEPA's two sets of masks (arXiv 2404.08471): the union of 8 blocks of 15 % of the plane (set 0) or of 2 of 70 %
    (set 1) is hidden; ``which`` names the set. Block sizes are drawn once per batch, places per sample.

    Unions differ in size, so both lists are brought at random to the lengths that the release's cut leaves in a batch of
    24: seen tubes come from the visible region first, asked ones from the hidden region, and what is left of either takes
    no part. Of ``tries`` draws a sample takes the first whose regions are large enough.
    """

    sets = len(SETS)

    def __init__(self, grid: tuple[int, ...], *, shares: tuple[tuple[float, float], ...] = CUT, tries: int = 4) -> None:
        """``shares``: of the plane that are seen and asked for, by set. Raises UsageError for a grid too small for them."""
        super().__init__(grid)
        self.tries = tries
        self.lengths = [(max(1, round(seen * self.cells)), max(1, round(asked * self.cells))) for seen, asked in shares]
        if any(seen + asked > self.cells for seen, asked in self.lengths):
            raise UsageError(
                f"a plane of {self.plane[0]}×{self.plane[1]} tokens cannot show and hide {self.lengths} of its tubes; use a "
                "smaller patch (more tokens)"
            )

    def drawn(self, which: int) -> tuple[int, int]:
        """Height and width of the blocks of set ``which`` in this batch."""
        return sides(self.plane, SETS[which][1], uniform(*ASPECT), corrected=False)

    def placed(
        self, count: tuple[int, ...], which: int, lengths: tuple[int, int], device: torch.device
    ) -> Bool[Tensor, "*s cells"]:
        """Unions of the blocks of set ``which`` at uniform places on ``count`` planes."""
        along = []
        for whole, side in zip(self.plane, lengths, strict=True):
            first = torch.randint(whole - side + 1, (*count, SETS[which][0], 1), device=device)
            index = torch.arange(whole, device=device)
            along.append((index >= first) & (index < first + side))
        return (along[0][..., :, None] & along[1][..., None, :]).any(-3).flatten(-2)

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float, which: int = 0) -> Split:
        samples, device = len(tokens.x), tokens.x.device
        seen, asked = self.lengths[which]
        drawn = self.placed((samples, self.tries), which, self.drawn(which), device)
        hides = drawn.sum(-1)
        enough = (hides >= asked) & (self.cells - hides >= seen)
        best = (enough * self.tries - torch.arange(self.tries, device=device)).argmax(1)
        hidden = drawn[torch.arange(samples, device=device), best]
        order = (hidden + torch.rand(hidden.shape, device=device)).argsort(-1)
        context, target_ = self.through(order[:, :seen]), self.through(order[:, self.cells - asked :])
        return Split(context[:, None], target_[:, None, None])


class PaperMultiBlocks(MultiBlocks):
    """The same two sets as they were released: everything outside the union is seen, everything inside is asked for, and
    both lists are cut to the shortest of the batch by keeping their first tokens, plane by plane. Larger batches see less,
    and little of what is late. Samples that would see nothing are placed again.

    Lengths are known after drawing only, so masks are drawn on the host and copied to the device.
    """

    def regions(self, samples: int, which: int) -> Bool[Tensor, "b cells"]:
        """The union on each plane, none of them covering all of it."""
        lengths = self.drawn(which)
        hidden = torch.ones(samples, self.cells, dtype=torch.bool)
        waiting = torch.arange(samples)
        while len(waiting):  # ends: no block is as large as the plane, see ``sides``
            drawn = self.placed((len(waiting),), which, lengths, CPU)
            hidden[waiting] = drawn
            waiting = waiting[drawn.all(1)]
        return hidden

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float, which: int = 0) -> Split:
        hidden = self.regions(len(tokens.x), which).repeat(1, self.depth)
        seen, asked = int((~hidden).sum(1).min()), int(hidden.sum(1).min())
        device = tokens.x.device
        context, target_ = chosen(~hidden, seen), chosen(hidden, asked)
        return Split(
            context[:, None].to(device, non_blocking=True), target_[:, None, None].to(device, non_blocking=True)
        )
