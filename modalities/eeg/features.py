"""Hand-made EEG features: log band power of every electrode."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

BANDS = (1.0, 4.0, 8.0, 10.0, 13.0, 20.0, 30.0, 45.0)  # Hz, edges: delta, theta, lower and upper alpha, beta, gamma
SEGMENT = 2.0  # seconds of a Welch segment


def spectrum(x: Float[Tensor, "b c t"], rate: float) -> tuple[Float[Tensor, "b c f"], Float[Tensor, "f"]]:
    """Welch's one-sided power density and its frequencies: Hann segments of two seconds, half overlapping, means removed."""
    length = min(x.shape[-1], round(SEGMENT * rate))
    pieces = x.unfold(2, length, max(1, length // 2))
    pieces = pieces - pieces.mean(-1, keepdim=True)
    window = torch.hann_window(length, device=x.device)
    power = 2 * torch.fft.rfft(pieces * window, dim=-1).abs().square().mean(2) / (rate * window.square().sum())
    return power, torch.fft.rfftfreq(length, 1 / rate, device=x.device)


def band_power(x: Float[Tensor, "b c t"], rate: float) -> Float[Tensor, "b f"]:
    """Log of the mean power in each band of ``BANDS``: (b, c · bands), electrode by electrode."""
    power, frequency = spectrum(x.float(), rate)
    bands = []
    for low, high in pairwise(BANDS):
        inside = ((frequency >= low) & (frequency < high)).to(power.dtype)
        bands.append((power * inside).sum(-1) / inside.sum().clamp_min(1))
    return (torch.stack(bands, -1) + 1e-8).log().flatten(1)
