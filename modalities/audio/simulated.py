"""Simulated notes with known factors: a player plays one to four notes of a pitch on an instrument, in a room, in noise.

Factors. Per player (the split unit): the instrument, and how this specimen sounds (tilt, resonances, attack, vibrato,
breath). Per clip, independent of the player and of each other: pitch, number of notes, and two nuisances, reverberation
time and the ratio of sound to noise. All is computed in float64 and kept in float16, so that processors that disagree about
the last bit of a sine agree about the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, Task
from modalities.audio.base import AudioModality
from modalities.audio.clips import level
from modalities.audio.instruments import EVENTS, INSTRUMENTS, LOWEST, OCTAVES, draw_players, onsets, perform
from modalities.audio.rooms import add_noise, coloured, echoes, reverberate

DECAY = (0.05, 0.8)  # seconds, log-uniform
RATIO = (0.0, 30.0)  # dB
CHUNK = 20  # clips computed at once, to bound memory


@dataclass(frozen=True)
class Simulation:
    """What the simulator knows: sounds (n, t) without and with room and noise, and every factor by name (n,)."""

    dry: np.ndarray
    heard: np.ndarray
    player: np.ndarray
    factors: dict[str, np.ndarray]


@dataclass(frozen=True)
class Notes:
    """What players play: sounds (n, t) without any room, whose they are, and the factors of the player and the notes."""

    dry: np.ndarray
    player: np.ndarray
    factors: dict[str, np.ndarray]


def compose(random: np.random.Generator, players: int, clips: int, samples: int, rate: float) -> Notes:
    """``players`` × ``clips`` clips of ``samples`` samples at ``rate`` Hz."""
    n = players * clips
    band = draw_players(random, players)
    player = np.arange(players).repeat(clips)
    pitch = random.uniform(0, OCTAVES, n)
    count = random.integers(1, EVENTS + 1, n)
    start = onsets(random, count, samples / rate)
    dry = np.empty((n, samples))
    for first in range(0, n, CHUNK):
        rows = slice(first, first + CHUNK)
        dry[rows] = perform(random, band.take(player[rows]), LOWEST * 2 ** pitch[rows], start[rows], samples, rate)
    return Notes(dry, player, {"instrument": band.instrument[player], "pitch": pitch, "events": count - 1})


def trouble(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reverberation time (s), ratio of sound to noise (dB) and fall of the noise of n clips, independent of each other."""
    decay = np.exp(random.uniform(np.log(DECAY[0]), np.log(DECAY[1]), n))
    return decay, random.uniform(*RATIO, n), random.uniform(0, 1.5, n)


def simulate(players: int, clips: int, samples: int, rate: float, seed: int) -> Simulation:
    """``players`` × ``clips`` sounds of ``samples`` samples at ``rate`` Hz; equal arguments give equal arrays."""
    random = np.random.default_rng(seed)
    notes = compose(random, players, clips, samples, rate)
    decay, ratio, slope = trouble(random, len(notes.dry))
    heard = np.empty_like(notes.dry)
    for first in range(0, len(heard), CHUNK):
        rows = slice(first, first + CHUNK)
        wet = reverberate(notes.dry[rows], echoes(random, decay[rows], samples, rate))
        heard[rows] = add_noise(wet, coloured(random, slope[rows], samples), ratio[rows])
    factors = {**notes.factors, "reverberation": np.log(decay), "noise": ratio}
    return Simulation(notes.dry, heard, notes.player, factors)


@datasets.register("audio/simulated")
class Simulated(AudioModality):
    """The embedded default: needs no file, takes seconds, and every factor is known. 32 tokens of 32 ms at 8 kHz."""

    dataset: ClassVar[str] = "simulated"
    card: ClassVar[Card] = Card(
        title="Simulated notes (partials in a room, in noise)",
        licence="Apache-2.0",
        source="modalities/audio/simulated.py",
        citation="this repository; the room follows Polack 1988 (exponentially decaying noise)",
        unit="player",
        notes="pitch in octaves above 110 Hz, reverberation as the logarithm of the decay time in seconds, noise in dB.",
    )
    rate: ClassVar[float] = 8000.0
    length: ClassVar[int] = 8192
    patch: ClassVar[int] = 256
    layers = ((32, 32, 16), (64, 4, 4), (64, 4, 4))
    window: ClassVar[int] = 320
    frame: ClassVar[int] = 128
    tile: ClassVar[tuple[int, int]] = (10, 8)
    players: ClassVar[int] = 480
    clips: ClassVar[int] = 8
    seed: ClassVar[int] = 20
    tasks: tuple[Task, ...] = (
        Task("instrument", "class", "macro_f1", INSTRUMENTS),
        Task("pitch", "regression", "r2"),
        Task("events", "class", "macro_f1", ("one", "two", "three", "four")),
        Task("reverberation", "regression", "r2", nuisance=True),
        Task("noise", "regression", "r2", nuisance=True),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        simulation = simulate(cls.players, cls.clips, cls.length, cls.rate, cls.seed)
        x = np.stack([level(row, int(cls.rate)) for row in simulation.heard]).astype(np.float16)
        return cls.parts(x[:, None], simulation.player, simulation.factors)

    @classmethod
    def parts(
        cls,
        x: np.ndarray,
        player: np.ndarray,
        factors: Mapping[str, np.ndarray],
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> dict[Part, Data]:
        """The parts by player from sounds (n, c, t), factors (n,) and side inputs (n, …)."""
        # Players are exchangeable draws and instruments take turns, so the first 60 % are as good a train part as any.
        group = np.arange(len(x)) // cls.clips / cls.players
        member = np.searchsorted([0.6, 0.8], group, side="right")
        kinds = {task.name: np.int64 if task.kind == "class" else np.float32 for task in cls.tasks}
        made: dict[Part, Data] = {}
        for number, part in enumerate(PARTS):
            rows = np.flatnonzero(member == number)
            made[part] = Data(
                torch.from_numpy(x[rows]),
                {name: torch.from_numpy(factors[name][rows].astype(kind)) for name, kind in kinds.items()},
                np.array([f"p{one:03d}" for one in player[rows]]),
                extra={name: torch.from_numpy(column[rows]) for name, column in (extra or {}).items()},
            )
        return made
