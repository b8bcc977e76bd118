"""Grids that are mostly empty: which tokens hold anything, masks over them, parts of methods that hide occupied cells.

Occupied cells differ in number from sample to sample. They are brought to one fixed length with ``Tokens.valid``, so a
step still drops hidden and empty tokens before the first block and never waits for the device.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.processes import terms
from jepakit.targets import EMA
from jepakit.types import Batch, Tokens, UsageError

KEY = "occupied"  # the side input (b, n) bool: whether a token holds anything
VALUES = 3  # of a cell under a token: log(1 + points), mean height, largest height


def occupied(batch: Batch) -> Bool[Tensor, "b n"]:
    """Which tokens hold anything. Raises UsageError where the data set does not say."""
    if KEY not in batch.extra:
        raise UsageError(
            f"a batch without the side input '{KEY}' does not say which tokens are empty; add it to the data"
        )
    filled: Tensor = batch.extra[KEY]
    return filled


def need_occupied(modality: Modality, method: str) -> int:
    """The largest number of occupied tokens in a training sample. Raises UsageError for a data set without empty
    tokens."""
    extra = modality.data("train").extra
    if KEY not in extra:
        raise UsageError(
            f"'{method}' tells occupied from empty tokens, and {modality.name}/{modality.dataset} has no side input "
            f"'{KEY}'; take a data set of points or of volumes, or another method, such as ijepa"
        )
    return max(1, int(extra[KEY].sum(1).max()))


def need_cells(modality: Modality, method: str) -> int:
    """The number of cells under a token. Raises UsageError for data that are no cells with points in them."""
    need_occupied(modality, method)
    if not hasattr(modality, "cells") or modality.patch_values % VALUES:
        raise UsageError(
            f"'{method}' predicts how many points lie in a cell and how high, and {modality.name}/{modality.dataset} has no "
            "points; take a data set of points, or mae"
        )
    return modality.patch_values // VALUES


def room(most: int, share: float) -> int:
    """A length that a random ``share`` of up to ``most`` cells exceeds in fewer than one of 30,000 samples (4 σ)."""
    spread = 4 * math.sqrt(most * share * (1 - share))
    return max(1, min(most, math.ceil(share * most + spread)))


def joint_mask(filled: Bool[Tensor, "b n"], hide: float) -> tuple[Bool[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """(kept, masked), disjoint and together every cell: of the occupied cells of the whole batch exactly ⌊(1 −
    hide)·count⌋ are kept, whichever sample they are in; each empty cell is kept with probability 1 − hide."""
    draw = torch.rand(filled.shape, device=filled.device)
    rank = torch.where(filled, draw, 2.0).flatten().argsort().argsort().view_as(draw)
    limit = ((1 - hide) * filled.sum() + 1e-4).floor()  # what rounding takes from a whole number is given back
    kept = torch.where(filled, rank < limit, draw < 1 - hide)
    return kept, ~kept


def first(flags: Bool[Tensor, "b n"], length: int) -> tuple[Int[Tensor, "b {length}"], Bool[Tensor, "b {length}"]]:
    """Indices of the flagged tokens, brought to ``length`` with others, and which of them are flagged."""
    index = flags.int().argsort(dim=1, descending=True, stable=True)[:, :length]
    return index, flags.gather(1, index)


def cycled(flags: Bool[Tensor, "b n"], length: int) -> Int[Tensor, "b {length}"]:
    """Indices of the flagged tokens in random order, over and over up to ``length``: every one equally often, give or
    take one. A row without any repeats one token that is not flagged."""
    order = (flags + torch.rand(flags.shape, device=flags.device)).argsort(1, descending=True)
    turn = torch.arange(length, device=flags.device) % flags.sum(1, keepdim=True).clamp_min(1)
    return order.gather(1, turn)


def encode_only(backbone: Backbone, tokens: Tokens, flags: Bool[Tensor, "b n"], length: int) -> tuple[Tensor, Tensor]:
    """(map (b, n, d), reached (b, n)): the encoder on the flagged tokens alone, put back at their places, 0 elsewhere.

    ``reached`` is False where nothing was encoded, also for flagged tokens beyond ``length`` of a sample.
    """
    index, valid = first(flags, length)
    taken = tokens.take(index[:, None])
    encoded = backbone.encode(Tokens(taken.x, taken.pos, valid)).x
    place = index[..., None].expand_as(encoded)
    spread = encoded.new_zeros(*flags.shape, encoded.shape[-1]).scatter(1, place, encoded * valid[..., None])
    return spread, torch.zeros_like(flags).scatter(1, index, valid)


def mean_over(x: Float[Tensor, "b n"], flags: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    """Mean over the flagged cells of the whole batch, 0 without any."""
    return (x * flags).sum() / terms(flags)


def spread_hinge(x: Float[Tensor, "b n d"], flags: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    """AD-L-JEPA's variance term: mean over channels of max(0, 1/√d − √(var + 1e-4)), the unbiased variance over the
    flagged cells of one sample; averaged over the samples that have two or more. 1/√d is what each channel of an
    isotropic unit vector has."""
    with torch.autocast(x.device.type, enabled=False):
        x, weight = x.float(), flags[..., None].float()
        count = weight.sum(1)
        mean = (x * weight).sum(1) / count.clamp_min(1)
        variance = ((x - mean[:, None]).square() * weight).sum(1) / (count - 1).clamp_min(1)
        hinge = F.relu(x.shape[-1] ** -0.5 - (variance + 1e-4).sqrt()).mean(1)
        some = count[:, 0] > 1
        return (hinge * some).sum() / terms(some)


class Convolutions(nn.Module):
    """``depth`` × [3-wide convolution, BatchNorm, ReLU] on the token grid, a last convolution to ``out`` where it is
    given.

    rectify: whether the last ReLU is there.
    """

    def __init__(
        self, grid: tuple[int, ...], dim: int, depth: int, *, out: int | None = None, rectify: bool = True
    ) -> None:
        super().__init__()
        if len(grid) > 3:
            raise UsageError(f"a convolution has up to three axes, the token grid has {len(grid)}; take another method")
        self.grid = grid
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(grid) - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(grid) - 1]
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [convolution(dim, dim, 3, padding=1), norm(dim), nn.ReLU()]
        if not rectify:
            layers.pop()
        if out is not None:
            layers.append(convolution(dim, out, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n e"]:
        y: Tensor = self.layers(x.mT.unflatten(2, self.grid))
        return y.flatten(2).mT


class Still(EMA):
    """An EMA teacher that takes over parameters only: buffers stay its own, as in AD-L-JEPA's release."""

    @torch.no_grad()
    def update(self, progress: float) -> None:
        mine: list[Tensor] = list(self.teacher.parameters())
        theirs: list[Tensor] = list(self._student[0].parameters())
        torch._foreach_lerp_(mine, theirs, 1 - self.momentum(progress))
