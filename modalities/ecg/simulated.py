"""Simulated 12-lead ECG with known factors: a moving heart dipole seen by nine electrodes, plus documented disturbances.

A beat is a sum of Gaussian bumps along time (P, Q, R, S, a late QRS part, T), each with a direction in space; together
they are the path of a dipole (x left, y down, z front). Electrode potentials are its projections on the electrode
vectors, and the twelve leads are differences of electrode potentials, so III = II − I and its kin hold exactly, noise
included: disturbances enter at the electrodes, where they do in life. What the electrodes see is digitised there, and
leads are made of whole steps: processors that disagree about the last bit of a sine agree about the data.

Factors. Per patient: axis rotation, size and width of every wave, gain of every electrode, PR time, conduction class.
Per recording: heart rate, rhythm class (independent of the patient, as paroxysmal arrhythmias are, so that knowing the
patient does not give the rhythm away), and three nuisance amplitudes in mV, uniform and independent of everything else:
baseline wander (breathing and skin, 0.05-0.6 Hz), electrode noise (white plus bursts of movement), line noise (mains at
60 Hz, met by a 100-Hz converter without anti-alias filter: it shows at 40 Hz).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, Task
from modalities.ecg.base import INDEPENDENT, EcgModality
from modalities.ecg.rhythms import RHYTHMS, Beats, draw_beats
from modalities.signals import standardise

CONDUCTIONS = ("normal", "first-degree AV block", "right bundle branch block", "left bundle branch block")
NUISANCES = {"baseline_wander": 0.3, "electrode_noise": 0.07, "line_noise": 0.1}  # largest amplitude, mV
MAINS = 60.0  # Hz
STEP = 0.005  # mV per step of the converter (MIT-BIH's recorders: 200 steps per mV)
CHUNK = 200  # recordings computed at once, to bound memory

# Electrode vectors: RA, LA, LL form Einthoven's triangle (their mean, Wilson's terminal, is zero); V1-V6 run from the
# right of the breastbone to the left flank and see more of the dipole because they are near.
_ANGLES = np.deg2rad([115.0, 95.0, 75.0, 55.0, 28.0, 5.0])  # 0 = left, 90 = front
_NEAR = np.array([0.9, 1.3, 1.35, 1.3, 1.1, 0.9])
_DOWN = np.array([-0.1, 0.0, 0.1, 0.25, 0.25, 0.25])
ELECTRODES = np.concatenate(
    [
        np.array([[-0.5, -np.sqrt(3) / 6, 0.0], [0.5, -np.sqrt(3) / 6, 0.0], [0.0, np.sqrt(3) / 3, 0.0]]),
        np.stack([_NEAR * np.cos(_ANGLES), _DOWN, _NEAR * np.sin(_ANGLES)], 1),
    ]
)
# Six times the leads I, II, III, aVR, aVL, aVF, V1-V6 from RA, LA, LL, V1-V6: whole numbers, so that sums are exact.
SIX_LEADS = np.zeros((12, 9))
SIX_LEADS[:3, :3] = [[-6, 6, 0], [-6, 0, 6], [0, -6, 6]]
SIX_LEADS[3:6, :3] = 9 * np.eye(3) - 3
SIX_LEADS[6:, :3] = -2
SIX_LEADS[6:, 3:] = 6 * np.eye(6)

# Waves of a conducted beat: time after R (s), width (s), direction × size (mV). The late QRS part is silent without
# a bundle branch block. P is placed by the PR time.
P, Q, R, S, LATE, T = range(6)
_TIME = np.array([0.0, -0.028, 0.0, 0.032, 0.06, 0.29])
_WIDTH = np.array([0.024, 0.011, 0.014, 0.013, 0.016, 0.05])
_VECTOR = np.array(
    [
        [0.09, 0.12, 0.04],
        [-0.18, -0.05, 0.22],
        [1.05, 0.95, 0.05],
        [-0.05, -0.15, -0.75],
        [0.0, 0.0, 0.0],
        [0.28, 0.24, 0.16],
    ]
)


@dataclass(frozen=True)
class Simulation:
    """What the simulator knows: signals (n, 12, t) in mV without and with disturbances, and every factor by name (n,)."""

    clean: np.ndarray
    signal: np.ndarray
    patient: np.ndarray
    factors: dict[str, np.ndarray]


def rotations(random: np.random.Generator, n: int, degrees: float) -> np.ndarray:
    """(n, 3, 3) random small rotations: independent normal angles about three axes (Rodrigues' formula)."""
    turn = np.deg2rad(degrees) * random.standard_normal((n, 3))
    angle = np.linalg.norm(turn, axis=1)[:, None, None]
    k = np.zeros((n, 3, 3))
    axis = turn / angle[:, 0]
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    k -= k.transpose(0, 2, 1)
    rotation: np.ndarray = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
    return rotation


def morphology(random: np.random.Generator, conduction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per patient: wave times (n, 6), widths (n, 6) in s and vectors (n, 6, 3) in mV, conduction included."""
    n = len(conduction)
    block, right, left = (conduction == k for k in (1, 2, 3))
    time, width = np.tile(_TIME, (n, 1)), np.tile(_WIDTH, (n, 1))
    vector = np.tile(_VECTOR, (n, 1, 1))
    time[:, P] = -np.where(block, random.uniform(0.23, 0.30, n), random.uniform(0.13, 0.185, n))
    time[:, T] += 0.025 * random.standard_normal(n)
    # Right: the right ventricle is late and alone: to the right and front. Left: the septum is crossed the other way (no
    # Q), the left ventricle is slow. Both turn T away from the late part.
    late = random.uniform(0.35, 0.75, n)[:, None]
    vector[right, LATE] = (late * [-0.75, 0.0, 0.85])[right]
    vector[right, T] += (late * [0.15, 0.0, -0.30])[right]
    width[right, LATE] *= 1.25
    vector[left, Q] = 0.0
    vector[left, S] *= 0.5
    vector[left, LATE] = (late * [1.1, 0.1, -0.9])[left]
    vector[left, T] -= (late * [0.75, 0.4, -0.5])[left]
    width[left, R] *= 1.4
    width[left, LATE] *= 1.5
    width *= np.exp(0.12 * random.standard_normal((n, 6)))
    vector *= np.exp(0.25 * random.standard_normal((n, 6, 1))) * np.exp(0.2 * random.standard_normal((n, 1, 1)))
    vector = np.einsum("nij,nwj->nwi", rotations(random, n, 14.0), vector)
    vector += 0.12 * np.linalg.norm(vector, axis=2, keepdims=True) * random.standard_normal((n, 6, 3))
    return time, width, vector


def dipole(
    beats: Beats, time: np.ndarray, width: np.ndarray, vector: np.ndarray, ectopic: np.ndarray, clock: np.ndarray
) -> np.ndarray:
    """The dipole (n, t, 3) in mV: for each moment the waves of the beat before, at and after it."""
    n, t = len(beats.peak), len(clock)
    bumps = np.zeros((n, 7, t))  # the six waves, and the ectopic beat
    current = (beats.peak[:, :, None] <= clock).sum(1) - 1  # index of the last R before each moment
    rows = np.arange(n)[:, None]
    # T follows the heart rate (Bazett's square root), P does not.
    stretch = np.sqrt(np.clip(beats.mean_gap, 0.35, 1.2) / 0.8)
    centre = time.copy()
    centre[:, T] *= stretch
    size = np.ones((n, 6, 1))
    size[:, P, 0] = beats.atria
    centre, width = centre[..., None], width[..., None]
    for step in (-1, 0, 1):
        which = np.clip(current + step, 0, beats.peak.shape[1] - 1)
        since = clock - beats.peak[rows, which]
        early = beats.early[rows, which]
        bumps[:, :6] += size * np.exp(-0.5 * ((since[:, None] - centre) / width) ** 2) * ~early[:, None]
        if early.any():  # a wide QRS of its own direction, an opposite T, no P
            main = np.exp(-0.5 * ((since - 0.02) / 0.036) ** 2)
            repolarise = np.exp(-0.5 * ((since - 0.30 * stretch[:, None]) / 0.06) ** 2)
            bumps[:, 6] += (main - 0.4 * repolarise) * early
    vectors = np.concatenate([vector, ectopic[:, None]], 1)
    path: np.ndarray = bumps.transpose(0, 2, 1) @ vectors
    return path


def simulate(patients: int, recordings: int, samples: int, rate: float, seed: int) -> Simulation:
    """``patients`` × ``recordings`` ECGs of ``samples`` samples at ``rate`` Hz; equal arguments give equal arrays."""
    random = np.random.default_rng(seed)
    n = patients * recordings
    patient = np.repeat(np.arange(patients), recordings)
    conduction = random.integers(0, len(CONDUCTIONS), patients)
    time, width, vector = (column[patient] for column in morphology(random, conduction))
    conduction = conduction[patient]
    rhythm = random.integers(0, len(RHYTHMS), n)
    clock = np.arange(samples) / rate
    beats = draw_beats(random, rhythm, samples / rate)
    ectopic = np.einsum("nij,j->ni", rotations(random, n, 50.0), [0.3, -0.9, 1.0]) * random.uniform(0.9, 1.5, (n, 1))
    vector = vector * np.exp(0.06 * random.standard_normal((n, 6, 1)))  # posture, from recording to recording
    gain = np.exp(0.15 * random.standard_normal((patients, 9)))[patient]
    size = {name: random.uniform(0.03, 1.0, n) * largest for name, largest in NUISANCES.items()}
    clean = np.empty((n, 12, samples), dtype=np.float32)
    signal = np.empty_like(clean)
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        path = dipole(beats.rows(rows), time[rows], width[rows], vector[rows], ectopic[rows], clock)
        path += beats.rows(rows).flutter_waves(clock)
        seen = np.einsum("ntj,ej->net", path, ELECTRODES, optimize=True) * gain[rows, :, None]
        disturbed = seen + disturbances(random, {name: value[rows] for name, value in size.items()}, clock, rate)
        clean[rows] = leads(seen)
        signal[rows] = leads(disturbed)
    # Without a P wave nobody can see a long PR time: unknown, not wrong.
    conduction = np.where((conduction == 1) & (beats.atria == 0), -1, conduction)
    factors = {"rhythm": rhythm, "conduction": conduction, "heart_rate": beats.heart_rate(samples / rate), **size}
    return Simulation(clean, signal, patient, factors)


def leads(potentials: np.ndarray) -> np.ndarray:
    """The twelve leads (n, 12, t) in mV of electrode potentials (n, 9, t), each electrode digitised with ``STEP``."""
    counts: np.ndarray = SIX_LEADS @ np.rint(potentials / STEP)
    return counts * (STEP / 6)


def disturbances(
    random: np.random.Generator, size: dict[str, np.ndarray], clock: np.ndarray, rate: float
) -> np.ndarray:
    """Electrode potentials (n, 9, t) in mV of the three nuisances with the amplitudes ``size``."""
    n, t = len(size["line_noise"]), len(clock)
    total = np.zeros((n, 9, t))
    for low, high in ((0.05, 0.2), (0.2, 0.6)):  # skin potential, breathing
        phase = 2 * np.pi * (random.uniform(low, high, (n, 1, 1)) * clock + random.random((n, 9, 1)))
        total += (0.5 * size["baseline_wander"])[:, None, None] * np.sin(phase) * random.uniform(0.4, 1.0, (n, 9, 1))
    white = random.standard_normal((n, 9, t))
    burst = np.exp(-0.5 * ((clock - random.uniform(0, t / rate, (n, 9, 1))) / 0.3) ** 2)  # an electrode is touched
    slow = np.cumsum(random.standard_normal((n, 9, t)), 2) * 0.12
    total += size["electrode_noise"][:, None, None] * (0.8 * white + burst * slow)
    # Every cable is a loop of its own in the mains field: its own size and phase.
    phase = random.random((n, 1, 1)) + 0.15 * random.standard_normal((n, 9, 1))
    mains = np.sin(2 * np.pi * ((MAINS + 0.1 * random.standard_normal((n, 1, 1))) * clock + phase))
    total += size["line_noise"][:, None, None] * random.uniform(0.5, 1.0, (n, 9, 1)) * mains
    return total


@datasets.register("ecg/simulated")
class Simulated(EcgModality):
    """The embedded default: needs no file, takes seconds, and every factor is known."""

    dataset: ClassVar[str] = "simulated"
    card: ClassVar[Card] = Card(
        title="Simulated 12-lead ECG (dipole model)",
        licence="Apache-2.0",
        source="modalities/ecg/simulated.py",
        citation="this repository; the Gaussian-bump beat follows McSharry et al. 2003, IEEE TBME 50(3):289-294",
        unit="patient",
        notes="conduction is unlabelled (-1) where first-degree AV block meets a rhythm without P waves.",
    )
    channels: ClassVar[int] = 12
    length: ClassVar[int] = 500
    patch: ClassVar[int] = 20
    rate: ClassVar[float] = 100.0
    independent: ClassVar[tuple[int, ...] | None] = INDEPENDENT
    channel_patch: ClassVar[int | None] = 50  # 0.5 s: coarser than Kim's 0.2 s, so that the quick board stays quick
    patients: ClassVar[int] = 1000
    recordings: ClassVar[int] = 4
    seed: ClassVar[int] = 20
    tasks = (
        Task("rhythm", "class", "macro_f1", RHYTHMS),
        Task("conduction", "class", "macro_f1", CONDUCTIONS),
        Task("heart_rate", "regression", "r2"),
        *(Task(name, "regression", "r2", nuisance=True) for name in NUISANCES),
    )

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        simulation = simulate(cls.patients, cls.recordings, cls.length, cls.rate, cls.seed)
        # Patients are exchangeable draws, so the first 60 % are as good a train part as any.
        border = np.floor(np.array([0.6, 0.8]) * cls.patients)
        member = np.searchsorted(border, simulation.patient, side="right")
        rows = {part: np.flatnonzero(member == k) for k, part in enumerate(PARTS)}
        x = standardise({part: simulation.signal[index] for part, index in rows.items()})
        kinds = {task.name: np.int64 if task.kind == "class" else np.float32 for task in cls.tasks}
        return {
            part: Data(
                torch.from_numpy(x[part]),
                {name: torch.from_numpy(simulation.factors[name][index].astype(kind)) for name, kind in kinds.items()},
                np.array([f"p{patient:04d}" for patient in simulation.patient[index]]),
            )
            for part, index in rows.items()
        }
