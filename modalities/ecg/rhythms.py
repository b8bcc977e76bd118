"""Rhythms: when the simulated heart beats, which beats are early, and what the atria do meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RHYTHMS = ("sinus", "atrial fibrillation", "ventricular ectopy", "atrial flutter")
SINUS, FIBRILLATION, ECTOPY, FLUTTER = range(4)
BEATS = 24  # drawn per recording: enough for 8 s at 180 per minute, one second before the start included
# Atrial waves are largest towards the right and front (V1) and along the lower leads.
_FIBRILLATION = np.array([-0.25, 0.45, 0.85])
_FLUTTER = np.array([-0.15, -0.85, 0.50])


@dataclass(frozen=True)
class Beats:
    """peak: (n, k) times of R in s, rising; early: (n, k) ventricular ectopic beats; mean_gap: (n,) s; atria: (n,) 1 where
    P waves exist; rate, size, phase, tremble: (n,) frequency (Hz), amplitude (mV), phase and irregularity of the atrial
    waves; rhythm: (n,) class."""

    peak: np.ndarray
    early: np.ndarray
    mean_gap: np.ndarray
    atria: np.ndarray
    rate: np.ndarray
    size: np.ndarray
    phase: np.ndarray
    tremble: np.ndarray
    rhythm: np.ndarray

    def rows(self, chosen: slice) -> Beats:
        """The recordings at ``chosen``."""
        return Beats(**{name: value[chosen] for name, value in vars(self).items()})

    def heart_rate(self, seconds: float) -> np.ndarray:
        """Beats per minute over the R peaks inside the recording."""
        inside = (self.peak >= 0) & (self.peak < seconds)
        first = np.where(inside, self.peak, np.inf).min(1)
        last = np.where(inside, self.peak, -np.inf).max(1)
        rate: np.ndarray = 60 * (inside.sum(1) - 1) / (last - first)
        return rate

    def flutter_waves(self, clock: np.ndarray) -> np.ndarray:
        """The dipole (n, t, 3) of fibrillation (a trembling sine) and flutter (a saw tooth); zero for other rhythms."""
        bend = self.tremble[:, None] * np.sin(2 * np.pi * 0.9 * clock + 3 * self.phase[:, None])
        angle = 2 * np.pi * self.rate[:, None] * clock + self.phase[:, None] + bend
        swell = 1 + 0.4 * np.sin(2 * np.pi * 0.55 * clock + self.phase[:, None])
        fibrillation = np.sin(angle) * swell * (self.rhythm == FIBRILLATION)[:, None]
        saw = (np.sin(angle) - 0.5 * np.sin(2 * angle) + 0.25 * np.sin(3 * angle)) * (self.rhythm == FLUTTER)[:, None]
        waves = fibrillation[..., None] * _FIBRILLATION + saw[..., None] * _FLUTTER
        wanted: np.ndarray = self.size[:, None, None] * waves
        return wanted


def draw_beats(random: np.random.Generator, rhythm: np.ndarray, seconds: float) -> Beats:
    """Beat times of recordings of ``seconds`` s with the rhythm classes (n,)."""
    n = len(rhythm)
    flutter, fibrillation, ectopy = (rhythm == k for k in (FLUTTER, FIBRILLATION, ECTOPY))
    mean_gap = 60 / random.uniform(52, 115, n)
    atrial = np.where(flutter, random.uniform(4.2, 5.6, n), random.uniform(5.5, 8.5, n))
    # Flutter: every second, third or fourth atrial wave is conducted, so the ventricles are regular.
    mean_gap = np.where(flutter, random.integers(2, 5, n) / atrial, mean_gap)
    # Breathing moves a sinus rhythm by a few per cent; fibrillation has no rule at all.
    breath = np.sin(np.arange(BEATS) * random.uniform(0.8, 1.6, (n, 1)) + 2 * np.pi * random.random((n, 1)))
    regular = 1 + random.uniform(0.01, 0.06, (n, 1)) * breath + 0.01 * random.standard_normal((n, BEATS))
    irregular = np.exp(random.uniform(0.13, 0.28, (n, 1)) * random.standard_normal((n, BEATS)))
    steady = 1 + 0.005 * random.standard_normal((n, BEATS))
    share = np.where(fibrillation[:, None], irregular, np.where(flutter[:, None], steady, regular))
    gap = np.clip(mean_gap[:, None] * share, 0.33, 2.2)
    # Ectopy: one beat near the middle comes early and is followed by a pause; further ones at random, never two in a row.
    early = ectopy[:, None] & (random.random((n, BEATS)) < random.uniform(0.0, 0.25, (n, 1)))
    start = -1.0 - random.random(n) * gap[:, 0]
    usual = start[:, None] + np.cumsum(gap, 1) - gap[:, :1]
    middle = np.abs(usual - seconds * random.uniform(0.3, 0.7, (n, 1))).argmin(1)
    early[np.arange(n), middle] = ectopy
    early[:, 1:] &= ~early[:, :-1]
    early[np.arange(n), middle] = ectopy
    early[np.arange(n), middle + 1] = False
    early[np.arange(n), middle - 1] = False
    hurry = random.uniform(0.30, 0.45, (n, 1)) * gap * early
    peak = usual - hurry  # the next beat keeps its place: a full compensatory pause
    size = np.where(flutter, random.uniform(0.07, 0.18, n), random.uniform(0.03, 0.10, n))
    return Beats(
        peak,
        early,
        mean_gap,
        (~(flutter | fibrillation)).astype(float),
        atrial,
        size,
        2 * np.pi * random.random(n),
        np.where(fibrillation, 1.5, 0.0),
        rhythm,
    )
