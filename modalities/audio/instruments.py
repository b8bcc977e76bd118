"""Instruments: notes as sums of partials, six ways of making them sound, and how players of one instrument differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INSTRUMENTS = ("pipe", "reed", "bow", "pluck", "bell", "brass")
PARTIALS = 12
LOWEST = 110.0  # Hz
OCTAVES = 2.5  # of pitch above it
EVENTS = 4  # most notes of a clip
RELEASE = 0.03  # seconds in which a held note ends

_k = np.arange(1, PARTIALS + 1, dtype=np.float64)
BELL = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.66, 3.01, 4.1, 5.4, 6.8, 8.2, 9.5])  # hum, prime, tierce, quint, nominal …
# Per instrument: amplitudes of the partials, their ratios to the pitch, attack (s), decay of partial 1 (1/s; 0: held), by
# how much faster the next partials decay, vibrato (share of the pitch), breath (noise beside the tone), brightening with
# loudness.
AMPLITUDE = np.stack(
    [
        _k**-2.2,
        np.where(_k % 2 == 1, 1 / _k, 0.08 / _k),
        1 / _k,
        np.abs(np.sin(0.23 * np.pi * _k)) / _k,
        np.array([0.5, 1.0, 0.7, 0.4, 0.9, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1]),
        _k**-0.7,
    ]
)
RATIO = np.stack([_k, _k, _k, _k * np.sqrt(1 + 4e-4 * _k**2), BELL, _k])
ATTACK = np.array([0.05, 0.02, 0.08, 0.003, 0.002, 0.04])
DECAY = np.array([0.0, 0.0, 0.0, 4.0, 2.5, 0.0])
FASTER = np.array([0.0, 0.0, 0.0, 0.35, 0.25, 0.0])
VIBRATO = np.array([0.004, 0.0, 0.009, 0.0, 0.0, 0.002])
BREATH = np.array([0.12, 0.03, 0.04, 0.01, 0.0, 0.03])
BRIGHTENING = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.35])


@dataclass(frozen=True)
class Players:
    """What stays with a player (p,): the instrument, a spectral tilt, two resonances of the body (Hz, strength), the speed
    of attack and vibrato, breath."""

    instrument: np.ndarray
    tilt: np.ndarray
    resonance: np.ndarray
    strength: np.ndarray
    attack: np.ndarray
    vibrato_rate: np.ndarray
    breath: np.ndarray

    def take(self, index: np.ndarray) -> Players:
        """The players at ``index``, in that order."""
        return Players(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def draw_players(random: np.random.Generator, players: int) -> Players:
    """``players`` players; the instruments take turns, so that any stretch of players has all of them."""
    instrument = np.arange(players) % len(INSTRUMENTS)
    return Players(
        instrument,
        0.35 * random.standard_normal(players),
        np.exp(random.uniform(np.log(300), np.log(3000), (players, 2))),
        random.uniform(0.3, 2.0, (players, 2)),
        ATTACK[instrument] * np.exp(0.3 * random.standard_normal(players)),
        random.uniform(4.5, 7.0, players),
        BREATH[instrument] * np.exp(0.4 * random.standard_normal(players)),
    )


def onsets(random: np.random.Generator, count: np.ndarray, seconds: float) -> np.ndarray:
    """(n, EVENTS) sorted onset times of ``count`` (n,) notes, at least .12 s apart and from both ends; infinite beyond."""
    n, gap = len(count), 0.12
    free = seconds - gap * (count[:, None] + 1)  # what is left to spread at random
    draw = random.uniform(0, 1, (n, EVENTS))
    draw = np.sort(np.where(np.arange(EVENTS) < count[:, None], draw, 2.0), 1)
    time = gap * np.arange(EVENTS) + 0.25 * gap + draw * free
    return np.where(np.arange(EVENTS) < count[:, None], time, np.inf)


def perform(
    random: np.random.Generator, players: Players, pitch: np.ndarray, start: np.ndarray, samples: int, rate: float
) -> np.ndarray:
    """(n, samples): the notes of n clips, one player, pitch (Hz) and row of onsets (s) each, without any room."""
    n, clock = len(pitch), np.arange(samples) / rate
    kind = players.instrument
    # Time since the last onset, and until the next one: a held note ends shortly before it.
    since = np.full((n, samples), 1e3)
    until = np.full((n, samples), 1e3)
    for event in range(EVENTS):
        age = clock - start[:, event, None]
        since = np.where((age >= 0) & (age < since), age, since)
        until = np.where((age < 0) & (-age < until), -age, until)
    last = np.isfinite(start).sum(1) - 1
    end = start[np.arange(n), last] + 0.35  # the last held note is as long as the others are at most
    until = np.minimum(until, np.maximum(end[:, None] - clock, 0))
    envelope = (1 - np.exp(-since / players.attack[:, None])) * (since < 999)
    held = (DECAY[kind] == 0)[:, None]
    envelope = np.where(held, envelope * np.clip(until / RELEASE, 0, 1), envelope)
    wobble = players.vibrato_rate[:, None] * 2 * np.pi * clock
    depth = (VIBRATO[kind] * pitch / players.vibrato_rate)[:, None]
    phase = 2 * np.pi * pitch[:, None] * clock - depth * np.cos(wobble + random.uniform(0, 2 * np.pi, (n, 1)))
    wave = np.zeros((n, samples))
    for k in range(PARTIALS):
        frequency = RATIO[kind, k] * pitch
        size = AMPLITUDE[kind, k] * np.exp(-players.tilt * np.log(RATIO[kind, k] + 1))
        body = 1 + (players.strength / (1 + (3 * np.log2(frequency[:, None] / players.resonance)) ** 2)).sum(1)
        size = size * body * (frequency < 0.47 * rate)
        partial = np.sin(RATIO[kind, k, None] * phase + random.uniform(0, 2 * np.pi, (n, 1)))
        partial *= size[:, None]
        fades, brightens = ~held[:, 0], BRIGHTENING[kind] > 0
        fading = (DECAY[kind] * (1 + FASTER[kind] * k))[fades, None]
        partial[fades] *= np.exp(-fading * np.minimum(since[fades], 9))
        partial[brightens] *= envelope[brightens] ** (BRIGHTENING[kind] * k)[brightens, None]
        wave += partial * envelope
    return wave + random.standard_normal((n, samples)) * players.breath[:, None] * envelope
