"""Rooms: what happens to a sound on its way: reverberation that dies away exponentially, and noise of a chosen level."""

from __future__ import annotations

import numpy as np
from scipy import fft

SPACE = 0.4  # seconds of reverberation time at which the echoes carry as much energy as the direct sound


def echoes(random: np.random.Generator, decay: np.ndarray, samples: int, rate: float) -> np.ndarray:
    """Room responses (n, samples): the direct sound, and noise that falls by 60 dB in ``decay`` (n,) seconds (Polack's
    model). At one distance in rooms of one size the energy of the echoes is proportional to the reverberation time."""
    clock = (np.arange(samples) / rate).astype(np.float32)
    tail = random.standard_normal((len(decay), samples), dtype=np.float32)
    tail *= np.exp(-3 * np.log(10) * clock / decay[:, None].astype(np.float32))
    tail[:, : max(1, round(0.003 * rate))] = 0.0  # the first wall is a metre away
    energy = np.square(tail).sum(1, keepdims=True)
    response = tail * np.sqrt(decay[:, None] / SPACE / np.maximum(energy, 1e-12))
    response[:, 0] = 1.0
    return response.astype(np.float32)


def reverberate(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Each sound (n, t) in its room, cut to its own length."""
    size = fft.next_fast_len(x.shape[1] + response.shape[1] - 1, real=True)
    wet = fft.irfft(fft.rfft(x, size, axis=1) * fft.rfft(response, size, axis=1), size, axis=1)
    return np.asarray(wet[:, : x.shape[1]], dtype=np.float32)


def coloured(random: np.random.Generator, slope: np.ndarray, samples: int) -> np.ndarray:
    """Noise (n, samples) of mean square 1 whose power falls with frequency to the power ``slope`` (n,): 0 white, 1 pink."""
    spectrum = fft.rfft(random.standard_normal((len(slope), samples), dtype=np.float32), axis=1)
    bins = np.maximum(np.arange(spectrum.shape[1]), 1)
    noise = fft.irfft(spectrum * (bins ** (-slope[:, None] / 2)).astype(np.float32), samples, axis=1)
    noise /= np.sqrt(np.square(noise).mean(1, keepdims=True))
    return np.asarray(noise, dtype=np.float32)


def add_noise(x: np.ndarray, noise: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """The sounds with noise ``ratio`` (n,) dB below their own mean power."""
    power = np.square(x).mean(1, keepdims=True)
    return np.asarray(x + noise * np.sqrt(power * 10 ** (-ratio[:, None] / 10)), dtype=np.float32)
