"""Views: label-preserving changes of sound, drawn per sample on the device without host synchronisation.

A microphone, a room and a moment change; the source does not. Speed (and with it pitch) changes only where no label
depends on pitch. Amplitudes are relative to a clip of root mean square 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modalities.perturb import Signal, mask_time, uniform

SHIFT = 0.1  # of the input: how far a clip that is not longer than the input is moved
CORNERS = 6  # of the random equaliser, log-spaced up to half the rate


def excerpt(x: Signal, length: int, speed: float) -> Signal:
    """``length`` samples from a random place of each recording, played up to ``speed`` (a share) faster or slower.

    A recording that is no longer than that is moved by up to a tenth, silence around it.
    """
    total = x.shape[-1]
    rate = uniform(x, 1 - speed, 1 + speed, 1)
    spare = total - rate * length
    free = torch.rand(len(x), 1, device=x.device) * spare
    moved = spare / 2 + uniform(x, -SHIFT, SHIFT, 1) * length
    place = torch.where(spare > 2 * SHIFT * length, free, moved) + rate * torch.arange(length, device=x.device)
    left = place.floor()
    weight = (place - left)[:, None]
    padded = torch.nn.functional.pad(x, (1, 1))  # silence before the first and after the last sample

    def at(index: Tensor) -> Signal:
        return padded.gather(2, (index.long() + 1).clamp(0, total + 1)[:, None].expand(-1, x.shape[1], -1))

    return at(left) * (1 - weight) + at(left + 1) * weight


def equalise(x: Signal, largest: float = 6.0) -> Signal:
    """A random smooth filter: up to ± ``largest`` dB at six corners, linear between them on a log axis of frequency."""
    t = x.shape[-1]
    spectrum = torch.fft.rfft(x)
    bins = torch.arange(spectrum.shape[-1], device=x.device).clamp_min(1)
    octave = (CORNERS - 1) * (1 + (bins / bins[-1]).log2() / 7).clamp_min(0)  # seven octaves down from half the rate
    decibel = uniform(x, -largest, largest, CORNERS)
    low = octave.floor().long().clamp_max(CORNERS - 2)
    part = octave - low
    curve = decibel[:, low] * (1 - part) + decibel[:, low + 1] * part
    return torch.fft.irfft(spectrum * (10 ** (curve / 20))[:, None], n=t)


def gain(x: Signal, low: float = 0.6, high: float = 1.6) -> Signal:
    """One amplitude factor per sample, log-uniform: distance to the microphone."""
    return x * uniform(x, math.log(low), math.log(high), 1, 1).exp()


def noise(x: Signal, quiet: float = 40.0, loud: float = 10.0) -> Signal:
    """White noise, ``loud`` to ``quiet`` dB below a sound of root mean square 1."""
    return x + 10 ** (-uniform(x, loud, quiet, 1, 1) / 20) * torch.randn_like(x)


def view(x: Signal, length: int, speed: float) -> Signal:
    """All of the above once, in the order in which a sound would suffer them."""
    with torch.autocast(x.device.type, enabled=False):  # places of samples and a Fourier transform need full precision
        return mask_time(gain(equalise(noise(excerpt(x.float(), length, speed)))), 0.1)
