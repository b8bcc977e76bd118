"""Sources: where the simulated EEG comes from: dipoles below the skull, the eyes, the temples, and their noises."""

from __future__ import annotations

import numpy as np
import scipy.fft

from modalities.eeg.montage import TEN_TWENTY, positions

CORTEX = 7.5  # centimetres from the middle of the head to the cortex
# A sphere through the electrodes of the 10-20 system: least squares of |x − middle| = radius.
_PLACE = positions(TEN_TWENTY)
_SOLVED = np.linalg.lstsq(
    np.concatenate([2 * _PLACE, np.ones((len(_PLACE), 1))], 1), np.square(_PLACE).sum(1), rcond=None
)[0]
MIDDLE = _SOLVED[:3]


def below(electrode: str) -> np.ndarray:
    """The point of the cortex below an electrode, from the middle of the head (centimetres)."""
    place = positions([electrode])[0] - MIDDLE
    point: np.ndarray = CORTEX * place / np.linalg.norm(place)
    return point


def lead_field(point: np.ndarray, moment: np.ndarray, electrodes: np.ndarray) -> np.ndarray:
    """(…, c): the potential of dipoles at ``point`` (…, 3) with ``moment`` (…, 3) at ``electrodes`` (…, c, 3), against their
    mean; an infinite medium, so that near electrodes see more and opposite sides the other sign."""
    away = electrodes - point[..., None, :]
    seen = (away * moment[..., None, :]).sum(-1) / np.linalg.norm(away, axis=-1) ** 3
    field: np.ndarray = seen - seen.mean(-1, keepdims=True)
    return field


def unit(field: np.ndarray) -> np.ndarray:
    """The field with 1 at the electrode that sees most of it."""
    scaled: np.ndarray = field / np.abs(field).max(-1, keepdims=True)
    return scaled


def shaped(random: np.random.Generator, shape: tuple[int, ...], samples: int, gain: np.ndarray) -> np.ndarray:
    """Gaussian noise (*shape, samples) of variance 1 whose amplitude spectrum is ``gain`` (*shape or 1s, frequencies)."""
    count = samples // 2 + 1
    parts = random.standard_normal((*shape, count, 2)) * gain[..., None]
    noise = scipy.fft.irfft(parts.view(np.complex128)[..., 0], n=samples, axis=-1)
    scaled: np.ndarray = noise / noise.std(-1, keepdims=True)
    return scaled


def frequencies(samples: int, rate: float) -> np.ndarray:
    """Frequencies of ``shaped``'s spectra in Hz."""
    return np.fft.rfftfreq(samples, 1 / rate)


def background(exponent: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """(…, f): amplitude of noise whose power falls as 1/f^exponent; nothing below half a hertz."""
    power = np.where(frequency >= 0.5, np.maximum(frequency, 0.5), np.inf) ** (-exponent[..., None])
    return np.sqrt(power)


def rhythm(centre: np.ndarray, width: float, frequency: np.ndarray) -> np.ndarray:
    """(…, f): a bump of the amplitude spectrum around ``centre`` Hz: a rhythm that waxes and wanes."""
    bump: np.ndarray = np.exp(-0.25 * ((frequency - centre[..., None]) / width) ** 2)
    return bump


def blinks(random: np.random.Generator, rate: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """(n, t): lid closures of about a third of a second with a mean of ``rate`` (n,) per second, height 1."""
    most = 8
    length = clock[-1] - clock[0]
    count = random.poisson(rate * length)
    when = random.uniform(clock[0], clock[-1], (len(rate), most))
    height = random.uniform(0.6, 1.2, (len(rate), most)) * (np.arange(most) < count[:, None])
    wide = random.uniform(0.07, 0.12, (len(rate), most))
    pulse: np.ndarray = (height[..., None] * np.exp(-0.5 * ((clock - when[..., None]) / wide[..., None]) ** 2)).sum(1)
    return pulse


def bursts(random: np.random.Generator, rows: int, sides: int, frequency: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """(n, sides, t): muscle: noise above 18 Hz that swells and fades."""
    gain = 1 / (1 + np.exp(-(frequency - 18.0) / 2.0))
    noise = shaped(random, (rows, sides), len(clock), gain)
    middle = random.uniform(clock[0], clock[-1], (rows, sides, 1))
    wide = random.uniform(0.3, 1.2, (rows, sides, 1))
    swell: np.ndarray = noise * (0.25 + np.exp(-0.5 * ((clock - middle) / wide) ** 2))
    return swell
