"""Views: label-preserving augmentations of ECG, drawn per sample on the device without host synchronisation.

Never time reversal and never a polarity flip: both turn one diagnosis into another (a reversed P-QRS-T order does not
exist, a flipped lead is an electrode mix-up). Ranges are in units of the standardised signal.
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


def zoom(x: Signal, smallest: float = 0.9) -> Signal:
    """Random resized crop: a part of 90-100 % of the time axis stretched back to full length (rates change by < 12 %)."""
    t = x.shape[-1]
    share = uniform(x, smallest, 1.0, 1)
    start = torch.rand(len(x), 1, device=x.device) * (1 - share) * (t - 1)
    place = start + share * torch.arange(t, device=x.device)
    left = place.floor().clamp(0, t - 2)
    weight = (place - left)[:, None]
    index = left.long()[:, None].expand(-1, x.shape[1], -1)
    return x.gather(2, index) * (1 - weight) + x.gather(2, index + 1) * weight


def gain(x: Signal, low: float = 0.8, high: float = 1.25) -> Signal:
    """One amplitude factor per sample, log-uniform: body build and calibration."""
    return x * uniform(x, math.log(low), math.log(high), 1, 1).exp()


def noise(x: Signal, largest: float = 0.2) -> Signal:
    """White noise of a random level per sample."""
    return x + uniform(x, 0.0, largest, 1, 1) * torch.randn_like(x)


def wander(x: Signal, rate: float, largest: float = 0.3) -> Signal:
    """A slow sinusoid (0.05-0.5 Hz) with its own size per lead: breathing and skin potentials."""
    frequency, phase = uniform(x, 0.05, 0.5, 1, 1), uniform(x, 0.0, 2 * math.pi, 1, 1)
    time = torch.arange(x.shape[-1], device=x.device) / rate
    return x + uniform(x, -largest, largest, x.shape[1], 1) * torch.sin(2 * math.pi * frequency * time + phase)


def drop_leads(x: Signal, chance: float = 0.1) -> Signal:
    """Each lead is silent with probability ``chance``; one random lead is always kept."""
    draw = torch.rand(x.shape[:2], device=x.device)
    keep = (draw >= chance) | (draw == draw.amax(1, keepdim=True))
    return x * keep[..., None]


def mask_time(x: Signal, largest: float = 0.1) -> Signal:
    """One span of up to 10 % of the time is silent in all leads."""
    t = x.shape[-1]
    width = uniform(x, 0.0, largest, 1) * t
    start = torch.rand(len(x), 1, device=x.device) * (t - width)
    time = torch.arange(t, device=x.device)
    hidden = (time >= start) & (time < start + width)
    return x.masked_fill(hidden[:, None], 0.0)


def view(x: Signal, rate: float) -> Signal:
    """All of the above once, in the order in which a recording would suffer them. ``rate`` in Hz."""
    return mask_time(drop_leads(noise(wander(gain(zoom(x)), rate))))
