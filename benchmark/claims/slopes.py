"""Slopes: how fast a row's score falls as something in its data grows stronger, and whether one row's falls faster.

A row is run on data sets that differ in one strength alone. Seed by seed its score, as a share of the way from chance to a
perfect score, is fitted by a straight line over the strengths; the slope is told over their whole range, so that −0.2 means:
a fifth of the way is lost between the weakest and the strongest. Two rows are compared by their slopes, paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.claims.contrast import Row
from benchmark.claims.judge import Estimate, estimate


def shares(row: Row) -> dict[int, float]:
    """By seed the score as a share of the way from chance to a perfect score."""
    return {seed: float((value - row.chance) / row.way) for seed, value in zip(row.sampled.seeds, row.sampled.values)}


def slopes(rows: Mapping[float, Row | None]) -> dict[int, float]:
    """By seed that every strength has, the change over the whole range of strengths; none where a strength has no row."""
    known = {strength: shares(row) for strength, row in sorted(rows.items()) if row is not None}
    if len(known) < len(rows) or len(known) < 2:
        return {}
    x = np.array(list(known))
    seeds = sorted(set.intersection(*(set(one) for one in known.values())))
    return {seed: float(np.polyfit(x, [one[seed] for one in known.values()], 1)[0] * np.ptp(x)) for seed in seeds}


def steeper(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """The first's slopes minus the second's over their common seeds; None for fewer than two. Positive: the first falls
    less."""
    both = sorted(set(first) & set(second))
    return estimate([first[seed] - second[seed] for seed in both]) if len(both) > 1 else None


def mean(values: Sequence[float]) -> float | None:
    """None for nothing."""
    return float(np.mean(values)) if len(values) else None
