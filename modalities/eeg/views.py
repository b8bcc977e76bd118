"""Views: label-preserving augmentations of EEG, drawn per sample on the device without host synchronisation.

Never time reversal, never a polarity flip, and left and right are only ever exchanged together with the electrodes:
``mirror`` swaps whole channels by name and refuses a montage that is not symmetric. Ranges are in units of the
standardised signal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jepakit.types import UsageError
from modalities.perturb import Signal, drift, drop_channels, mask_time, noise, uniform

DRIFT = (0.1, 0.8)  # Hz: sweat and cables


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
    moved = noise(drift(gain(shift(x)), rate, DRIFT, 0.3), 0.3)
    return mask_time(drop_channels(moved, 0.15), 0.25)
