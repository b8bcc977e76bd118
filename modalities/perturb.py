"""What happens to signals of any sensor: noise, drift, lost channels, silent spans; drawn per sample on the device.

ECG's views still hold their own copies: taking these would make every ECG row stale, so they join at the next recomputation.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

Signal = Float[Tensor, "b c t"]


def uniform(x: Tensor, low: float, high: float, *inner: int) -> Tensor:
    """Uniform draws of shape (b, *inner) on the device of ``x``, torch's default generator."""
    return low + (high - low) * torch.rand(len(x), *inner, device=x.device)


def noise(x: Signal, largest: float) -> Signal:
    """White noise of a random level per sample."""
    return x + uniform(x, 0.0, largest, 1, 1) * torch.randn_like(x)


def drift(x: Signal, rate: float, band: tuple[float, float], largest: float) -> Signal:
    """A slow sinusoid, its frequency (Hz) from ``band``, with its own size per channel."""
    frequency, phase = uniform(x, *band, 1, 1), uniform(x, 0.0, 2 * math.pi, 1, 1)
    time = torch.arange(x.shape[-1], device=x.device) / rate
    return x + uniform(x, -largest, largest, x.shape[1], 1) * torch.sin(2 * math.pi * frequency * time + phase)


def drop_channels(x: Signal, chance: float) -> Signal:
    """Each channel is silent with probability ``chance``; one random channel is always kept."""
    draw = torch.rand(x.shape[:2], device=x.device)
    keep = (draw >= chance) | (draw == draw.amax(1, keepdim=True))
    return x * keep[..., None]


def mask_time(x: Signal, largest: float) -> Signal:
    """One span of up to the share ``largest`` of the time is silent in all channels."""
    t = x.shape[-1]
    width = uniform(x, 0.0, largest, 1) * t
    start = torch.rand(len(x), 1, device=x.device) * (t - width)
    time = torch.arange(t, device=x.device)
    return x.masked_fill(((time >= start) & (time < start + width))[:, None], 0.0)
