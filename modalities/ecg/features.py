"""Hand-made ECG features: rhythm statistics, median beat and band powers; RR ratios and waveform for single beats."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage, signal
from torch import Tensor

BANDS = (0.3, 1.0, 3.0, 6.0, 10.0, 16.0, 24.0, 35.0, 45.0)  # Hz, edges
BEFORE, AFTER, STEP = 0.32, 0.48, 0.02  # seconds around the R peak, spacing of the median beat


def r_peaks(x: np.ndarray, rate: float) -> np.ndarray:
    """Sample numbers of R peaks in one recording (c, t): maxima of the smoothed energy of the slope over all leads.

    At most 240 beats per minute; a peak needs a fifth of the energy of the strongest ones.
    """
    slope = np.gradient(ndimage.gaussian_filter1d(x, 0.012 * rate, axis=1), axis=1)
    energy = ndimage.uniform_filter1d(np.square(slope).sum(0), max(1, round(0.09 * rate)))
    height = 0.2 * np.quantile(energy, 0.98)
    peaks, _ = signal.find_peaks(energy, height=height, distance=max(1, round(0.25 * rate)))
    return np.asarray(peaks)


def rhythm(peaks: np.ndarray, rate: float) -> np.ndarray:
    """Statistics of the RR intervals (s): number, mean, spread, extremes, successive differences; zeros without a pair."""
    gaps = np.diff(peaks) / rate
    if not len(gaps):
        return np.zeros(9, dtype=np.float32)
    steps = np.diff(gaps) if len(gaps) > 1 else np.zeros(1)
    mean = gaps.mean()
    return np.array(
        [
            len(peaks),
            mean,
            1 / mean,
            gaps.std(),
            gaps.std() / mean,
            gaps.min() / mean,
            gaps.max() / mean,
            np.sqrt(np.square(steps).mean()),
            np.abs(steps).max() / mean,
        ],
        dtype=np.float32,
    )


def median_beat(x: np.ndarray, peaks: np.ndarray, rate: float) -> np.ndarray:
    """Median beat per lead (c · points), then the mean and largest deviation of single beats from it (c each)."""
    offsets = np.round(np.arange(-BEFORE, AFTER, STEP) * rate).astype(int)
    inside = peaks[(peaks + offsets[0] >= 0) & (peaks + offsets[-1] < x.shape[1])]
    if not len(inside):
        return np.zeros(x.shape[0] * (len(offsets) + 2), dtype=np.float32)
    beats = x[:, inside[:, None] + offsets]  # c k o
    beats = beats - np.median(beats, axis=2, keepdims=True)
    middle = np.median(beats, axis=1)
    away = np.abs(beats - middle[:, None]).mean(2)
    return np.concatenate([middle.ravel(), away.mean(1), away.max(1)]).astype(np.float32)


def band_powers(x: Float[Tensor, "b c t"], rate: float) -> Float[Tensor, "b f"]:
    """Log power in the bands of ``BANDS`` per lead, Hann window: (b, c · bands)."""
    t = x.shape[-1]
    power = torch.fft.rfft(x * torch.hann_window(t, device=x.device), dim=-1).abs().square() / t
    frequency = torch.fft.rfftfreq(t, 1 / rate, device=x.device)
    bands = []
    for low, high in pairwise(BANDS):
        inside = ((frequency >= low) & (frequency < high)).to(x.dtype)
        bands.append((power * inside).sum(-1) / inside.sum().clamp_min(1))
    return (torch.stack(bands, -1) + 1e-6).log().flatten(1)


def rhythm_and_beat(x: Float[Tensor, "b c t"], rate: float) -> Float[Tensor, "b f"]:
    """RR statistics, median beat, beat-to-beat deviation and band powers of whole recordings."""
    rows = []
    for row in x.detach().cpu().float().numpy():
        peaks = r_peaks(row, rate)
        rows.append(np.concatenate([rhythm(peaks, rate), median_beat(row, peaks, rate)]))
    own = torch.from_numpy(np.stack(rows)).to(x.device)
    return torch.cat([own, band_powers(x.float(), rate)], 1)


def single_beat(
    x: Float[Tensor, "b c t"], rr: Float[Tensor, "b 3"], rate: float, points: int = 60
) -> Float[Tensor, "b f"]:
    """One beat: RR before, after and local mean (s) with their ratios, waveform without its median, band powers.

    x: (b, c, t) centred on the R peak; rr: (b, 3) seconds → (b, 6 + c · points + c · bands).
    """
    before, after, local = rr.unbind(1)
    ratios = torch.stack([before / local, after / local, before / after], 1)
    wave = torch.nn.functional.interpolate(x - x.median(-1, keepdim=True).values, points, mode="area")
    return torch.cat([rr, ratios.clamp(0, 5), wave.flatten(1), band_powers(x, rate)], 1)
