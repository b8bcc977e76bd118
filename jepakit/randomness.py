"""Every random draw of a run is a function of (seed, step): that makes resume exact and batches paired across methods."""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 63-bit seed from a few integers (splitmix64 over them), equal on every platform."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def reseed(seed: int, step: int, device: torch.device | None = None) -> None:
    """Set torch's default generators (CPU and, if ``device`` is a GPU, that GPU's) for one step.

    The generators are seeded directly: ``torch.manual_seed`` would cost a hundred times more in a hot loop.
    """
    number = mix(seed, step)
    torch.default_generator.manual_seed(number)
    if device is not None and device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
    elif device is not None and device.type == "mps":
        torch.mps.manual_seed(number)


def batch_index(seed: int, step: int, rows: int, batch_size: int) -> Tensor:
    """Rows of the batch at ``step``: (batch_size,) int64. Epochs are permutations drawn from (seed, epoch); when the
    data set is smaller than a batch, the batch runs over several epochs."""
    first = step * batch_size
    pieces: list[Tensor] = []
    missing = batch_size
    while missing:
        epoch, offset = divmod(first, rows)
        generator = torch.Generator().manual_seed(mix(seed, 0x65706F6368, epoch))
        piece = torch.randperm(rows, generator=generator)[offset : offset + missing]
        pieces.append(piece)
        first += len(piece)
        missing -= len(piece)
    return torch.cat(pieces)
