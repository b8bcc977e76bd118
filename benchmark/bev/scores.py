"""Scores of cells: overlap of what is said and what is there, by range, and what a bootstrap over scenes makes of
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmark import metrics, stats
from benchmark.metrics import Additive, Metric

BANDS = {"0–15 m": (0.0, 15.0), "15–30 m": (15.0, 30.0), "30+ m": (30.0, np.inf)}
CLOSE = 15.0  # metres, of IoU_close
RESAMPLES = 200


def _overlap(labels: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, guess = labels > 0, metrics.decide(labels, said) > 0
    return true & guess, true | guess


def _iou(labels: np.ndarray, said: np.ndarray) -> float:
    both, either = _overlap(labels, said)
    return float(both.sum() / either.sum()) if either.any() else float("nan")


def _sums(labels: np.ndarray, said: np.ndarray, codes: np.ndarray, units: int) -> np.ndarray:
    return np.stack([np.bincount(codes, rows, minlength=units) for rows in _overlap(labels, said)], 1)


def _ratio(sums: np.ndarray) -> np.ndarray:
    both, either = sums.T
    return np.asarray(np.divide(both, either, out=np.full(len(sums), np.nan), where=either > 0))


# Intersection over union of the occupied cells; its best label-blind guesser says "occupied" everywhere.
IOU = Metric("iou", _iou, "label", True, lambda y: float((y > 0).mean()), additive=Additive(_sums, _ratio))


@dataclass(frozen=True)
class Measure:
    """One number of one encoder: its value and what it is under every draw of scenes (r,)."""

    value: float
    replicates: np.ndarray


Measures = Mapping[str, Measure]


def codes_of(unit: np.ndarray) -> tuple[np.ndarray, int]:
    """(number of the unit of every scene (n,), how many units)."""
    names, codes = np.unique(unit, return_inverse=True)
    return codes, len(names)


def measured(metric: Metric, labels: np.ndarray, said: np.ndarray, codes: np.ndarray, units: int) -> Measure:
    """Labels (k,) and decided answers (k,) of cells or objects, the number of the unit (k,) of each; the metric is
    additive."""
    if metric.additive is None:
        raise ValueError(f"{metric.name} is no function of sums")
    sums = metric.additive.sums(labels, said, codes, units)
    draws = stats.draw_units(units, RESAMPLES, 0)
    return Measure(float(metric.additive.finish(sums.sum(0, keepdims=True))[0]), metric.additive.finish(draws @ sums))


def drawn(unit: np.ndarray) -> np.ndarray:
    """How often each scene is drawn: (r, n), as ``measured`` draws them."""
    codes, units = codes_of(unit)
    return np.asarray(stats.draw_units(units, RESAMPLES, 0)[:, codes])


def by_range(
    score: Callable[[np.ndarray], Measure], distance: np.ndarray, names: Mapping[str, tuple[float, float]] = BANDS
) -> dict[str, Measure]:
    """The score of the cells (m,) in each band of ranges; bands without any cell are left out."""
    inside = {name: (distance >= low) & (distance < high) for name, (low, high) in names.items()}
    return {name: score(cells) for name, cells in inside.items() if cells.any()}
