"""Maskers: which tokens the context sees and which are asked for, batched on the device, of sizes known on the host.

Lengths are drawn on the host once per batch and are equal over the samples, so a step needs no device sync and no
padding; places are drawn per sample on the device. All draws use torch's default generators (see randomness.py). The
released sampler of I-JEPA, which cannot be had that way, is in paper_masks.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from jepakit.types import Split, Tokens, UsageError


def uniform(low: float, high: float) -> float:
    """One host-side draw from U(low, high)."""
    return low + (high - low) * float(torch.rand(()))


def chosen(mask: Bool[Tensor, "*s n"], count: int) -> Int[Tensor, "*s {count}"]:
    """Sorted indices of the True entries of ``mask``, of which every row has exactly ``count``."""
    return mask.int().argsort(dim=-1, descending=True, stable=True)[..., :count]


def block_sides(grid: tuple[int, ...], scale: float, aspect: float) -> tuple[int, ...]:
    """Sides of a block that covers ``scale`` of the last two axes (of the one axis of a sequence) and all of the others;
    ``aspect`` is height over width. No side is longer than its axis or shorter than 1."""
    area = int(scale * math.prod(grid[-2:]) + 1e-9)
    if len(grid) == 1:
        return (max(1, min(area, grid[0])),)
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    return (*grid[:-2], max(1, min(height, grid[-2])), max(1, min(width, grid[-1])))


class Masker(nn.Module, ABC):
    """(tokens, targets, progress) → Split. ``grid`` is the token grid, row-major."""

    def __init__(self, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.grid = grid
        self.count = math.prod(grid)

    @abstractmethod
    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        """The split of this batch."""


class Subset(Masker):
    """A uniformly random subset stays visible, the complement is asked for in one group (MAE; Kim's random masks).

    keep: visible fraction, int(keep·n) tokens stay; or hide: a (low, high) range of the hidden fraction, drawn once per
    batch, int(hide·n) tokens are hidden.
    """

    def __init__(self, grid: tuple[int, ...], keep: float = 0.25, *, hide: tuple[float, float] | None = None) -> None:
        super().__init__(grid)
        self.keep, self.hide = keep, hide
        extremes = {self.visible(keep)} if hide is None else {self.count - int(h * self.count) for h in hide}
        if min(extremes) < 1 or max(extremes) >= self.count:
            raise UsageError(
                f"keeping {sorted(extremes)} of {self.count} tokens leaves nothing to see or nothing to predict; "
                "use another fraction or a smaller patch (more tokens)"
            )

    def visible(self, keep: float) -> int:
        return int(keep * self.count)

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        kept = self.visible(self.keep) if self.hide is None else self.count - int(uniform(*self.hide) * self.count)
        order = torch.rand(tokens.x.shape[:2], device=tokens.x.device).argsort(1)
        context, hidden = order[:, :kept].sort(1).values, order[:, kept:].sort(1).values
        return Split(context[:, None], hidden[:, None, None])


class Runs(Masker):
    """ECG-JEPA's masks (Weimann & Conrad): long hidden runs are carved from a sequence until 15–25 % of it is left.

    The paper keeps a list of free intervals and draws one in proportion to its length; drawing a free *token* and
    taking the run around it is the same law and needs no list, so all samples are carved at once.
    A grid of several axes is treated as one row-major sequence.
    """

    def __init__(
        self, grid: tuple[int, ...], keep: tuple[float, float] = (0.15, 0.25), min_block: int | None = None
    ) -> None:
        """``min_block``: shortest hidden block; default 5 % of the tokens (10 of 200 in the paper).

        Raises UsageError when fewer tokens are to be hidden than one block is long.
        """
        super().__init__(grid)
        self.keep = keep
        self.min_block = max(1, round(self.count / 20)) if min_block is None else min_block
        if not 0 < keep[0] <= keep[1] < 1:
            raise UsageError(f"the kept fraction must be a range inside (0, 1), got {keep}")
        if self.count - math.ceil(keep[1] * self.count) < self.min_block:
            raise UsageError(
                f"{self.count} tokens with {keep[1]:.0%} kept cannot hide a block of {self.min_block}; "
                "use a smaller min_block, a smaller keep or a smaller patch"
            )

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        kept = math.ceil(uniform(*self.keep) * self.count)
        free = self.carve(len(tokens.x), self.count - kept, tokens.x.device)
        return Split(chosen(free, kept)[:, None], chosen(~free, self.count - kept)[:, None, None])

    def carve(self, samples: int, hide: int, device: torch.device) -> Bool[Tensor, "b n"]:
        """Free tokens after hiding exactly ``hide`` tokens in every sample."""
        n, least = self.count, self.min_block
        place = torch.arange(n, device=device)
        free = torch.ones(samples, n, dtype=torch.bool, device=device)
        # Every pass hides a block of ≥ least tokens, or a whole run; each block adds at most one run, so this many
        # passes always suffice. Waiting for "all done" would be a device sync, so only the CPU stops early.
        for _ in range(2 * (hide // least) + 3):
            rest = hide - (n - free.sum(1))
            if device.type == "cpu" and not rest.any():
                break
            token = (torch.rand(samples, n, device=device) * free).argmax(1, keepdim=True)
            hidden = ~free
            start = torch.where(hidden & (place < token), place + 1, 0).amax(1)
            end = torch.where(hidden & (place > token), place, n).amin(1)
            draw = torch.rand(3, samples, device=device)
            large = rest >= least
            block = torch.where(large, least + (draw[0] * (rest - least + 1)).long(), rest)
            room = end - block - start
            inside = start + (draw[1] * (room + 1)).long()
            # A remainder shorter than a block is attached to a hidden neighbour, so that it lengthens that run.
            left, right = start > 0, end < n
            attach_left = left & (~right | (draw[2] < 0.5))
            first = torch.where(large, inside, torch.where(attach_left, start, end - block))
            whole = room <= 0
            first, last = torch.where(whole, start, first), torch.where(whole, end, first + block)
            free = free & ~((place >= first[:, None]) & (place < last[:, None]) & (rest > 0)[:, None])
        return free


class Blocks(Masker):
    """I-JEPA's multi-block masks (Assran et al., corrected sampler) on grids of any number of axes.

    Blocks are runs on a grid of one axis and rectangles over the last two axes of any other; they span the whole of the
    axes before those (V-JEPA's spatial blocks: the same place in every frame, Bardes et al. 2024). All scales are shares
    of the axes that blocks are cut from.

    Differs from the released sampler (paper_masks.PaperBlocks): independent draws of scale and aspect, blocks may touch
    every side, and a context of fixed size ⌈keep·n⌉ by random subsampling (the released code cuts all samples to the
    batch minimum in row-major order, which empties the lower part of the grid). Where targets leave fewer tokens, the
    placement is redrawn up to ``tries`` times, then tokens of the last target are allowed back, as in the released code.
    """

    def __init__(
        self,
        grid: tuple[int, ...],
        *,
        targets: int = 4,
        target_scale: tuple[float, float] = (0.15, 0.20),
        target_aspect: tuple[float, float] = (0.75, 1.5),
        context_scale: tuple[float, float] = (0.85, 1.0),
        keep: float = 0.25,
        tries: int = 8,
    ) -> None:
        """Raises UsageError for an impossible setting, for a grid that is too small for it (naming one that would do) and
        for target blocks that leave no context of ⌈keep·n⌉ tokens."""
        super().__init__(grid)
        if targets < 1 or not 0 < target_scale[0] <= target_scale[1] <= 1 or not 0 < keep < 1:
            raise UsageError(
                f"block masks need at least one target, its scale a range inside (0, 1] and a kept share inside (0, 1); "
                f"targets={targets}, target_scale={target_scale}, keep={keep} are not"
            )
        self.targets, self.target_scale, self.target_aspect = targets, target_scale, target_aspect
        self.context_scale, self.keep, self.tries = context_scale, keep, tries
        self.visible = math.ceil(keep * self.count)
        size = "×".join(map(str, grid))
        if not self.fits(grid):
            longer = (grid[:-2] + tuple(max(side, s) for s in grid[-2:]) for side in range(1, 10_000))
            enough = next((one for one in longer if self.fits(one)), None)
            if enough is None:
                raise UsageError(
                    f"a context block of {context_scale[0]:.0%} never holds the kept {keep:.0%}; lower the kept share"
                )
            raise UsageError(
                f"a grid of {size} tokens is too small for target blocks of {target_scale[0]:.0%} and a context of "
                f"{keep:.0%}, {'×'.join(map(str, enough))} would do; use a smaller patch (more tokens) or larger blocks"
            )
        largest = max(math.prod(block_sides(grid, target_scale[1], a)) for a in (*target_aspect, 1.0))
        if self.count - largest < self.visible:
            raise UsageError(
                f"a target block of up to {largest} of {self.count} tokens ({size}) leaves no context of {self.visible}; "
                "use a smaller target_scale or a smaller kept share"
            )

    def fits(self, grid: tuple[int, ...]) -> bool:
        """Whether the smallest target on ``grid`` holds a token and the smallest context block the kept share."""
        smallest = math.prod(block_sides(grid, self.context_scale[0], 1.0))
        cells = math.prod(grid[-2:])
        return int(self.target_scale[0] * cells) >= 1 and math.ceil(self.keep * math.prod(grid)) <= smallest

    def place(self, shape: tuple[int, ...], sides: tuple[int, ...], device: torch.device) -> Bool[Tensor, "..."]:
        """Blocks of the given sides at uniform places: bool of shape (*shape, n)."""
        inside = torch.ones(*shape, *self.grid, dtype=torch.bool, device=device)
        for axis, (side, length) in enumerate(zip(self.grid, sides, strict=True)):
            first = torch.randint(0, side - length + 1, shape, device=device)[..., None]
            index = torch.arange(side, device=device)
            along = (index >= first) & (index < first + length)
            inside &= along.reshape(*shape, *(side if a == axis else 1 for a in range(len(self.grid))))
        return inside.flatten(len(shape))

    def candidates(
        self, samples: int, device: torch.device
    ) -> tuple[Bool[Tensor, "b r t n"], Bool[Tensor, "b r n"], int]:
        """(targets, context blocks, tokens of a target) of r placements per sample; one size for the whole batch."""
        sides = block_sides(self.grid, uniform(*self.target_scale), uniform(*self.target_aspect))
        around = block_sides(self.grid, uniform(*self.context_scale), 1.0)
        blocks = self.place((samples, self.tries, self.targets), sides, device)
        return blocks, self.place((samples, self.tries), around, device), math.prod(sides)

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        samples, device = len(tokens.x), tokens.x.device
        blocks, context, length = self.candidates(samples, device)
        # rank: index of the first target that covers a token; uncovered tokens rank highest. Sorting by it is the
        # fallback of the released code: give up the last target's exclusion first, then the one before.
        number = torch.arange(self.targets, device=device)[:, None]
        rank = torch.where(blocks, number, self.targets).amin(2)
        clean = (context & (rank == self.targets)).sum(-1)
        best = torch.where(clean >= self.visible, self.count + self.tries, clean)
        best = (best * self.tries - torch.arange(self.tries, device=device)).argmax(1)
        row = torch.arange(samples, device=device)
        blocks, rank, context = blocks[row, best], rank[row, best], context[row, best]
        priority = torch.where(context, rank + 1.0, 0.0) + torch.rand(samples, self.count, device=device)
        visible = priority.topk(self.visible, dim=1).indices.sort(1).values
        return Split(visible[:, None], chosen(blocks, length)[:, None])


class SharedBlocks(Masker):
    """Kim's multi-block masks (arXiv 2410.08559): the union of four blocks is hidden, one mask for the whole batch.

    ``legacy=True`` never draws the last legal start, as the released code does.
    """

    def __init__(
        self,
        grid: tuple[int, ...],
        *,
        blocks: int = 4,
        scale: tuple[float, float] = (0.175, 0.225),
        legacy: bool = False,
    ) -> None:
        super().__init__(grid)
        self.blocks, self.scale, self.legacy = blocks, scale, legacy
        longest = int(self.count * scale[1])
        if longest < 1 or blocks * longest >= self.count:
            raise UsageError(
                f"{blocks} blocks of up to {longest} of {self.count} tokens are no usable mask; use another scale"
            )

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        hidden = torch.zeros(self.count, dtype=torch.bool)
        length = max(1, int(self.count * uniform(*self.scale)))
        for _ in range(self.blocks):
            start = int(torch.randint(self.count - length + (0 if self.legacy else 1), ()))
            hidden[start : start + length] = True
        index = torch.arange(self.count)
        samples, device = len(tokens.x), tokens.x.device
        return Split(
            index[~hidden].to(device, non_blocking=True).expand(samples, 1, -1),
            index[hidden].to(device, non_blocking=True).expand(samples, 1, 1, -1),
        )


class Columns(Masker):
    """A mask over the last axis of the grid, repeated on every row of the others: all leads lose the same times, all
    frames the same tube."""

    def __init__(self, grid: tuple[int, ...], inner: Masker) -> None:
        super().__init__(grid)
        if inner.count != grid[-1]:
            raise ValueError(f"the inner mask covers {inner.count} tokens, the last axis has {grid[-1]}")
        self.inner = inner

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        width, rows = self.grid[-1], self.count // self.grid[-1]
        along = Tokens(tokens.x[:, :width], tokens.pos[:, :width])
        split = self.inner(along, target[:, :width], progress)
        offset = torch.arange(rows, device=tokens.x.device)[:, None] * width
        return Split(
            (split.context[..., None, :] + offset).flatten(-2), (split.target[..., None, :] + offset).flatten(-2)
        )


def structured(grid: tuple[int, ...]) -> Masker:
    """The masker that pixel-predicting controls share with the latent-predicting rows of their board: hidden runs on
    sequences, a random quarter kept on grids of more axes."""
    return Runs(grid) if len(grid) == 1 else Subset(grid)
