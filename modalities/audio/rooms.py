"""Rooms: what happens to a sound on its way: reverberation that dies away exponentially, and noise of a chosen level; and
what two ears make of it."""

from __future__ import annotations

import numpy as np
from scipy import fft

RADIUS, SPEED = 0.0875, 343.0  # of a head in metres, of sound in metres a second
SHADOW = 6.0  # dB between the ears for a sound from the side
SPACE = 0.4  # seconds of reverberation time at which the echoes carry as much energy as the direct sound


def echoes(random: np.random.Generator, decay: np.ndarray, samples: int, rate: float) -> np.ndarray:
    """Room responses (n, samples): the direct sound, and noise that falls by 60 dB in ``decay`` (n,) seconds (Polack's
    model). At one distance in rooms of one size the energy of the echoes is proportional to the reverberation time."""
    clock = np.arange(samples) / rate
    tail = random.standard_normal((len(decay), samples))
    tail *= np.exp(-3 * np.log(10) * clock / decay[:, None])
    tail[:, : max(1, round(0.003 * rate))] = 0.0  # the first wall is a metre away
    energy = np.square(tail).sum(1, keepdims=True)
    response: np.ndarray = tail * np.sqrt(decay[:, None] / SPACE / np.maximum(energy, 1e-12))
    response[:, 0] = 1.0
    return response


def reverberate(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Each sound (n, t) in its room, cut to its own length."""
    size = fft.next_fast_len(x.shape[1] + response.shape[1] - 1, real=True)
    wet = fft.irfft(fft.rfft(x, size, axis=1) * fft.rfft(response, size, axis=1), size, axis=1)
    return np.asarray(wet[:, : x.shape[1]])


def coloured(random: np.random.Generator, slope: np.ndarray, samples: int) -> np.ndarray:
    """Noise (n, samples) of mean square 1 whose power falls with frequency to the power ``slope`` (n,): 0 white, 1 pink."""
    spectrum = fft.rfft(random.standard_normal((len(slope), samples)), axis=1)
    bins = np.maximum(np.arange(spectrum.shape[1]), 1)
    noise = fft.irfft(spectrum * bins ** (-slope[:, None] / 2), samples, axis=1)
    noise /= np.sqrt(np.square(noise).mean(1, keepdims=True))
    return np.asarray(noise)


def add_noise(x: np.ndarray, noise: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """The sounds with noise ``ratio`` (n,) dB below their own mean power."""
    power = np.square(x).mean(1, keepdims=True)
    return np.asarray(x + noise * np.sqrt(power * 10 ** (-ratio[:, None] / 10)))


def to_ears(x: np.ndarray, azimuth: np.ndarray, rate: float) -> np.ndarray:
    """What arrives directly at a left and a right ear, (n, 2, t): each sound (n, t) earlier and louder on the side that it
    comes from. ``azimuth`` (n,) in radians, 0 in front, to the right positive; a sphere's delay (Woodworth) and a level
    difference of up to ``SHADOW`` dB."""
    delay = RADIUS / SPEED * (azimuth + np.sin(azimuth)) / 2
    level = SHADOW / 2 * np.sin(azimuth)
    late, loud = np.stack([delay, -delay], 1), 10 ** (np.stack([-level, level], 1) / 20)
    size = fft.next_fast_len(x.shape[1] + 64, real=True)  # what is moved beyond one end must not come back at the other
    turn = np.exp(-2j * np.pi * fft.rfftfreq(size, 1 / rate) * late[..., None])
    ears = fft.irfft(fft.rfft(x, size, axis=1)[:, None] * turn * loud[..., None], size, axis=2)
    return np.asarray(ears[..., : x.shape[1]])


def diffuse(one: np.ndarray, other: np.ndarray, rate: float) -> np.ndarray:
    """Two independent noises (n, t) as two ears hear a field that comes from everywhere, (n, 2, t): alike at low frequencies
    (coherence sin(kd)/kd between two points 2·``RADIUS`` apart), independent at high ones."""
    coherence = np.sinc(2 * fft.rfftfreq(one.shape[1], 1 / rate) * 2 * RADIUS / SPEED)
    first, second = fft.rfft(one, axis=1), fft.rfft(other, axis=1)
    second = coherence * first + np.sqrt(1 - coherence**2) * second
    return np.stack([one, fft.irfft(second, one.shape[1], axis=1)], 1)


def tails(random: np.random.Generator, decay: np.ndarray, samples: int, rate: float) -> np.ndarray:
    """Room responses without the direct sound at two ears in a diffuse field, (n, 2, samples); energy as in ``echoes``."""
    pair = [echoes(random, decay, samples, rate) for _ in range(2)]
    for response in pair:
        response[:, 0] = 0.0
    # Mixing frequencies of the whole response keeps its envelope but for the length of a head, half a millisecond.
    return diffuse(pair[0], pair[1], rate)
