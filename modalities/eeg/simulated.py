"""Simulated: cortical sources of many people in four states, with eye and muscle artefacts; every factor is known.

Electrodes are digitised before their mean is taken off, so that processors that disagree about the last bit of a sine agree
about the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, Task
from modalities.eeg.base import EegModality, scale
from modalities.eeg.montage import TEN_TWENTY, positions
from modalities.eeg.sources import (
    CORTEX,
    MIDDLE,
    background,
    below,
    blinks,
    bursts,
    frequencies,
    lead_field,
    rhythm,
    shaped,
    unit,
)

STATES = ("eyes closed", "eyes open", "left hand", "right hand")
NUISANCES = {"blinks": 0.8, "muscle": 8.0, "electrode_noise": 4.0}  # largest: per second, µV, µV
SOURCES = 16  # dipoles of the background
# Generators: electrode above, rhythm, and the amplitude (1: its own) in each of the four states. Closing the eyes releases
# the occipital rhythm; a hand silences mu and beta over the other side of the head.
_GENERATORS = (
    ("O1", "alpha", (1.0, 0.35, 0.35, 0.35)),
    ("O2", "alpha", (1.0, 0.35, 0.35, 0.35)),
    ("C3", "mu", (0.8, 0.8, 0.75, 0.3)),
    ("C4", "mu", (0.8, 0.8, 0.3, 0.75)),
    ("C3", "beta", (0.8, 0.8, 0.75, 0.35)),
    ("C4", "beta", (0.8, 0.8, 0.35, 0.75)),
    ("Fz", "theta", (0.5, 0.5, 0.6, 0.6)),
)
_CENTRE = {"alpha": (8.5, 11.5), "mu": (9.5, 12.5), "beta": (17.0, 23.0), "theta": (5.0, 6.5)}  # Hz, range over people
_SIZE = {"alpha": 16.0, "mu": 9.0, "beta": 4.5, "theta": 5.0}  # µV at the electrode that sees most
_WIDTH = {"alpha": 0.7, "mu": 0.8, "beta": 1.6, "theta": 0.7}  # Hz
STEP = 0.1  # µV per step of the converter
CHUNK = 400  # rows computed at once, to bound memory


@dataclass(frozen=True)
class Simulation:
    """What the simulator knows: signals (n, c, t) in µV without and with disturbances, the person of each row, and every
    factor by name (n,)."""

    clean: np.ndarray
    signal: np.ndarray
    subject: np.ndarray
    factors: dict[str, np.ndarray]


@dataclass(frozen=True)
class People:
    """What stays the same through the rows of a person: fields (s, sources, c), spectra and sizes."""

    cortex: np.ndarray  # background: (s, SOURCES, c) fields, sizes included (µV)
    exponent: np.ndarray  # (s, SOURCES)
    generator: np.ndarray  # (s, generators, c) fields, sizes included (µV)
    centre: np.ndarray  # (s, generators) Hz
    eyes: np.ndarray  # (s, c)
    temples: np.ndarray  # (s, 2, c)

    @classmethod
    def draw(cls, random: np.random.Generator, count: int) -> People:
        """``count`` people: caps sit differently, skulls conduct differently, rhythms have their own frequency and size."""
        place = positions(TEN_TWENTY) - MIDDLE
        caps = (
            place + 0.35 * random.standard_normal((count, 1, 3)) + 0.2 * random.standard_normal((count, *place.shape))
        )
        direction = random.standard_normal((count, SOURCES, 3))
        direction[..., 2] = np.abs(direction[..., 2]) - 0.4  # the cortex is above the neck
        point = CORTEX * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        moment = point + 4.0 * random.standard_normal(point.shape)
        level = 5.0 * np.exp(0.35 * random.standard_normal((count, SOURCES, 1)))
        skull = np.exp(0.25 * random.standard_normal((count, 1, 1)))
        cortex = skull * level * unit(lead_field(point, moment, caps[:, None]))
        above = np.stack([below(name) for name, _, _ in _GENERATORS])
        above = above + 0.5 * random.standard_normal((count, *above.shape))
        size = np.array([_SIZE[kind] for _, kind, _ in _GENERATORS])
        own = size * np.exp(0.35 * random.standard_normal((count, len(size))))
        generator = skull * own[..., None] * unit(lead_field(above, above, caps[:, None]))
        centre = np.empty((count, len(_GENERATORS)))
        for kind, (low, high) in _CENTRE.items():  # one frequency per person and rhythm
            mine = [row for row, (_, name, _) in enumerate(_GENERATORS) if name == kind]
            centre[:, mine] = random.uniform(low, high, (count, 1))
        eyes = np.array([0.0, 8.5, -4.0]) - MIDDLE
        temples = np.stack([below("T7"), below("T8")]) * 1.15
        return cls(
            cortex,
            random.uniform(0.8, 1.6, (count, 1)) + 0.1 * random.standard_normal((count, SOURCES)),
            generator,
            centre,
            90.0 * unit(lead_field(np.tile(eyes, (count, 1)), np.tile([0.0, 0.6, 1.0], (count, 1)), caps)),
            unit(lead_field(np.tile(temples, (count, 1, 1)), np.tile(temples, (count, 1, 1)), caps[:, None])),
        )


def simulate(subjects: int, rows: int, samples: int, rate: float, seed: int) -> Simulation:
    """``subjects`` × ``rows`` stretches of ``samples`` samples at ``rate`` Hz; equal arguments give equal arrays."""
    random = np.random.default_rng(seed)
    people = People.draw(random, subjects)
    subject = np.repeat(np.arange(subjects), rows)
    n = len(subject)
    state = random.integers(0, len(STATES), n)
    share = np.array([amounts for _, _, amounts in _GENERATORS])[:, state].T  # n generators
    share = share * np.exp(0.3 * random.standard_normal(share.shape))  # from row to row: vigilance
    nuisance = {name: random.uniform(0, largest, n) for name, largest in NUISANCES.items()}
    clock, frequency = np.arange(samples) / rate, frequencies(samples, rate)
    width = np.array([_WIDTH[kind] for _, kind, _ in _GENERATORS])
    clean = np.empty((n, len(TEN_TWENTY), samples), dtype=np.float32)
    signal = np.empty_like(clean)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        who, count = subject[part], len(subject[part])
        noise = shaped(random, (count, SOURCES), samples, background(people.exponent[who], frequency))
        waves = [
            shaped(random, (count,), samples, rhythm(people.centre[who, k], float(wide), frequency))
            for k, wide in enumerate(width)
        ]
        amplitude = share[part, :, None] * people.generator[who]
        fields = np.concatenate([people.cortex[who], amplitude], 1)
        x = fields.transpose(0, 2, 1) @ np.concatenate([noise, np.stack(waves, 1)], 1)
        clean[part] = x
        closing = blinks(random, nuisance["blinks"][part], clock)[:, None]
        tense = nuisance["muscle"][part, None, None] * bursts(random, count, 2, frequency, clock)
        fields = np.concatenate([people.eyes[who][:, None], people.temples[who]], 1)
        x += fields.transpose(0, 2, 1) @ np.concatenate([closing, tense], 1)
        x += nuisance["electrode_noise"][part, None, None] * random.standard_normal(x.shape)
        counts = np.rint(x / STEP)  # whole numbers: their sums are exact
        signal[part] = (counts * x.shape[1] - counts.sum(1, keepdims=True)) * (STEP / x.shape[1])
    alpha = people.centre[subject, 0]
    return Simulation(clean, signal, subject, {"state": state, "alpha_frequency": alpha, **nuisance})


@datasets.register("eeg/simulated")
class Simulated(EegModality):
    """The embedded default: needs no file, takes seconds, and every factor is known."""

    dataset: ClassVar[str] = "simulated"
    card: ClassVar[Card] = Card(
        title="Simulated 19-channel EEG (dipoles in a head)",
        licence="Apache-2.0",
        source="modalities/eeg/simulated.py",
        citation="this repository",
        unit="subject",
        notes="alpha_frequency belongs to the person, so all rows of a subject share it.",
    )
    length: ClassVar[int] = 400
    patch: ClassVar[int] = 200
    rate: ClassVar[float] = 100.0
    subjects: ClassVar[int] = 300
    rows: ClassVar[int] = 16
    seed: ClassVar[int] = 24
    tasks = (
        Task("state", "class", "balanced_accuracy", STATES),
        Task("alpha_frequency", "regression", "r2"),
        *(Task(name, "regression", "r2", nuisance=True) for name in NUISANCES),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        simulation = simulate(cls.subjects, cls.rows, cls.length, cls.rate, cls.seed)
        # People are exchangeable draws, so the first 60 % are as good a train part as any.
        member = np.searchsorted(np.floor(np.array([0.6, 0.8]) * cls.subjects), simulation.subject, side="right")
        index = {part: np.flatnonzero(member == k) for k, part in enumerate(PARTS)}
        x = scale({part: simulation.signal[rows] for part, rows in index.items()})
        kinds = {task.name: np.int64 if task.kind == "class" else np.float32 for task in cls.tasks}
        return {
            part: Data(
                torch.from_numpy(x[part]),
                {name: torch.from_numpy(simulation.factors[name][rows].astype(kind)) for name, kind in kinds.items()},
                np.array([f"s{subject:03d}" for subject in simulation.subject[rows]]),
            )
            for part, rows in index.items()
        }
