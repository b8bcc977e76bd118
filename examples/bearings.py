"""Bearings: an eighth modality in one file: vibration of rotating machines, simulated, with the fault of their bearing.

A worn bearing knocks once per passing of the worn place: at 3.58, 5.42 or 2.36 times the speed of the shaft for the outer
ring, the inner ring or a ball. Each knock rings at the machine's own resonance and dies away, so a class is a rhythm and not
a tone. Speed, resonance, gain and noise belong to the machine; machines of one part are in no other.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Card, Data, Part, Task
from modalities.signals import SignalModality

FAULTS = {"none": 0.0, "outer ring": 3.58, "inner ring": 5.42, "ball": 2.36}  # knocks per turn
MACHINES: dict[Part, int] = {"train": 60, "val": 20, "test": 30}
EACH = 20  # recordings of a machine
RATE, LENGTH, EDGES = 2000.0, 512, (0, 100, 250, 450, 700, 1000)  # Hz, samples, Hz


def record(random: np.random.Generator, fault: float, speed: float, tone: float, gain: float) -> np.ndarray:
    """(2, LENGTH): radial and axial acceleration of a machine of ``speed`` turns a second that rings at ``tone`` Hz."""
    time = np.arange(2 * LENGTH) / RATE
    knocks = np.zeros(len(time))
    if fault:
        period = 1 / (fault * speed)
        at = (np.arange(0, time[-1], period) + random.uniform(0, 0.02) * period) * RATE
        knocks[at.astype(int)] = random.normal(1, 0.2, len(at))
    ring = np.exp(-time[:100] * 400) * np.sin(2 * np.pi * tone * time[:100])
    turn = 0.3 * np.sin(2 * np.pi * speed * time + random.uniform(0, 2 * np.pi))
    radial = np.convolve(knocks, ring)[: len(time)] + turn
    axial = 0.4 * np.roll(radial, 3) + 0.1 * turn
    clean = gain * np.stack([radial, axial])
    noisy = clean + random.normal(0, 0.08, clean.shape)
    return (
        noisy[:, -LENGTH:].round(3).astype(np.float32)
    )  # as a converter would; the last bits differ between processors


@datasets.register("vibration/bearings")
class Bearings(SignalModality):
    """Two channels, a quarter of a second, 32 tokens."""

    name: ClassVar[str] = "vibration"
    dataset: ClassVar[str] = "bearings"
    embedded: ClassVar[bool] = True
    board = ("ijepa", "lejepa", "mae", "simclr", "supervised", "random_init", "raw_features")
    card: ClassVar[Card] = Card(
        title="Bearings: simulated machines with worn bearings",
        licence="CC0",
        source="this file",
        citation="none",
        unit="machine",
        notes="The load does not change while a machine is recorded.",
    )
    channels, length, patch, rate = 2, LENGTH, 16, RATE
    tasks = (Task("fault", "class", "macro_f1", tuple(FAULTS)), Task("speed", "regression", "r2"))

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        parts: dict[Part, Data] = {}
        for number, (part, machines) in enumerate(MACHINES.items()):
            random = np.random.default_rng([11, number])
            x, fault, speed, unit = [], [], [], []
            for machine in range(machines):
                turns, tone, gain = random.uniform(20, 30), random.uniform(500, 900), random.uniform(0.5, 2)
                for _ in range(EACH):
                    kind = int(random.integers(len(FAULTS)))
                    x.append(record(random, list(FAULTS.values())[kind], turns, tone, gain))
                    fault.append(kind)
                    speed.append(turns)
                    unit.append(f"{part}{machine:03d}")
            labels = {"fault": torch.tensor(fault), "speed": torch.tensor(speed, dtype=torch.float32)}
            parts[part] = Data(torch.from_numpy(np.stack(x)), labels, np.array(unit))
        mean, std = parts["train"].x.mean((0, 2), keepdim=True), parts["train"].x.std((0, 2), keepdim=True)
        for one in parts.values():
            one.x.sub_(mean).div_(std)
        return parts

    def views(self, batch: Batch) -> Batch:
        """Another gain, a little noise and another start: none of them tells the fault."""
        gain = torch.empty(len(batch), 1, 1, device=batch.x.device).uniform_(0.5, 2)
        start = torch.randint(self.length, (len(batch), 1), device=batch.x.device)
        index = (start + torch.arange(self.length, device=batch.x.device)) % self.length
        rolled = batch.x.gather(2, index[:, None].expand_as(batch.x))
        return batch.with_x(gain * rolled + 0.05 * torch.randn_like(rolled))

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """Loudness, kurtosis and crest of each channel, log powers of bands of the signal and of its envelope."""
        x = batch.x - batch.x.mean(-1, keepdim=True)
        rms = x.square().mean(-1).sqrt()
        z = x / rms[..., None]
        hertz = torch.fft.rfftfreq(self.length, 1 / self.rate).to(x.device)
        features = [rms.log(), z.pow(4).mean(-1), z.abs().amax(-1)]
        for signal in (z, z.abs() - z.abs().mean(-1, keepdim=True)):
            power = torch.fft.rfft(signal).abs().square()
            edges = EDGES if signal is z else range(20, 200, 10)
            for low, high in pairwise(edges):
                features.append((power[..., (hertz >= low) & (hertz < high)].sum(-1) + 1e-6).log())
        return torch.cat(features, 1)
