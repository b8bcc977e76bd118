"""Intervals: a hierarchical bootstrap over seeds and test units (patients, subjects …), paired wherever rows are compared.

A replicate draws test units with replacement, the same draw for every seed and every method, and adds a draw for the
seeds. Rows of one unit always move together, so windows of a patient do not count as independent evidence. Three to five
seeds have too few distinct resamples (three: ten means, a plain bootstrap covers 84 % instead of 95 %), so the level of
seeds is parametric: Student's t with S − 1 degrees of freedom times the standard error over seeds. Where seeds are all
that varies this is the classical t-interval, where units are all that varies the plain bootstrap over units.

Metrics that are functions of sums over rows (accuracy, F1, R² …) are re-weighed from the sums of each unit: 2,000
replicates cost milliseconds. Ranking metrics are re-weighed row by row: 300 replicates. A replicate may lack a class:
class-wise metrics then leave out what is undefined, exactly as the metric itself does (``benchmark.metrics``), and a
replicate in which nothing is defined is skipped.

Where a data set is scored by folds, a run's score is the mean over folds, each under draws of its own units: folds share no
test unit. Folds are few, too, so their level is parametric as that of seeds is: Student's t with K − 1 degrees of freedom
times a standard error. That error holds only what fold scores vary beyond what their units and seeds explain, since
those are drawn already: drawn as they are, folds would count the luck of their units twice. With one unit in a fold (a
speaker left out) nothing explains it, and the interval is the t-interval over folds; where folds only split the units, it
is the bootstrap over all units.

``benchmark.compare`` tests differences and ``benchmark.overall`` averages over boards with the same replicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from benchmark.metrics import Metric, auroc, nanmean, one_hot

RESAMPLES, RANK_RESAMPLES = 2_000, 300
LEVEL = 0.95
# (labels, predictions, units) of one seed; units are any labels of the split unit, rows in test order.
Run = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Interval:
    """Mean over seeds and its 95 % interval; NaN bounds where nothing could be resampled."""

    mean: float
    lo: float
    hi: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.mean, self.lo, self.hi))


@dataclass(frozen=True)
class Resampled:
    """A row under the bootstrap. values (S,): the metric of every seed; replicates (R, S): under every draw of units.

    seeds: which runs these are, for pairing; 0, 1, … unless told. folds: the same of each fold where there are several, of
    which values and replicates are the means; empty for one train/test split.
    """

    values: np.ndarray
    replicates: np.ndarray
    units: np.ndarray
    metric: Metric
    seeds: tuple[int, ...]
    folds: tuple[Resampled, ...] = ()

    def only(self, seeds: Sequence[int]) -> Resampled:
        """The same row with the seeds at these positions."""
        chosen = list(seeds)
        return replace(
            self, values=self.values[chosen], replicates=self.replicates[:, chosen],
            seeds=tuple(self.seeds[i] for i in chosen), folds=tuple(fold.only(chosen) for fold in self.folds),
        )  # fmt: skip

    def tested_as(self, other: Resampled) -> bool:
        """Whether both rows were tested on the same units in the same order, fold by fold."""
        same = len(self.folds) == len(other.folds) and np.array_equal(self.units, other.units)
        return same and all(a.tested_as(b) for a, b in zip(self.folds, other.folds, strict=True))

    def shared(self, other: Resampled) -> tuple[Resampled, Resampled]:
        """Both rows with only the seeds that both have (possibly none). Raises ValueError when test units differ."""
        if not self.tested_as(other):
            raise ValueError("paired rows need the same test units in the same order")
        both = [seed for seed in self.seeds if seed in other.seeds]
        return self.only([self.seeds.index(s) for s in both]), other.only([other.seeds.index(s) for s in both])

    def change(self, other: Resampled) -> Resampled:
        """This row minus ``other`` as a row: seed by seed, fold by fold, on the same draws of units.

        Raises ValueError when the rows differ in the number of seeds or in test units.
        """
        if len(self.values) != len(other.values):
            raise ValueError(f"paired rows need the same seeds: {len(self.values)} runs against {len(other.values)}")
        if not self.tested_as(other):
            raise ValueError("paired rows need the same test units in the same order")
        return replace(
            self, values=self.values - other.values, replicates=self.replicates - other.replicates,
            folds=tuple(a.change(b) for a, b in zip(self.folds, other.folds, strict=True)),
        )  # fmt: skip

    def interval(self, seed: int = 0) -> Interval:
        """Mean over seeds with its interval, cut off at the metric's bounds."""
        mean = float(self.values.mean())
        low, high = _percentiles(mean, self._draws(seed))
        return Interval(mean, max(low, self.metric.bounds[0]), min(high, self.metric.bounds[1]))

    def minus(self, other: Resampled, seed: int = 0) -> Interval:
        """Mean and interval of this row minus ``other``. Raises ValueError as ``change`` does."""
        change = self.change(other)
        mean = float(change.values.mean())
        return Interval(mean, *_percentiles(mean, change._draws(seed)))

    def by_fold(self) -> np.ndarray:
        """Scores (S, K) of every seed and fold."""
        return np.stack([fold.values for fold in self.folds or (self,)], 1)

    def _draws(self, seed: int) -> np.ndarray:
        """Mean over seeds under every draw of units, folds and seeds (R,)."""
        drawn = self.replicates.mean(1)
        if self.folds:
            rng = np.random.default_rng([seed, 4])
            drawn = drawn + rng.standard_t(len(self.folds) - 1, size=len(drawn)) * _fold_error(self)
        if len(self.values) > 1:
            draw = np.random.default_rng([seed, 1]).standard_t(len(self.values) - 1, size=len(drawn))
            drawn = drawn + draw * self.values.std(ddof=1) / np.sqrt(len(self.values))
        return np.asarray(drawn)


def resample(
    runs: Sequence[Run],
    metric: Metric,
    *,
    resamples: int | None = None,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    fold: int = 0,
) -> Resampled:
    """The runs of one row (one per seed) under the bootstrap. Raises ValueError unless all have the same units in order.

    fold: folds of different numbers draw their units independently of each other.
    """
    if not runs:
        raise ValueError("no runs to take an interval of")
    units = np.asarray(runs[0][2])
    if any(not np.array_equal(units, other) for _, _, other in runs[1:]):
        raise ValueError("the runs of a row were tested on different units; they do not belong on one board")
    _, codes = np.unique(units, return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    resamples = resamples or (RESAMPLES if metric.additive else RANK_RESAMPLES)
    draws = draw_units(count, resamples, seed, fold)
    values = np.array([metric(labels, predictions) for labels, predictions, _ in runs])
    replicates = np.stack([_weighted(run, metric, codes, draws) for run in runs], 1)
    return Resampled(values, replicates, units, metric, tuple(range(len(runs)) if seeds is None else seeds))


def resample_folds(
    folds: Sequence[Sequence[Run]],
    metric: Metric,
    *,
    resamples: int | None = None,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
) -> Resampled:
    """The runs of one row by fold, then by seed (the same seeds in every fold), under the bootstrap.

    One fold is an ordinary train/test split. Raises ValueError as ``resample`` does.
    """
    rows = [
        resample(runs, metric, resamples=resamples, seed=seed, seeds=seeds, fold=number)
        for number, runs in enumerate(folds)
    ]
    if len(rows) == 1:
        return rows[0]
    if len({row.seeds for row in rows}) != 1:
        raise ValueError("a row needs the same seeds in every fold")
    return Resampled(
        values=np.mean([row.values for row in rows], axis=0),
        replicates=np.mean([row.replicates for row in rows], axis=0),
        units=np.concatenate([row.units for row in rows]),
        metric=metric,
        seeds=rows[0].seeds,
        folds=tuple(rows),
    )


@lru_cache(maxsize=12)  # every row of a board sees the same draws; a board has one set for each fold
def draw_units(count: int, resamples: int, seed: int, fold: int = 0) -> np.ndarray:
    """How often each unit is drawn: (resamples, count), read-only."""
    draws = _drawn(count, resamples, seed, fold).astype(np.float64)
    draws.flags.writeable = False
    return draws


@lru_cache(maxsize=64)  # small numbers, kept for when another board of as many units comes: drawing takes longer
def _drawn(count: int, resamples: int, seed: int, fold: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 0, fold])
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.uint8)


def interval(runs: Sequence[Run], metric: Metric, *, resamples: int | None = None, seed: int = 0) -> Interval:
    """Mean and interval of the metric over seeds; every run must have the same units in the same order."""
    return resample(runs, metric, resamples=resamples, seed=seed).interval(seed)


def paired(
    a: Sequence[Run], b: Sequence[Run], metric: Metric, *, resamples: int | None = None, seed: int = 0
) -> Interval:
    """Mean and interval of metric(a) − metric(b), run i of ``a`` paired with run i of ``b`` (the same seed).

    Positive means that ``a`` has the larger value, which is better only if the metric says so. Both see the same draws
    of units and seeds, so what they share cancels; a row against itself gives exactly 0.
    """
    one, two = (resample(runs, metric, resamples=resamples, seed=seed) for runs in (a, b))
    return one.minus(two, seed)


def _weighted(run: Run, metric: Metric, codes: np.ndarray, draws: np.ndarray) -> np.ndarray:
    labels, predictions, _ = run
    if metric.additive is not None:
        return metric.additive.finish(draws @ metric.additive.sums(labels, predictions, codes, draws.shape[1]))
    if metric.name != "macro_auroc":
        raise ValueError(f"no bootstrap is known for the metric '{metric.name}'")
    positive, scores = one_hot(labels, predictions.shape[1]), predictions.astype(np.float32)
    step = max(1, 2_000_000 // max(len(labels), 1))  # draws at a time, to bound memory
    times = draws.astype(np.float32)  # exact for counts, and half the memory traffic
    parts = [auroc(positive, scores, times[i : i + step, codes]) for i in range(0, len(draws), step)]
    return nanmean(np.concatenate(parts))


def fold_variance(row: Resampled) -> float:
    """Variance of the mean over folds by the spread of fold scores, without what depends on fold and seed at once.

    That part is in the variance over seeds already (two-way random effects); one seed cannot tell it apart.
    """
    scores = row.by_fold()  # (S, K)
    seeds, folds = scores.shape
    found = float(scores.mean(0).var(ddof=1)) / folds
    if seeds > 1:
        rest = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
        found -= float(np.square(rest).sum()) / ((seeds - 1) * (folds - 1)) / (seeds * folds)
    return found


def _fold_error(row: Resampled) -> float:
    """Standard error of the mean that folds add to what the draws of units spread already."""
    centre = row.replicates.mean(1)
    centre = centre[np.isfinite(centre)]
    drawn = float(centre.var(ddof=1)) if len(centre) > 1 else 0.0
    return float(np.sqrt(max(0.0, fold_variance(row) - drawn)))


def joint(rows: Sequence[Resampled], seed: int = 0) -> np.ndarray:
    """Means of several rows under the same draws of units and seeds: (R, rows).

    Runs of one seed move together: a row's draw at the level of seeds is a combination of its runs' deviations with one
    normal weight per seed, shared by all rows, widened to Student's t as in ``Resampled.interval``. Folds likewise.
    """
    count = min(len(row.replicates) for row in rows)
    weights = {s: np.random.default_rng([seed, 2, s]).normal(size=count) for s in {s for r in rows for s in r.seeds}}
    columns = []
    for row in rows:
        n, centre = len(row.values), row.replicates[:count].mean(1)
        if row.folds:
            centre = centre + _fold_error(row) * _common_luck(row, count, seed)
        if n > 1:
            noise = sum(
                weights[s] * change for s, change in zip(row.seeds, row.values - row.values.mean(), strict=True)
            )
            chi2 = np.random.default_rng([seed, 3, n]).chisquare(n - 1, size=count)
            centre = centre + noise / np.sqrt(n * chi2)
        columns.append(centre)
    return np.stack(columns, 1)


def _common_luck(row: Resampled, count: int, seed: int) -> np.ndarray:
    """Student's t (count,) of unit scale that is alike for rows whose folds deviate alike; 0 where no fold deviates."""
    change = row.by_fold().mean(0)
    change = change - change.mean()
    length = float(np.sqrt(np.square(change).sum()))
    if length == 0:
        return np.zeros(count)
    folds = len(change)
    noise = sum(np.random.default_rng([seed, 5, k]).normal(size=count) * one for k, one in enumerate(change / length))
    chi2 = np.random.default_rng([seed, 6, folds]).chisquare(folds - 1, size=count)
    return np.asarray(noise / np.sqrt(chi2 / (folds - 1)))


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """The central 95 % of the finite draws; NaN where there is none."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _percentiles(mean: float, replicates: np.ndarray) -> tuple[float, float]:
    return percentiles(replicates) if np.isfinite(mean) else (float("nan"), float("nan"))
