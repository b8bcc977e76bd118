"""Views: label-preserving augmentations of EEG, drawn per sample on the device without host synchronisation.

Never time reversal, never a polarity flip, and left and right are only ever exchanged together with the electrodes:
``mirror`` swaps whole channels by name and refuses a montage that is not symmetric. Ranges are in units of the
standardised signal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.types import UsageError

Signal = Float[Tensor, "b c t"]


def uniform(x: Tensor, low: float, high: float, *inner: int) -> Tensor:
    """Uniform draws of shape (b, *inner) on the device of ``x``, torch's default generator."""
    return low + (high - low) * torch.rand(len(x), *inner, device=x.device)


def shift(x: Signal, largest: float = 0.5) -> Signal:
    """Rolls the time axis by up to half its length, the same for all electrodes: spectra and phase relations stay."""
    t = x.shape[-1]
    start = (uniform(x, 0.0, largest, 1) * t).long()
    index = (start + torch.arange(t, device=x.device)) % t
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))


def gain(x: Signal, low: float = 0.8, high: float = 1.25) -> Signal:
    """One factor per sample and a smaller one per electrode, log-uniform: skull, cap, gel."""
    whole = uniform(x, math.log(low), math.log(high), 1, 1)
    each = uniform(x, 0.5 * math.log(low), 0.5 * math.log(high), x.shape[1], 1)
    return x * (whole + each).exp()


def noise(x: Signal, largest: float = 0.3) -> Signal:
    """White noise of a random level per sample."""
    return x + uniform(x, 0.0, largest, 1, 1) * torch.randn_like(x)


def drift(x: Signal, rate: float, largest: float = 0.3) -> Signal:
    """A slow sinusoid (0.1-0.8 Hz) with its own size per electrode: sweat and cables."""
    frequency, phase = uniform(x, 0.1, 0.8, 1, 1), uniform(x, 0.0, 2 * math.pi, 1, 1)
    time = torch.arange(x.shape[-1], device=x.device) / rate
    return x + uniform(x, -largest, largest, x.shape[1], 1) * torch.sin(2 * math.pi * frequency * time + phase)


def drop_electrodes(x: Signal, chance: float = 0.15) -> Signal:
    """Each electrode is silent with probability ``chance``; one random electrode is always kept."""
    draw = torch.rand(x.shape[:2], device=x.device)
    keep = (draw >= chance) | (draw == draw.amax(1, keepdim=True))
    return x * keep[..., None]


def mask_time(x: Signal, largest: float = 0.25) -> Signal:
    """One span of up to a quarter of the time is silent everywhere."""
    t = x.shape[-1]
    width = uniform(x, 0.0, largest, 1) * t
    start = torch.rand(len(x), 1, device=x.device) * (t - width)
    time = torch.arange(t, device=x.device)
    hidden = (time >= start) & (time < start + width)
    return x.masked_fill(hidden[:, None], 0.0)


def opposite(names: Sequence[str]) -> list[int]:
    """The index of the electrode on the other side of each (F3 ↔ F4, Cz ↔ Cz).

    Raises UsageError where the montage has none: mirrored without its partner a channel would be called what it is not.
    """
    lower = [name.lower() for name in names]
    places = []
    for name in lower:
        digits = name.lstrip("abcdefghijklmnopqrstuvwxyz")
        other = name
        if digits.isdigit():
            number = int(digits)
            other = name.removesuffix(digits) + str(number + 1 if number % 2 else number - 1)
        if other not in lower:
            raise UsageError(f"electrode '{name}' has no partner on the other side; left and right cannot be exchanged")
        places.append(lower.index(other))
    return places


def mirror(x: Signal, partner: Tensor) -> Signal:
    """Left and right exchanged by swapping channels with ``partner`` (c,): only where the label does not name a side."""
    return x[:, partner]


def view(x: Signal, rate: float) -> Signal:
    """All of the above but the mirror once, in the order in which a recording would suffer them. ``rate`` in Hz."""
    return mask_time(drop_electrodes(noise(drift(gain(shift(x)), rate))))
