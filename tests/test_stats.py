"""Intervals: coverage on simulated boards, exact zeros, agreement with a slow bootstrap, handling of lost classes."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.stats

from benchmark import stats
from benchmark.metrics import get


def board(rng: np.random.Generator, seeds: int, units: int, unit_sd: float, seed_sd: float, gain: float = 0.0):
    """Runs of one method whose expected accuracy over units and seeds is known in closed form."""
    rows, centre = 20, 0.9 + gain
    skill = np.repeat(rng.normal(0, unit_sd, units), rows)
    shared = rng.normal(size=units * rows)
    names = np.repeat([f"patient {u}" for u in range(units)], rows)
    runs = []
    for _ in range(seeds):
        logit = centre + skill + rng.normal(0, seed_sd) + 0.8 * shared + 0.6 * rng.normal(size=len(skill))
        runs.append((np.ones(len(skill), int), (logit > 0).astype(int), names))
    return runs, scipy.stats.norm.cdf(centre / np.sqrt(1 + unit_sd**2 + seed_sd**2))


@pytest.mark.parametrize(
    ("seeds", "unit_sd", "seed_sd"), [(1, 0.4, 0.0), (3, 0.5, 0.02), (3, 0.2, 0.15), (5, 0.3, 0.1)]
)
def test_intervals_cover_the_truth_nominally(seeds: int, unit_sd: float, seed_sd: float):
    rng, hits, boards = np.random.default_rng(1), 0, 300
    for i in range(boards):
        runs, truth = board(rng, seeds, 30, unit_sd, seed_sd)
        found = stats.interval(runs, get("accuracy"), resamples=300, seed=i)
        hits += found.lo <= truth <= found.hi
    assert 0.88 <= hits / boards <= 0.995


def test_a_method_against_its_twin_rarely_wins():
    """A/A: two methods of equal skill, own seeds, on the same units; nominal rate of false wins 5 %."""
    rng, wins, boards = np.random.default_rng(2), 0, 200
    for i in range(boards):
        runs, _ = board(rng, 6, 20, 0.3, 0.1)
        found = stats.paired(runs[:3], runs[3:], get("accuracy"), resamples=300, seed=i)
        wins += found.lo > 0 or found.hi < 0
    assert wins / boards <= 0.05


def test_a_row_minus_itself_is_exactly_zero():
    runs, _ = board(np.random.default_rng(0), 3, 10, 0.3, 0.1)
    assert tuple(stats.paired(runs, runs, get("macro_f1"))) == (0, 0, 0)


def test_pairing_finds_a_difference_that_separate_intervals_hide():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(30), 40)
    hard = rng.random(30)[units] * 0.6  # units differ far more than methods do
    draw = rng.random((3, len(units)))
    worse = [(np.ones(len(units), int), (d > hard).astype(int), units) for d in draw]
    better = [(np.ones(len(units), int), (d > hard - 0.03).astype(int), units) for d in draw]
    a, b = (stats.interval(runs, get("accuracy")) for runs in (better, worse))
    assert a.lo < b.hi
    gain = stats.paired(better, worse, get("accuracy"))
    assert gain.lo > 0
    assert gain.mean == pytest.approx(a.mean - b.mean)


@pytest.mark.parametrize("name", ["macro_f1", "macro_auroc", "r2", "rmse"])
def test_interval_of_one_seed_equals_a_slow_bootstrap(name: str):
    """Rows really repeated, the metric really called: quantiles agree within Monte Carlo error."""
    rng, metric = np.random.default_rng(0), get(name)
    units = np.repeat(np.arange(25), 8)
    if name in ("r2", "rmse"):
        labels = rng.normal(size=200) + rng.normal(size=25)[units]
        scores = labels + rng.normal(0, 1, size=200)
    else:
        labels = rng.integers(0, 3, 200)
        scores = rng.normal(size=(200, 3)) + 1.5 * np.eye(3)[labels] + rng.normal(size=(25, 3))[units]
    slow = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(units == u) for u in rng.integers(0, 25, 25)])
        slow.append(metric(labels[rows], scores[rows]))
    low, high = np.quantile(slow, [0.025, 0.975])
    found = stats.interval([(labels, scores, units)], metric, resamples=1000)
    assert found.mean == pytest.approx(metric(labels, scores))
    assert found.lo == pytest.approx(low, abs=0.15 * (high - low))
    assert found.hi == pytest.approx(high, abs=0.15 * (high - low))


def test_rows_of_one_unit_are_not_independent_evidence():
    runs, _ = board(np.random.default_rng(0), 1, 20, 0.6, 0.0)
    alone = [(y, p, np.arange(len(y))) for y, p, _ in runs]
    by_unit, by_row = (stats.interval(r, get("accuracy")) for r in (runs, alone))
    assert by_unit.hi - by_unit.lo > 1.5 * (by_row.hi - by_row.lo)


def test_deterministic_bounded_and_fast():
    runs, _ = board(np.random.default_rng(0), 3, 500, 0.3, 0.1)
    start = time.perf_counter()
    one = stats.interval(runs, get("macro_f1"))
    assert time.perf_counter() - start < 2
    assert one == stats.interval(runs, get("macro_f1"))
    perfect = [(np.arange(3), np.eye(3), np.arange(3))] * 2
    assert tuple(stats.interval(perfect, get("macro_auroc"))) == (1, 1, 1)


def test_a_class_that_some_resamples_lose():
    labels = np.r_[np.zeros(20, int), np.ones(20, int), 2]
    runs = [(labels, np.eye(3)[labels], np.arange(41))]
    for name in ("macro_f1", "balanced_accuracy", "macro_auroc"):
        assert tuple(stats.interval(runs, get(name))) == (1, 1, 1)


def test_runs_that_do_not_belong_together():
    runs, _ = board(np.random.default_rng(0), 2, 5, 0.3, 0.1)
    other = [(y, p, u[::-1]) for y, p, u in runs]
    with pytest.raises(ValueError, match="different units"):
        stats.interval([runs[0], other[1]], get("accuracy"))
    with pytest.raises(ValueError, match="same test units"):
        stats.paired(runs, other, get("accuracy"))
    with pytest.raises(ValueError, match="same seeds"):
        stats.paired(runs, runs[:1], get("accuracy"))
    with pytest.raises(ValueError, match="no runs"):
        stats.interval([], get("accuracy"))
