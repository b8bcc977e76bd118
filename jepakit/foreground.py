"""Masks on the foreground of volumes (Vol-JEPA): background tokens are padding, blocks span the whole depth."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from jepakit.masking import Masker
from jepakit.modality import Modality
from jepakit.types import Batch, Split, Tokens, UsageError

OCCUPIED = "occupied"  # the side input (b, n): whether a token is foreground
REMEDY = (
    "the data say of no token whether it is foreground (extra['occupied']); take a data set of volumes such as "
    "volume/phantoms, or vjepa, which needs no foreground"
)


class Foreground(nn.Module):
    """A tokenizer whose background tokens are padding: nothing attends to them and no mean counts them."""

    def __init__(self, tokenizer: nn.Module) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, batch: Batch) -> Tokens:
        if OCCUPIED not in batch.extra:
            raise UsageError(REMEDY)
        tokens: Tokens = self.tokenizer(batch)
        return Tokens(tokens.x, tokens.pos, batch.extra[OCCUPIED].bool())


def largest_foreground(modality: Modality) -> int:
    """The largest number of foreground tokens of a training row. Raises UsageError where none is said."""
    extra = modality.data("train").extra
    if OCCUPIED not in extra:
        raise UsageError(REMEDY)
    return int(extra[OCCUPIED].sum(1).max())


def block_sides(
    plane: tuple[int, int], area: Float[Tensor, "b"], aspect: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
    """Heights and widths of blocks of ``area`` cells, each between 1 and the side of the plane."""
    height, width = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    return height.clamp(1, plane[0]), width.clamp(1, plane[1])


class ForegroundBlocks(Masker):
    """One block through the whole depth per sample. In one half of the samples the block is hidden (``large`` of the plane),
    in the other it is all that is seen (``small`` of it); both shares are of the foreground: in a volume that is half air
    a block is half as large. What is seen is foreground, and of no more than ``cap`` of it: as many successive slices as
    are too much are taken away at a random depth. All other foreground is asked for.

    Of ``tries`` places a sample takes the first whose block lies in the foreground to 95 %, or to the largest share found,
    and of which 5 to 50 % of the foreground remain seen, the latter before the former.

    Lists have fixed lengths for the largest foreground of a training row and are padded with background tokens, which
    are no valid tokens; ``Split`` names them all, ``tokens.valid`` tells them apart.
    """

    LEAST, MOST, INSIDE = 0.05, 0.5, 0.95

    def __init__(
        self,
        grid: tuple[int, ...],
        largest: int,
        *,
        large: float = 0.7,
        small: float = 0.25,
        cap: float = 0.25,
        aspect: tuple[float, float] = (0.3, 3.0),
        tries: int = 8,
    ) -> None:
        """``largest``: foreground tokens of the fullest row. Raises UsageError for a grid of other than three axes, and
        where nothing would be seen or asked for."""
        super().__init__(grid)
        if len(grid) != 3:
            raise UsageError(
                f"blocks through a depth need a grid of three axes, this one has {len(grid)}; use vjepa or ijepa"
            )
        self.depth, self.plane = grid[0], (grid[1], grid[2])
        self.large, self.small, self.cap, self.aspect, self.tries = large, small, cap, aspect, tries
        self.seen = math.ceil(cap * largest)
        self.asked = min(self.count - self.seen, largest - int(self.LEAST * largest))
        if not 0 < cap < 1 or not 0 < small < large < 1 or self.seen < 1 or self.asked < 1:
            raise UsageError(
                f"seeing {self.seen} of {largest} foreground tokens with blocks of {large:.0%} and {small:.0%} leaves "
                "nothing to see or to predict; use other shares or a smaller patch (more tokens)"
            )

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        occupied = torch.ones_like(tokens.x[..., 0], dtype=torch.bool) if tokens.valid is None else tokens.valid
        visible = self.visible(occupied)
        # What is seen, then padding; other foreground fills the list only where there is too little background to pad with.
        context = first(2 * visible + ~occupied, self.seen)
        left = torch.ones_like(occupied).scatter(1, context, False)
        asked = first(2 * (left & occupied) + (left & ~occupied), self.asked)
        return Split(context[:, None], asked[:, None, None])

    def visible(self, occupied: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        """What is left to be seen of each sample's foreground."""
        samples, device = len(occupied), occupied.device
        inside = occupied.reshape(samples, 1, self.depth, -1)
        whole = occupied.sum(1).clamp_min(1).float()
        shown = torch.rand(samples, device=device) < 0.5
        area = torch.where(shown, self.small, self.large) * whole / self.depth
        aspect = self.aspect[0] + (self.aspect[1] - self.aspect[0]) * torch.rand(samples, device=device)
        sides = block_sides(self.plane, area.floor().clamp_min(1), aspect)
        block = self.placed(samples, sides, device)[:, :, None]  # b tries 1 cells
        held = (block & inside).sum((2, 3)) / (sides[0] * sides[1] * self.depth)[:, None]
        seen = (block == shown[:, None, None, None]) & inside
        seen = self.thinned(seen, whole)
        share = seen.sum((2, 3)) / whole[:, None]
        score = 2 * ((share >= self.LEAST) & (share <= self.MOST)) + held.clamp(max=self.INSIDE)
        best = (score - 1e-5 * torch.arange(self.tries, device=device)).argmax(1)
        return seen[torch.arange(samples, device=device), best].flatten(1)

    def placed(
        self, samples: int, sides: tuple[Float[Tensor, "b"], Float[Tensor, "b"]], device: torch.device
    ) -> Bool[Tensor, "b tries cells"]:
        """Blocks of each sample's sides at ``tries`` uniform places of the plane."""
        along = []
        for whole, side in zip(self.plane, sides, strict=True):
            room = (whole - side + 1)[:, None]
            start = (torch.rand(samples, self.tries, device=device) * room).floor()[..., None]
            index = torch.arange(whole, device=device)
            along.append((index >= start) & (index < start + side[:, None, None]))
        return (along[0][..., :, None] & along[1][..., None, :]).flatten(2)

    def thinned(
        self, seen: Bool[Tensor, "b tries depth cells"], whole: Float[Tensor, "b"]
    ) -> Bool[Tensor, "b tries depth cells"]:
        """Without so many successive slices that about ``cap`` of the foreground (``whole`` tokens) is left."""
        share = seen.sum((2, 3)) / whole[:, None]
        drop = ((1 - self.cap / share.clamp_min(1e-6)).clamp_min(0) * self.depth).floor()
        start = (torch.rand(share.shape, device=seen.device) * (self.depth - drop + 1)).floor()[..., None]
        index = torch.arange(self.depth, device=seen.device)
        gone = (index >= start) & (index < start + drop[..., None])
        return seen & ~gone[..., None]


def first(rank: Int[Tensor, "b n"], count: int) -> Int[Tensor, "b {count}"]:
    """Sorted indices of the ``count`` tokens of highest rank, equals in random order."""
    return (rank + torch.rand(rank.shape, device=rank.device)).topk(count, dim=1).indices.sort(1).values
