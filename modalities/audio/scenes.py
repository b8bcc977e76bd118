"""Scenes: the notes of ``simulated`` heard with two ears, from a direction, in a room, in noise from everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Card, Data, Part, Task
from modalities.audio.base import AudioModality
from modalities.audio.clips import level
from modalities.audio.features import between
from modalities.audio.rooms import add_noise, coloured, diffuse, reverberate, tails, to_ears
from modalities.audio.simulated import CHUNK, Simulated, Simulation, compose, trouble

WIDEST = np.pi / 2  # radians to either side


def stage(players: int, clips: int, samples: int, rate: float, seed: int) -> Simulation:
    """``players`` × ``clips`` scenes, sounds (n, 2, t): ``dry`` is what arrives directly, ``heard`` all of it; equal
    arguments give equal arrays."""
    random = np.random.default_rng(seed)
    notes = compose(random, players, clips, samples, rate)
    n = len(notes.dry)
    decay, ratio, slope = trouble(random, n)
    azimuth = random.uniform(-WIDEST, WIDEST, n)
    dry = np.empty((n, 2, samples))
    heard = np.empty_like(dry)
    for first in range(0, n, CHUNK):
        rows = slice(first, first + CHUNK)
        dry[rows] = to_ears(notes.dry[rows], azimuth[rows], rate)
        count = len(dry[rows])
        room = tails(random, decay[rows], samples, rate).reshape(2 * count, samples)
        wet = dry[rows] + reverberate(notes.dry[rows].repeat(2, 0), room).reshape(count, 2, samples)
        noise = diffuse(coloured(random, slope[rows], samples), coloured(random, slope[rows], samples), rate)
        # One level for both ears: the ratio is that of their common power.
        heard[rows] = add_noise(wet.reshape(count, -1), noise.reshape(count, -1), ratio[rows]).reshape(wet.shape)
    factors = {**notes.factors, "azimuth": np.sin(azimuth), "reverberation": np.log(decay), "noise": ratio}
    return Simulation(dry, heard, notes.player, factors)


@datasets.register("audio/scenes")
class Scenes(Simulated):
    """Two channels, the left and the right ear; ``extra["clean"]`` holds what arrives directly, at the same level.

    Hand-made features are those of the mean of the ears, and what is between them.
    """

    dataset: ClassVar[str] = "scenes"
    embedded: ClassVar[bool] = True
    board: ClassVar[tuple[str, ...]] = ("wavjepa-nat", *AudioModality.board)
    card: ClassVar[Card] = Card(
        title="Simulated notes at two ears (direction, room, noise)",
        licence="Apache-2.0",
        source="modalities/audio/scenes.py",
        citation="this repository; rooms: Polack 1988; ears: Woodworth 1938; diffuse field: Cook et al. 1955",
        unit="player",
        notes="azimuth as its sine, 1 to the right; reverberation is the logarithm of the decay time in seconds, noise the "
        "ratio of sound to noise in dB, so that more of it is easier.",
    )
    channels: ClassVar[int] = 2
    seed: ClassVar[int] = 21
    tasks: tuple[Task, ...] = (*Simulated.tasks[:3], Task("azimuth", "regression", "r2"), *Simulated.tasks[3:])

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        made = stage(cls.players, cls.clips, cls.length, cls.rate, cls.seed)
        heard = made.heard - made.heard.mean(2, keepdims=True)
        loud = np.array([_gain(row, int(cls.rate)) for row in heard])[:, None, None]
        clean = {"clean": (made.dry * loud).astype(np.float16)}
        return cls.parts((heard * loud).astype(np.float16), made.player, made.factors, clean)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return torch.cat([super().handmade(batch), between(batch.x.float())], 1)


def _gain(ears: np.ndarray, rate: int) -> float:
    """The factor that brings the mean of the ears (2, t) to the level of the other data sets of sound."""
    mean = ears.mean(0)
    levelled = level(mean, rate).astype(np.float64)  # a float32 norm depends on the order of its sum
    return float(np.linalg.norm(levelled)) / max(float(np.linalg.norm(mean)), 1e-9)
