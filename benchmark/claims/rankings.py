"""Rankings: does something change the order of methods more than a new draw of seeds and test units would?

On one board the order of methods under one protocol is set against the order under another by Kendall's τ-b. Noise alone
lowers τ. So it is compared with τ of the first order with itself, run again: between two draws of the board's bootstrap
(seeds and test units, ``stats.joint``), mean over REDRAWS pairs. The two orders compared share encoders or test units, which
makes them more alike than two runs would be: the comparison is cautious.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from benchmark import stats
from benchmark.claims.contrast import Row
from benchmark.compare import compare

REDRAWS = 100
FEWEST = 4  # methods below which an order says little


@dataclass(frozen=True)
class Orders:
    """Two orders of the same methods. tau: between them; again: what noise alone leaves of it; apart: pairs of methods told
    apart in both (Holm); turned: those of them in opposite order; methods: how many."""

    tau: float
    again: float
    apart: int
    turned: int
    methods: int

    @property
    def effect(self) -> float:
        """How much more the order changes than by noise."""
        return self.again - self.tau


def orders(first: Mapping[str, Row], second: Mapping[str, Row]) -> Orders | None:
    """The methods that both have, by the one and by the other; None for fewer than FEWEST or where all tie."""
    names = sorted(set(first) & set(second))
    if len(names) < FEWEST:
        return None
    one, two = ([rows[name] for name in names] for rows in (first, second))
    tau = float(kendalltau(_means(one), _means(two)).statistic)
    draws = stats.joint([row.sampled for row in one])
    draws = draws[np.isfinite(draws).all(1)][: 2 * REDRAWS]
    again = [kendalltau(a, b).statistic for a, b in zip(draws[0::2], draws[1::2])]
    if not (np.isfinite(tau) and np.isfinite(again).any()):
        return None
    told = [_told(one), _told(two)]
    both = set(told[0]) & set(told[1])
    turned = sum(told[0][pair] != told[1][pair] for pair in both)
    return Orders(tau, float(np.nanmean(again)), len(both), turned, len(names))


def _means(rows: Sequence[Row]) -> list[float]:
    return [float(row.sampled.values.mean()) * (1 if row.metric.higher_is_better else -1) for row in rows]


def _told(rows: Sequence[Row]) -> dict[tuple[int, int], bool]:
    """By pair of rows that a board would tell apart, whether the first is better."""
    means = _means(rows)
    return {(i, j): means[i] > means[j] for i, j in compare([row.sampled for row in rows]).different}


# --- label-free numbers -----------------------------------------------------------------------------------------------


def turned(name: str, value: float | None) -> float:
    """A label-free number so that more is said to be better: ranks as they are, ``alpha_req`` by how near it is to 1,
    ``uniformity`` and ``alignment`` negated; NaN for none."""
    if value is None:
        return float("nan")
    if name == "alpha_req":
        return -abs(value - 1)
    return -value if name in ("uniformity", "alignment") else value


def dealt(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, draws: int, seed: int) -> np.ndarray:
    """(draws,): Kendall's τ-b of x with y dealt out anew: what an order that knows nothing scores. NaN where x or y ties
    throughout."""
    one, two = (np.sign(np.subtract.outer(values, values)) for values in (np.asarray(x, float), np.asarray(y, float)))
    size = np.sqrt(np.square(one).sum() * np.square(two).sum())
    orders = np.random.default_rng(seed).random((draws, len(one))).argsort(1)
    sums = (one * two[orders[:, :, None], orders[:, None, :]]).sum((1, 2))
    return np.asarray(sums / size if size else np.full(draws, np.nan))
