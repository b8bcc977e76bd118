"""Normalised score: where a row stands between the untrained encoder (0) and the one trained on the labels (1).

Both ends are measured on the same board with the same budget, so they cannot go stale as constants of a paper do. Where
labels did not help the scale does not exist: the supervised row has to be better than the untrained one, and in 97.5 % of
the replicates too, since a ratio to a width that may be zero has no bounds (Fieller 1954) and would rule every average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics import Metric
from benchmark.stats import LEVEL, Interval, Resampled, joint, percentiles


def normalised(means: Sequence[float | None], rows: Sequence[Resampled | None], metric: Metric) -> Interval | None:
    """(mean − floor) / (ceiling − floor) with its interval; both sequences: row, floor, ceiling.

    None where a mean is missing or there is no scale. NaN bounds where predictions are missing.
    """
    row, floor, ceiling = means
    if row is None or floor is None or ceiling is None or not metric.better(ceiling, floor):
        return None
    if _unsure(rows[1], rows[2], metric):
        return None
    value = (row - floor) / (ceiling - floor)
    if value in (0.0, 1.0) and (rows[0] is rows[1] or rows[0] is rows[2]):  # an end of the scale itself
        return Interval(value, value, value)
    return Interval(value, *percentiles(draws(rows, metric)))


def _unsure(floor: Resampled | None, ceiling: Resampled | None, metric: Metric) -> bool:
    known = floor is not None and ceiling is not None
    return known and not len(draws((floor, floor, ceiling), metric))


def draws(rows: Sequence[Resampled | None], metric: Metric, seed: int = 0) -> np.ndarray:
    """The normalised score of the first row under joint draws (R,); empty where there is none, see ``normalised``."""
    known = [row for row in rows if row is not None]
    if len(known) < len(rows) or any(not row.tested_as(known[0]) for row in known):
        return np.empty(0)
    row, floor, ceiling = joint(known, seed).T
    return ratio(row, floor, ceiling, metric)


def ratio(row: np.ndarray, floor: np.ndarray, ceiling: np.ndarray, metric: Metric) -> np.ndarray:
    """Replicates (R,) of row, floor, ceiling → of the normalised score, or empty where the scale is too uncertain."""
    width = (ceiling - floor) * (1 if metric.higher_is_better else -1)
    if np.mean(~(width > 0)) > (1 - LEVEL) / 2:
        return np.empty(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((row - floor) / (ceiling - floor))
