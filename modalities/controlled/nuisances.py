"""Nuisances of known kind and strength, over a signal that stays the same: does a method learn what it is not asked for?

Kinds. ``noise`` is drawn anew for every place of an input (every column, every sample of every electrode), so that no part
of it tells anything about another: it cannot be predicted. ``waves`` is drawn once for an input (hidden numbers that every
column shows, one oscillation that every electrode sees), so that every part of it tells the rest: it can be predicted. Both
have the same size at the same strength: 1 is the standard deviation of the signal of a column, and UNIT at an electrode.

Answers, signals and splits are the same draws at every strength; the nuisance has generators of its own. ``…-none`` has no
nuisance. In the terms of Littwin et al. 2024 (arXiv 2407.03475) noise lowers the regression coefficient ρ of what it lies
on and waves leave it near 1, at the same variance.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, Part, UsageError
from modalities.ecg.simulated import Simulated, leads, simulate
from modalities.signals import standardise
from modalities.tabular.base import TabularModality
from modalities.tabular.made import DIGITS, ROWS, STATE, Linear, Made, Shells, Steps

KINDS = ("noise", "waves")
STRENGTHS = ("0.5", "1", "2")
NONE = "none"
LAWS: dict[str, type[Made]] = {"linear": Linear, "shells": Shells, "steps": Steps}
COLUMNS = 20
BLUR = 0.3  # standard deviation of what each column has of its own at every strength
SHARED = 4  # hidden numbers of the waves, as many as the state has
UNIT = 0.2  # mV, root mean square at an electrode at strength 1
PITCH = (2.0, 10.0)  # Hz, of the oscillation
STREAM = 0x6E756973  # keeps the draws of nuisances apart from those of signals


def level(text: str, family: str) -> tuple[str, float]:
    """(kind, strength) of ``none`` or ``<kind>-<strength>``. Raises UsageError, naming what there is."""
    if text == NONE:
        return KINDS[0], 0.0
    kind, _, strength = text.partition("-")
    if kind not in KINDS or strength not in STRENGTHS:
        raise UsageError(
            f"{family} ends in {NONE} or in one of {', '.join(KINDS)} with a strength of {', '.join(STRENGTHS)}, such as "
            f"{KINDS[0]}-{STRENGTHS[0]}, not in '{text}'"
        )
    return kind, float(strength)


class Nuisance(TabularModality):
    """Twenty mixtures of a hidden state with a nuisance over them; what is asked is a law of ``tabular/made_<law>``."""

    embedded: ClassVar[bool] = True
    aside: ClassVar[bool] = True
    law: ClassVar[type[Made]]
    kind: ClassVar[str]
    strength: ClassVar[float]

    @classmethod
    def frames(cls, root: Path | None) -> dict[str, pd.DataFrame]:
        return {part: cls._part(rows, number) for number, (part, rows) in enumerate(ROWS.items())}

    @classmethod
    def _part(cls, rows: int, number: int) -> pd.DataFrame:
        random = np.random.default_rng([cls.law.seed, number])
        state = random.standard_normal((rows, STATE))
        signal = mixed(state, mixing(cls.law.seed)) + BLUR * random.standard_normal((rows, COLUMNS))
        answer = cls.law.answer(state, random)
        value = signal + cls.strength * nuisance(cls.kind, rows, cls.law.seed, number)
        frame = pd.DataFrame({f"c{at:02d}": value[:, at].round(DIGITS) for at in range(COLUMNS)})
        frame[cls.target] = answer
        return frame


def mixing(seed: int, stream: int = 0) -> np.ndarray:
    """(4, columns): weights of hidden numbers in the columns, each column of length 1."""
    weights = np.random.default_rng([seed, STREAM, stream]).standard_normal((STATE, COLUMNS))
    return np.asarray(weights / np.sqrt((weights**2).sum(0)))


def mixed(hidden: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, columns), summed one hidden number after another: the same bits on every processor."""
    return np.asarray(sum(hidden[:, [k]] * weights[k] for k in range(len(weights))))


def nuisance(kind: str, rows: int, seed: int, number: int) -> np.ndarray:
    """(rows, columns) of unit variance: independent everywhere, or mixtures of SHARED numbers of each row."""
    random = np.random.default_rng([seed, STREAM, 2, number])
    if kind == "noise":
        return random.standard_normal((rows, COLUMNS))
    return mixed(random.standard_normal((rows, SHARED)), mixing(seed, stream=1))


@datasets.register_family("tabular/nuisance-")
@functools.cache
def tabular(rest: str) -> type[Nuisance]:
    """The class of ``tabular/nuisance-<law>-none`` or ``tabular/nuisance-<law>-<kind>-<strength>``."""
    law, _, text = rest.partition("-")
    if law not in LAWS:
        raise UsageError(f"tabular/nuisance- goes on with a law ({', '.join(LAWS)}), not with '{law}'")
    kind, strength = level(text, f"tabular/nuisance-{law}-")
    base = LAWS[law]
    facts = {
        "dataset": f"nuisance-{rest}", "law": base, "kind": kind, "strength": strength, "regression": base.regression,
        "card": _card(f"{base.card.title}; nuisance {text}", "modalities/controlled/nuisances.py", "row"),
        "__module__": __name__, "__doc__": f"Nuisance {text} over the law {law}.",
    }  # fmt: skip
    return type(f"Nuisance_{rest}", (Nuisance,), facts)


class Disturbed(Simulated):
    """The hearts of ``ecg/simulated`` without its disturbances, and one nuisance in their place."""

    embedded: ClassVar[bool] = True
    aside: ClassVar[bool] = True
    kind: ClassVar[str]
    strength: ClassVar[float]
    tasks = tuple(task for task in Simulated.tasks if not task.nuisance)

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        made = simulate(cls.patients, cls.recordings, cls.length, cls.rate, cls.seed)
        signal = made.clean
        if cls.strength:
            potentials = electrodes(cls.kind, len(signal), cls.length, cls.rate, cls.seed)
            signal = signal + leads(cls.strength * UNIT * potentials).astype(np.float32)
        member = np.searchsorted(np.floor(np.array([0.6, 0.8]) * cls.patients), made.patient, side="right")
        rows = {part: np.flatnonzero(member == k) for k, part in enumerate(PARTS)}
        x = standardise({part: signal[index] for part, index in rows.items()})
        kinds = {task.name: np.int64 if task.kind == "class" else np.float32 for task in cls.tasks}
        return {
            part: Data(
                torch.from_numpy(x[part]),
                {name: torch.from_numpy(made.factors[name][index].astype(kind)) for name, kind in kinds.items()},
                np.array([f"p{patient:04d}" for patient in made.patient[index]]),
            )
            for part, index in rows.items()
        }


def electrodes(kind: str, n: int, samples: int, rate: float, seed: int) -> np.ndarray:
    """(n, 9, samples) of root mean square 1: white, or one sine of each recording that every electrode sees in its size.

    What comes of it goes through ``leads``, which digitises: the last bit of a sine does not matter.
    """
    random = np.random.default_rng([seed, STREAM])
    if kind == "noise":
        return random.standard_normal((n, 9, samples), dtype=np.float32)
    pitch, phase = random.uniform(*PITCH, (n, 1, 1)), 2 * np.pi * random.random((n, 1, 1))
    size = sizes(random, n, 9)[..., None]
    clock = np.arange(samples) / rate
    return np.asarray(np.sqrt(2) * size * np.sin(2 * np.pi * pitch * clock + phase))


def sizes(random: np.random.Generator, n: int, places: int) -> np.ndarray:
    """(n, places): in which size each place sees a wave that all see; root mean square 1 over the places of each input."""
    drawn = random.standard_normal((n, places))
    return np.asarray(drawn / np.sqrt((drawn**2).mean(1, keepdims=True)))


@datasets.register_family("ecg/nuisance-")
@functools.cache
def ecg(rest: str) -> type[Disturbed]:
    """The class of ``ecg/nuisance-none`` or ``ecg/nuisance-<kind>-<strength>``."""
    kind, strength = level(rest, "ecg/nuisance-")
    facts = {
        "dataset": f"nuisance-{rest}", "kind": kind, "strength": strength,
        "card": _card(f"{Simulated.card.title}; nuisance {rest}", "modalities/controlled/nuisances.py", "patient"),
        "__module__": __name__, "__doc__": f"Nuisance {rest} over clean recordings.",
    }  # fmt: skip
    return type(f"Disturbed_{rest}", (Disturbed,), facts)


def _card(title: str, source: str, unit: str) -> Card:
    return Card(title=title, licence="Apache-2.0", source=source, citation="this repository", unit=unit)
