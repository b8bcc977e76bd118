"""Intervals over folds: closed forms, the bootstrap over units, pairs, and how often rows of equal skill are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats

from benchmark import compare, stats
from benchmark.metrics import get
from benchmark.normalised import normalised


def row(scores: Sequence[Sequence[float]], rows: int = 20) -> stats.Resampled:
    """A row of accuracies by seed and fold, one unit in every fold."""
    labels, unit = np.ones(rows, int), np.zeros(rows, int)
    runs = [
        [(labels, (np.arange(rows) < round(value * rows)).astype(int), unit) for value in fold]
        for fold in np.transpose(scores)
    ]
    return stats.resample_folds(runs, get("accuracy"))


def test_with_one_unit_in_a_fold_it_is_the_t_interval_over_folds() -> None:
    scores = np.array([0.6, 0.5, 0.7, 0.55, 0.65])
    found = row([scores, scores]).interval()
    low, high = scipy.stats.t.interval(0.95, 4, scores.mean(), scores.std(ddof=1) / np.sqrt(5))
    assert found.mean == pytest.approx(0.6)
    assert (found.lo, found.hi) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_with_one_unit_in_a_fold_it_is_the_paired_t_test_over_folds() -> None:
    a, b = np.array([0.6, 0.5, 0.7, 0.55, 0.65]), np.array([0.55, 0.5, 0.5, 0.45, 0.6])
    found = compare.difference(row([a, a, a]), row([b, b, b]))
    wanted = scipy.stats.ttest_rel(a, b)
    assert found is not None and found.p == pytest.approx(wanted.pvalue)
    assert (found.lo, found.hi) == pytest.approx(tuple(wanted.confidence_interval(0.95)))


def test_what_depends_on_seed_and_fold_at_once_counts_once() -> None:
    """Two-way random effects without interaction left: seed and fold effects that add up exactly."""
    fold, seed = np.array([0.4, 0.5, 0.6, 0.7]), np.array([-0.1, 0.0, 0.1])
    assert stats.fold_variance(row(fold + seed[:, None])) == pytest.approx(fold.var(ddof=1) / 4)
    # Only interaction: its mean square over all runs, by hand 4 · .1² · 4 / (1 · 3), and fold means are equal.
    crossed = np.array([[0.6, 0.4, 0.6, 0.4], [0.4, 0.6, 0.4, 0.6]])
    assert stats.fold_variance(row(crossed)) == pytest.approx(-(8 * 0.1**2 / 3) / 8)
    assert stats.fold_variance(row(crossed[:1])) == pytest.approx(crossed[0].var(ddof=1) / 4)


def test_where_folds_only_split_the_units_it_is_the_bootstrap_over_units() -> None:
    """Equal fold scores: nothing is left for the level of folds. Oracle: units really drawn within each fold."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(12), 10)
    right = (rng.random((3, 120)) < np.array([0.9, 0.6, 0.3] * 4)[unit]).astype(int)
    for one in right:  # the same share in every fold
        wrong = np.flatnonzero(one == 0)
        one[wrong[: 90 - one.sum()]] = 1
    assert (right.sum(1) == 90).all()
    slow = [
        np.mean([shares[rng.integers(0, 12, 12)].mean() for shares in right.reshape(3, 12, 10).mean(2)])
        for _ in range(3000)
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    found = stats.resample_folds([[(np.ones(120, int), one, unit)] for one in right], get("accuracy")).interval()
    assert found.mean == pytest.approx(0.75)
    assert (found.lo, found.hi) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_folds_draw_their_units_independently() -> None:
    rng = np.random.default_rng(1)
    one = (np.ones(30, int), rng.integers(0, 2, 30), np.arange(30))
    made = stats.resample_folds([[one], [one], [one]], get("accuracy"))
    a, b, c = (fold.replicates[:, 0] for fold in made.folds)
    assert max(abs(np.corrcoef(x, y)[0, 1]) for x, y in ((a, b), (b, c), (a, c))) < 0.1
    alone = stats.resample([one], get("accuracy"))
    assert np.array_equal(a, alone.replicates[:, 0]), "the first fold is drawn as a single split is"


def test_pairs_share_the_draws_of_folds() -> None:
    """Rows that differ by a constant in every fold differ by it in every draw, whatever the folds vary."""
    scores = np.array([[0.3, 0.5, 0.7, 0.5], [0.35, 0.45, 0.7, 0.5]])
    better, worse = row(scores + 0.1), row(scores)
    assert tuple(better.minus(worse)) == pytest.approx((0.1, 0.1, 0.1))
    drawn = stats.joint([better, worse])
    assert np.ptp(drawn[:, 0] - drawn[:, 1]) == pytest.approx(0, abs=1e-9) and np.ptp(drawn[:, 0]) > 0.1
    spread = np.quantile(drawn[:, 1], [0.025, 0.975]) - 0.5
    assert spread == pytest.approx(np.array(tuple(worse.interval())[1:]) - 0.5, abs=0.15 * np.ptp(spread))
    made = normalised([0.5, 0.5, 0.9], [row(scores), row(scores), row(scores + 0.2)], get("accuracy"))
    assert made is not None and (made.lo, made.hi) == pytest.approx((0, 0), abs=1e-9)


def test_rows_of_other_folds_are_not_paired() -> None:
    four, five = row([[0.5, 0.6, 0.5, 0.4]] * 2), row([[0.5, 0.6, 0.5, 0.4, 0.5]] * 2)
    with pytest.raises(ValueError, match="same test units"):
        four.minus(five)
    runs = [[(np.ones(4, int), np.ones(4, int), np.arange(4))] * n for n in (2, 1)]
    with pytest.raises(ValueError, match="same seeds in every fold"):
        stats.resample_folds(runs, get("accuracy"))


def planted(
    rng: np.random.Generator, common: np.ndarray, draws: Sequence[np.ndarray], seeds: int, fold: float, luck: float
) -> stats.Resampled:
    """A simulated row: unit values (K, U) shared by all rows, a fold effect of its own, luck of every training."""
    parts = []
    own = rng.normal(0, fold, len(common))
    for k, units in enumerate(common):
        share = units + own[k] + rng.normal(0, luck, (seeds, 1)) + rng.normal(0, 0.1, (seeds, len(units)))
        parts.append(
            stats.Resampled(
                share.mean(1), draws[k] @ share.T / len(units), np.arange(len(units)), get("accuracy"), tuple(range(seeds))
            )
        )  # fmt: skip
    mean = [np.mean([getattr(part, name) for part in parts], 0) for name in ("values", "replicates")]
    units = np.concatenate([part.units for part in parts])
    return stats.Resampled(*mean, units, get("accuracy"), parts[0].seeds, tuple(parts))


@pytest.mark.parametrize(("units", "fold"), [(6, 0.0), (6, 0.05), (1, 0.05)])
def test_rows_of_equal_skill_are_rarely_told_apart(units: int, fold: float) -> None:
    """A/A on five folds: false differences at most 5 % and intervals that cover at 95 %, within binomial error."""
    count, false, covered = 120, 0, 0
    draws = [stats.draw_units(units, 200, 0, k) for k in range(5)]
    for i in range(count):
        rng = np.random.default_rng([units, i])
        common = 0.5 + rng.normal(0, 0.1, (5, units)) + rng.normal(0, 0.05, (5, 1))
        a, b = (planted(rng, common, draws, 3, fold, 0.02) for _ in range(2))
        found = compare.difference(a, b)
        assert found is not None
        false += found.p < 0.05
        inside = a.interval(i)
        covered += inside.lo <= 0.5 <= inside.hi
    assert false <= scipy.stats.binom.ppf(0.995, count, 0.05)
    assert covered >= scipy.stats.binom.ppf(0.005, count, 0.95)


def test_a_better_row_is_found() -> None:
    draws = [stats.draw_units(20, 200, 0, k) for k in range(5)]
    rng = np.random.default_rng(0)
    common = 0.5 + rng.normal(0, 0.1, (5, 20))
    a, b = planted(rng, common + 0.1, draws, 5, 0.01, 0.01), planted(rng, common, draws, 5, 0.01, 0.01)
    found = compare.difference(a, b)
    assert found is not None and found.p < 0.01 and found.lo > 0
