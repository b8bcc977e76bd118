"""ElectrodeTokenizer: one token per electrode and stretch of time, with its place on the head as coordinates."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.types import Batch, Tokens
from modalities.signals import token_std

HIGHEST = 45  # Hz
FLOOR = 1e-3  # of the power, so that a silent electrode has a logarithm
LEVEL = 1.25  # what the logarithm is on average in a standardised recording


def coordinates(place: np.ndarray, times: int) -> Tensor:
    """(c · times, 4): x, y, z in centimetres and the number of the stretch, electrode by electrode."""
    space = torch.from_numpy(place).float().repeat_interleave(times, 0)
    time = torch.arange(times, dtype=torch.float32).repeat(len(place))
    return torch.cat([space, time[:, None]], 1)


class ElectrodeTokenizer(nn.Module):
    """The samples of a stretch and its log power spectrum, each through a linear map without bias that the electrodes share;
    the token is their sum (two branches, as in CBraMod).

    A rhythm has another phase in every stretch, so its power is no linear function of the samples: an encoder that is to
    learn it from a few hundred steps needs to be shown it. The spectrum is that of half-overlapping Hann segments of a
    second (or of the stretch, where that is shorter), 1 to 45 Hz, times frequency: a 1/f background is flat.
    """

    pos: Tensor
    window: Tensor
    frequency: Tensor

    def __init__(self, place: np.ndarray, patch: int, times: int, rate: float, dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.segment = min(patch, round(rate))
        frequency = torch.fft.rfftfreq(self.segment, 1 / rate)
        used = ((frequency > 0) & (frequency <= HIGHEST)).nonzero()
        self.first, self.last = int(used[0]), int(used[-1])
        self.register_buffer("pos", coordinates(place, times), persistent=False)
        self.register_buffer("window", torch.hann_window(self.segment), persistent=False)
        self.register_buffer("frequency", frequency[self.first : self.last + 1], persistent=False)
        self.project = nn.Linear(patch, dim, bias=False)
        self.spectral = nn.Linear(len(self.frequency), dim, bias=False)
        for layer in (self.project, self.spectral):
            nn.init.trunc_normal_(layer.weight, std=token_std(layer.in_features))

    def spectrum(self, x: Float[Tensor, "b n t"]) -> Float[Tensor, "b n f"]:
        """Log power times frequency of each stretch, about 0 on average for a standardised signal."""
        pieces = x.unfold(2, self.segment, max(1, self.segment // 2))
        pieces = (pieces - pieces.mean(-1, keepdim=True)) * self.window
        half = torch.fft.rfft(pieces.float(), dim=-1)[..., self.first : self.last + 1]
        power = half.abs().square().mean(2) / self.window.square().sum()
        return (power * self.frequency + FLOOR).log() - LEVEL

    def forward(self, batch: Batch) -> Tokens:
        x = batch.x.unfold(2, self.patch, self.patch).flatten(1, 2)
        if x.shape[1] != len(self.pos):
            raise ValueError(f"the input gives {x.shape[1]} tokens, the montage has {len(self.pos)} places; crop first")
        return Tokens(self.project(x) + self.spectral(self.spectrum(x)), self.pos.expand(len(x), -1, -1))
