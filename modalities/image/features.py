"""Hand-made image features: histograms of oriented gradients (Dalal & Triggs 2005) and a joint colour histogram."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

BINS = 9  # orientations over 180°, unsigned
CLIP = 0.2  # of L2-Hys: normalise, clip, normalise again
LEVELS = 4  # per colour channel


def gradients(x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Magnitude and unsigned orientation in [0, π) of the centred difference [−1, 0, 1], per pixel that of the channel
    with the largest magnitude; borders are repeated."""
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    right = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
    down = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    size, channel = torch.hypot(right, down).max(1, keepdim=True)
    angle = torch.atan2(down.gather(1, channel), right.gather(1, channel)).remainder(math.pi)
    return size[:, 0], angle[:, 0]


def hog(x: Float[Tensor, "b c h w"], cell: int) -> Float[Tensor, "b f"]:
    """Votes of the gradients in cells of ``cell`` pixels, normalised in overlapping blocks of 2 × 2 cells (L2-Hys).

    A vote is shared linearly between the two nearest bins, whose centres lie at (k + ½)·20°; cells do not share votes.
    The sides must be multiples of ``cell`` and hold at least two cells: f = (h/cell − 1)·(w/cell − 1)·4·9.
    """
    size, angle = gradients(x)
    place = angle * (BINS / math.pi) - 0.5
    low = place.floor()
    share = place - low
    low = low.long() % BINS
    votes = x.new_zeros(len(x), BINS, *size.shape[1:])
    votes.scatter_(1, low[:, None], (size * (1 - share))[:, None])
    votes.scatter_add_(1, ((low + 1) % BINS)[:, None], (size * share)[:, None])
    cells = F.avg_pool2d(votes, cell)
    blocks = torch.cat(
        [cells[..., :-1, :-1], cells[..., :-1, 1:], cells[..., 1:, :-1], cells[..., 1:, 1:]], 1
    )  # b 4·bins rows columns
    for limit in (CLIP, 1.0):
        blocks = (blocks / (blocks.square().sum(1, keepdim=True) + 1e-6).sqrt()).clamp_max(limit)
    return blocks.flatten(1)


def colours(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
    """Square roots of the shares of pixels in each of 4 × 4 × 4 colour cells, for values in [0, 1]: f = 64."""
    level = (x * LEVELS).long().clamp(0, LEVELS - 1).flatten(2)
    code = (level[:, 0] * LEVELS + level[:, 1]) * LEVELS + level[:, 2]
    count = x.new_zeros(len(x), LEVELS**3).scatter_add_(1, code, torch.ones_like(code, dtype=x.dtype))
    return (count / code.shape[1]).sqrt()


def usual(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
    """HOG on a quarter of the side per cell, and the colour histogram where there is colour, for values in [0, 1]."""
    shape = hog(x, x.shape[-1] // 4)
    return torch.cat([shape, colours(x)], 1) if x.shape[1] == 3 else shape
