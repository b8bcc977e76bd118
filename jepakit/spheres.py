"""Masks in the space of the tokens' coordinates: spherical space-time blocks and blocks of channels around a centre.

The last coordinate of a token is its time, those before it its place (an electrode's in centimetres, or indices of a grid);
tokens are channel-major, and a channel keeps its place through all times.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from jepakit.masking import Masker, chosen
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.types import Split, Tokens, UsageError

HEAD = 10.0  # centimetres; electrodes cover three quarters of such a sphere (arXiv 2609.33487)


def spatial(modality: Modality) -> Modality:
    """The data set with tokens that have a place beside their time: itself, or its channel tokens where time is all."""
    return modality if len(modality.grid) > 1 else modality.channelwise()


def block_share(radius: float, length: int, channels: int, times: int) -> float:
    """The share of all tokens that one spherical block covers on a head: π r² of ¾ of the sphere's surface, and
    ``length`` of ``times``; one channel at radius 0, all of them at infinity."""
    if radius == 0:
        return length / (channels * times)
    if math.isinf(radius):
        return length / times
    return min(1.0, math.pi * radius**2 / (4 * math.pi * HEAD**2 * 0.75)) * length / times


def draws(ratio: float, share: float) -> int:
    """How many blocks of ``share`` hide ``ratio`` of the tokens in expectation, overlaps included."""
    return 1 if share >= ratio else math.ceil(math.log(1 - ratio) / math.log(1 - share))


def distances(place: Float[Tensor, "*b c p"]) -> Float[Tensor, "*b c c"]:
    """Euclidean, by differences: the faster way through products is off by millimetres."""
    return torch.cdist(place, place, compute_mode="donot_use_mm_for_euclid_dist")


class Spheres(Masker):
    """Unions of spherical space-time blocks are hidden: all channels within ``radius`` of a centre channel, for ``length``
    successive times; centre and start uniform, as many blocks as hide ``ratio`` of the tokens in expectation.

    Unions differ in size, so both lists are brought to fixed lengths at random: the context is ⌊(1 − ratio)·n⌋ tokens, from
    the visible region first, and everything else is asked for.
    """

    def __init__(self, grid: tuple[int, ...], *, ratio: float = 0.55, radius: float = 9.0, length: int = 2) -> None:
        """``radius``: in the unit of the coordinates. Raises UsageError where nothing would be seen or asked for."""
        super().__init__(grid)
        self.times = grid[-1]
        self.channels = self.count // self.times
        self.ratio, self.radius, self.length = ratio, radius, min(length, self.times)
        self.visible = int((1 - ratio) * self.count)
        if not 0 < ratio < 1 or not 0 < self.visible < self.count or length < 1 or radius < 0:
            raise UsageError(
                f"hiding {ratio:.0%} of {self.count} tokens in blocks of radius {radius:g} and length {length} leaves "
                "nothing to see or to predict; use another ratio or a smaller patch (more tokens)"
            )
        self.blocks = draws(ratio, block_share(radius, self.length, self.channels, self.times))

    def union(self, place: Float[Tensor, "b c p"]) -> Bool[Tensor, "b n"]:
        """Where the blocks lie."""
        samples, device = len(place), place.device
        near = distances(place) <= self.radius + 1e-4
        centre = torch.randint(self.channels, (samples, self.blocks), device=device)
        start = torch.randint(self.times - self.length + 1, (samples, self.blocks, 1), device=device)
        time = torch.arange(self.times, device=device)
        when = (time >= start) & (time < start + self.length)  # b blocks t
        where = torch.gather(near, 1, centre[..., None].expand(-1, -1, self.channels))  # b blocks c
        return (where.mT.float() @ when.float() > 0).flatten(1)

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        place = tokens.pos[:, :: self.times, :-1].float()
        hidden = self.union(place)
        order = (hidden + torch.rand(hidden.shape, device=hidden.device)).argsort(-1)
        context, asked = order[:, : self.visible], order[:, self.visible :]
        return Split(context.sort(-1).values[:, None], asked.sort(-1).values[:, None, None])


def channel_places(modality: Modality, backbone: Backbone) -> Float[Tensor, "c p"]:
    """Places of the channels, read off the tokens of one training row."""
    batch = modality.crop(modality.data("train").batch(torch.zeros(1, dtype=torch.long)))
    with torch.no_grad():
        pos = backbone.tokenizer(batch).pos[0]
    return pos[:: modality.grid[-1], :-1].float()


class ChannelBlocks(Masker):
    """The channels around a centre channel are hidden at all times, one centre for the whole batch (S-JEPA).

    Hidden: the centre and all channels nearer to it than ``radius``, of which the farthest are shown again until
    ``least`` channels are visible.
    """

    def __init__(self, grid: tuple[int, ...], place: Float[Tensor, "c p"], *, radius: float, least: int = 1) -> None:
        """``place``: coordinates of the channels, in whose unit ``radius`` is. Raises UsageError for too few channels."""
        super().__init__(grid)
        channels = len(place)
        if not 0 < least < channels:
            raise UsageError(
                f"{channels} channels cannot hide some and keep {least} visible; use a data set with more channels or a "
                "smaller recipe.least"
            )
        distance = distances(place)
        distance.fill_diagonal_(-1.0)  # the centre is always hidden, and first
        near = distance < radius
        near[torch.arange(channels), torch.arange(channels)] = True
        rank = distance.argsort(dim=1, stable=True).argsort(dim=1)
        self.hidden = near & (rank < channels - least)  # centre, channel

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        hidden = self.hidden[int(torch.randint(len(self.hidden), ()))]
        mask = hidden.repeat_interleave(self.grid[-1])[None]
        asked = int(mask.sum())
        samples, device = len(tokens.x), tokens.x.device
        context, target_ = chosen(~mask, self.count - asked), chosen(mask, asked)
        return Split(
            context.to(device, non_blocking=True).expand(samples, -1)[:, None],
            target_.to(device, non_blocking=True).expand(samples, -1)[:, None, None],
        )
