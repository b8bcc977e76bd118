"""Paired tests: closed forms, Holm by definition, letters by their defining property, variances lent and kept."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from benchmark import compare, stats
from benchmark.compare import Variance
from benchmark.metrics import get


def rows(rng: np.random.Generator, gaps: list[float], seeds: int = 5, units: int = 60, sd: float = 0.05):
    """Rows of a regression board whose r2 differs by noise level."""
    y = rng.normal(size=units * 3)
    who = np.repeat(np.arange(units), 3)
    out = []
    for gap in gaps:
        runs = [(y, y + rng.normal(0, 0.6 - gap + rng.normal(0, sd), len(y)), who) for _ in range(seeds)]
        out.append(stats.resample(runs, get("r2"), resamples=200))
    return out


def test_without_variance_of_units_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 0.05, 6), rng.normal(0.5, 0.05, 6)
    units = np.arange(50)

    def row(values: np.ndarray) -> stats.Resampled:
        return stats.Resampled(values, np.tile(values, (100, 1)), units, get("accuracy"), tuple(range(6)))

    found = compare.difference(row(a), row(b))
    wanted = scipy.stats.ttest_rel(a, b)
    assert found is not None
    assert found.p == pytest.approx(wanted.pvalue)
    low, high = wanted.confidence_interval(0.95)
    assert (found.lo, found.hi) == pytest.approx((low, high))


def test_without_variance_of_seeds_it_is_the_t_test_over_units() -> None:
    """Deterministic rows, one value per unit: what remains is the paired t-test on units."""
    rng = np.random.default_rng(1)
    right = rng.random((2, 80)) < [[0.8], [0.6]]
    labels = np.ones(80, int)
    one, two = (stats.resample([(labels, r.astype(int), np.arange(80))] * 3, get("accuracy")) for r in right)
    found = compare.difference(one, two)
    assert found is not None
    assert found.p == pytest.approx(scipy.stats.ttest_rel(*right.astype(float)).pvalue, rel=0.25)


def test_an_interval_excludes_zero_exactly_when_p_is_small() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rows(rng, [0.05, 0.0], seeds=4)
        found = compare.difference(a, b)
        assert found is not None
        assert (found.p < 0.05) == (found.lo > 0 or found.hi < 0)


def test_a_row_against_itself_is_no_difference() -> None:
    (row,) = rows(np.random.default_rng(0), [0.0])
    found = compare.difference(row, row)
    assert found is not None and (found.mean, found.p) == (0.0, 1.0)


def test_one_common_seed_is_no_evidence() -> None:
    a, b = rows(np.random.default_rng(0), [0.4, 0.0], seeds=3)
    assert compare.difference(a.only([0, 1]), b.only([1, 2])) is None
    made = compare.compare([a.only([0]), b.only([0])])
    assert made.letters == ("", "") and not made.differences and made.against(0, [1]) == {}


def test_only_common_seeds_are_paired() -> None:
    a, b = rows(np.random.default_rng(0), [0.1, 0.0], seeds=5)
    found, wanted = compare.difference(a, b.only([4, 1, 3])), compare.difference(a.only([1, 3, 4]), b.only([1, 3, 4]))
    assert found is not None and wanted is not None
    assert (found.n, found.mean) == (3, pytest.approx(wanted.mean)) and found.p == pytest.approx(wanted.p)


def test_rows_without_predictions_differ_from_nothing() -> None:
    a, b = rows(np.random.default_rng(0), [0.45, 0.0])
    made = compare.compare([a, None, b])
    assert made.different == {(0, 2)}
    assert made.between(0, 1) is None
    assert set(made.letters[1]) >= set(made.letters[0]) | set(made.letters[2])


def test_other_units_are_not_compared() -> None:
    a, b = rows(np.random.default_rng(0), [0.1, 0.0])
    other = stats.Resampled(b.values, b.replicates, b.units[::-1], b.metric, b.seeds)
    with pytest.warns(UserWarning, match="same test units"):
        assert compare.compare([a, other]).letters == ("", "")


def test_holm_by_its_definition() -> None:
    """Reject in order of p as long as p ≤ level / (number not yet rejected)."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(rng.integers(1, 9)) ** 3
        adjusted = np.array(compare.holm(list(p)))
        for level in (0.01, 0.05, 0.2):
            rejected, left = set(), len(p)
            for i in np.argsort(p):
                if p[i] > level / left:
                    break
                rejected.add(int(i))
                left -= 1
            assert {i for i in range(len(p)) if adjusted[i] <= level} == rejected
    assert compare.holm([]) == []
    assert compare.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_two_rows_share_a_letter_exactly_if_they_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        different = {pair for pair in combinations(range(count), 2) if rng.random() < rng.random()}
        letters = compare.letters(count, different)
        assert all(letters) and letters[0].startswith("a")
        for i, j in combinations(range(count), 2):
            assert bool(set(letters[i]) & set(letters[j])) == ((i, j) not in different)
    assert compare.letters(3, {(0, 2)}) == ("a", "ab", "b")
    assert compare.letters(0, set()) == ()


def test_prior_of_equal_variances_is_found() -> None:
    rng = np.random.default_rng(0)
    truth = 0.04
    drawn = [Variance(float(truth * rng.chisquare(4) / 4), 4.0) for _ in range(2000)]
    found = compare.prior(drawn)
    assert found.value == pytest.approx(truth, rel=0.1) and found.df > 20
    # scaled inverse χ² with 6 degrees of freedom
    mixed = [Variance(float(truth * 6 / rng.chisquare(6) * rng.chisquare(4) / 4), 4.0) for _ in range(4000)]
    found = compare.prior(mixed)
    assert found.value == pytest.approx(truth, rel=0.1) and found.df == pytest.approx(6, rel=0.25)
    assert compare.prior(drawn[:2]).df == 0


def test_moderation_lends_at_most_as_much_and_never_shrinks() -> None:
    own, shared = Variance(1.0, 2.0), Variance(0.1, float("inf"))
    assert compare.moderated(own, shared) == Variance(1.0, 4.0)
    assert compare.moderated(Variance(0.1, 2.0), Variance(1.0, 2.0)) == Variance(pytest.approx(0.55), 4.0)
    assert compare.moderated(own, Variance(0.0, 0.0)) == own
    assert compare.moderated(own, Variance(5.0, 1.0)).df == 3


def test_holm_runs_over_the_rows_of_the_board() -> None:
    made = compare.compare(rows(np.random.default_rng(3), [0.3, 0.1, 0.0, 0.0]))
    found = made.against(2, range(4))
    pairs = [made.between(i, 2) for i in (0, 1, 3)]
    assert list(found) == [0, 1, 3]
    assert list(found.values()) == compare.holm([pair.p for pair in pairs if pair is not None])
    back = made.between(2, 0)
    assert back is not None and pairs[0] is not None and (back.mean, back.lo) == (-pairs[0].mean, -pairs[0].hi)
