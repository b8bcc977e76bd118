"""Scaling: how the time of a step grows with samples, tokens, width, views and the size of the data set.

A factor takes several values, everything else is held; the exponent is the slope of log time over log value by least
squares, its interval Student's. Points of a factor take turns round by round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmark.cell import Cell, resolve
from benchmark.perf import loops
from benchmark.perf.loops import Where
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.registry import datasets

FILE = "perf_scaling.csv"
DATASET = "ecg/simulated"
STEPS = 8
LEVEL = 0.95
# factor → (method, values, how a value is said; None: by the data)
FACTORS: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...] | None]] = {
    "samples": (("ijepa", "lejepa", "mae"), (32, 64, 128, 256), ("train.batch_size",)),
    "width": (("ijepa", "lejepa", "mae"), (64, 128, 256), ("size.dim",)),
    "views": (("lejepa",), (2, 4, 8), ("recipe.views",)),
    "tokens": (("ijepa", "lejepa", "mae"), (25, 50, 125), None),
    "rows": (("ijepa", "lejepa", "mae"), (128, 256, 512, 1024), ("limit",)),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One value of one factor for one method."""

    factor: str
    value: int
    cell: Cell
    modality: Modality


def points(factor: str, method: str) -> list[Point]:
    """The points of a factor. ``tokens``: the same recordings in finer patches."""
    _, values, words = FACTORS[factor]
    make, found = datasets[DATASET].make, []
    plain = make(None)
    for value in values:
        data = plain
        if words is None:
            data = type(make.__name__, (make,), {"patch": make.length // value})(None)
        cell = resolve(
            DATASET, method, "quick", 0, {word: str(value) for word in words or ()} | {"train.steps": str(STEPS)}, {}
        )
        found.append(Point(factor, value, cell, limited(data, cell.limit)))
    return found


def exponent(values: Sequence[float], times: Sequence[float]) -> tuple[float, float, float]:
    """(slope, low, high) of log time over log value; the interval is endless for two points."""
    line = stats.linregress(np.log(values), np.log(times))
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 2) * line.stderr if len(values) > 2 else np.inf
    return float(line.slope), float(line.slope - half), float(line.slope + half)


def measure(factor: str, method: str, where: Where, rounds: int) -> pd.DataFrame:
    """A line per value: median milliseconds of a step, and the exponent of the factor."""
    chosen = points(factor, method)
    taken: dict[int, list[float]] = {point.value: [] for point in chosen}
    for turn in range(rounds + 1):
        for point in chosen:
            time = loops.suite(point.cell, point.modality, where).step_ms[0]
            if turn:  # the first round warms up
                taken[point.value].append(time)
    frame = pd.DataFrame(
        [{"factor": factor, "method": method, "dataset": DATASET, "device": where.device, "value": value, "rounds": rounds,
          "step_ms": float(np.median(times))} for value, times in taken.items()]
    )  # fmt: skip
    slope, low, high = exponent(frame["value"].tolist(), frame["step_ms"].tolist())
    return frame.assign(exponent=slope, exponent_low=low, exponent_high=high)


def lines(where: Where, rounds: int, facts: dict[str, Any], factors: Sequence[str]) -> pd.DataFrame:
    """All factors and their methods."""
    return pd.concat(
        [measure(factor, method, where, rounds) for factor in factors for method in FACTORS[factor][0]],
        ignore_index=True,
    ).assign(**facts)
