"""Compare: which rows of a board differ, by paired tests with components of variance, Holm's correction, tie letters.

The difference of two rows varies because seeds and because test units vary. All parts are estimated on paired runs:

- seeds: variance s² of the differences run by run, on S − 1 degrees of freedom. Three seeds say little about a variance, so
  it is moderated by the pairs of the same board (Smyth 2004, empirical Bayes): to the degree that pairs agree in their
  variance they lend each other degrees of freedom, never more than a two-way analysis of variance would have. A variance
  is never moderated below its own estimate, so an unstable method does not borrow the calm of others.
- units: variance of the mean difference over the draws of units of ``benchmark.stats``. What depends on seed and unit at
  once (noise of single predictions) is in both estimates and is taken out once (two-way random effects, Owen 2007).
- folds, where a data set has several: what the mean difference of a fold varies beyond what its units and seeds explain, on
  K − 1 degrees of freedom, never below 0.

The test is Student's t on the difference over the root of the sum; a resampling p-value would end at one over the number
of resamples, which is too coarse after Holm. Its degrees of freedom are the harmonic mean of the parts', weighted by
their shares of the sum. Satterthwaite's formula squares the shares; it is too generous where the variance over a few seeds
came out small by chance (up to 31 % of simulated boards of eight equal rows, one of them unstable, then hold a false
difference). Fewer than two common seeds are no evidence about a method: no test. Rates of false wins and power:
``benchmark.simulate``, docs/protocol.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from string import ascii_letters

import numpy as np
from scipy import special
from scipy import stats as scipy_stats

from benchmark.stats import LEVEL, Resampled, fold_variance

ALPHA = 1 - LEVEL
MIN_SEEDS = 2
Pair = tuple[int, int]


@dataclass(frozen=True)
class Variance:
    """A variance and the degrees of freedom it was estimated on."""

    value: float
    df: float


@dataclass(frozen=True)
class Difference:
    """Row a minus row b over ``n`` common seeds: mean, uncorrected 95 % interval of the test, two-sided p."""

    mean: float
    lo: float
    hi: float
    p: float
    n: int


@dataclass(frozen=True)
class _Parts:
    mean: float
    seeds: Variance  # of single runs
    units: Variance  # of the mean
    folds: Variance  # of the mean, beyond units and seeds
    n: int


@dataclass(frozen=True)
class Comparison:
    """The ranked rows of one measure against each other. p (i, j) with i < j: uncorrected, absent where not testable.

    different: the pairs that differ at 5 % after Holm over all testable pairs; letters: two rows share one exactly if they
    do not differ; empty strings where no pair could be tested.
    """

    differences: Mapping[Pair, Difference]
    different: frozenset[Pair] = field(default_factory=frozenset)
    letters: tuple[str, ...] = ()

    def between(self, i: int, j: int) -> Difference | None:
        """Row i minus row j."""
        if (i, j) in self.differences:
            return self.differences[i, j]
        found = self.differences.get((j, i))
        return found and Difference(-found.mean, -found.hi, -found.lo, found.p, found.n)

    def against(self, best: int, rows: Sequence[int]) -> dict[int, float]:
        """Holm-corrected p of each of these rows against row ``best``; rows that could not be tested are missing."""
        found = {i: pair.p for i in rows if i != best and (pair := self.between(i, best)) is not None}
        return dict(zip(found, holm(list(found.values())), strict=True))


def compare(rows: Sequence[Resampled | None]) -> Comparison:
    """Compare ranked rows, best first (None: a row without predictions, which is different from nothing)."""
    parts: dict[Pair, _Parts] = {}
    for i, j in combinations(range(len(rows)), 2):
        one, two = rows[i], rows[j]
        try:
            found = None if one is None or two is None else _parts(one, two)
        except ValueError as error:
            warnings.warn(f"two rows of a board cannot be compared: {error}", stacklevel=2)
            continue
        if found is not None:
            parts[i, j] = found
    known = [one.seeds for one in parts.values()]
    shared = prior(known)
    differences = {pair: _test(one, shared) for pair, one in parts.items()}
    corrected = holm([one.p for one in differences.values()])
    different = frozenset(pair for pair, p in zip(differences, corrected, strict=True) if p < ALPHA)
    return Comparison(differences, different, letters(len(rows), different) if parts else ("",) * len(rows))


def difference(a: Resampled, b: Resampled) -> Difference | None:
    """One paired comparison by itself, a minus b; None with fewer than two common seeds."""
    found = _parts(a, b)
    return None if found is None else _test(found, Variance(0.0, 0.0))


def _parts(a: Resampled, b: Resampled) -> _Parts | None:
    a, b = a.shared(b)
    n = len(a.values)
    if n < MIN_SEEDS:
        return None
    change = a.change(b)
    splits = change.folds or (change,)
    kept = np.isfinite(change.replicates).all(1)
    counts = [len(np.unique(one.units)) for one in splits]
    if kept.sum() < 2 or sum(counts) < 2 or not np.isfinite(change.values).all():
        return None
    alone = mean = 0.0
    for one, count in zip(splits, counts, strict=True):
        draws = one.replicates[kept]  # (R, S)
        growth = count / max(count - 1, 1) / len(splits) ** 2  # the bootstrap's variance has the divisor n
        alone, mean = alone + draws.var(0, ddof=1).mean() * growth, mean + draws.mean(1).var(ddof=1) * growth
    crossed = (alone - mean) / (n - 1)  # seed × unit, already in the variance over seeds
    own = Variance(float(change.values.var(ddof=1)), n - 1)
    units = Variance(max(float(mean - crossed), 0.0), sum(counts) - len(splits))
    folds = Variance(0.0, 0)
    if change.folds:
        folds = Variance(max(fold_variance(change) - units.value, 0.0), len(splits) - 1)
    return _Parts(float(change.values.mean()), own, units, folds, n)


def _test(parts: _Parts, shared: Variance) -> Difference:
    seeds = moderated(parts.seeds, shared)
    shares = [
        (seeds.value / parts.n, seeds.df),
        (parts.units.value, parts.units.df),
        (parts.folds.value, parts.folds.df),
    ]
    total = sum(value for value, _ in shares)
    if total <= 0:  # equal in every run and every draw, or different by a constant
        same = parts.mean == 0
        return Difference(parts.mean, parts.mean, parts.mean, 1.0 if same else 0.0, parts.n)
    df = total / sum(value / df for value, df in shares if value)
    half = float(scipy_stats.t.ppf((1 + LEVEL) / 2, df) * np.sqrt(total))
    p = float(2 * scipy_stats.t.sf(abs(parts.mean) / np.sqrt(total), df))
    return Difference(parts.mean, parts.mean - half, parts.mean + half, p, parts.n)


def prior(variances: Sequence[Variance]) -> Variance:
    """What variances of one board have in common: location and degrees of freedom of the scaled inverse χ² that they
    come from, by the moments of their logarithms (Smyth 2004, equations 10-12). Fewer than three: nothing (0 df)."""
    used = [one for one in variances if one.value > 0 and one.df > 0]
    if len(used) < 3:
        return Variance(0.0, 0.0)
    half = np.array([one.df for one in used]) / 2
    logs = np.log([one.value for one in used]) - special.digamma(half) + np.log(half)
    spread = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if spread <= 0:
        return Variance(float(np.exp(logs.mean())), float("inf"))
    df = 2 * _trigamma_inverse(spread)
    return Variance(float(np.exp(logs.mean() + special.digamma(df / 2) - np.log(df / 2))), df)


def moderated(own: Variance, shared: Variance) -> Variance:
    """``own`` drawn towards ``shared`` by their degrees of freedom, at most doubling them, never to a smaller value."""
    extra = min(shared.df, own.df)
    value = (own.value * own.df + shared.value * extra) / (own.df + extra)
    return Variance(max(value, own.value), own.df + extra)


def _trigamma_inverse(value: float) -> float:
    """x > 0 with trigamma(x) = value: Newton on its reciprocal, which is convex and nearly linear (Smyth 2004)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        now = float(special.polygamma(1, x))
        step = now * (1 - now / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): reject where the result is below the level, and no more than that share of
    families has a false rejection, whatever the dependence."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(steps, 1.0)
    return [float(x) for x in out]


def letters(count: int, different: frozenset[Pair] | set[Pair]) -> tuple[str, ...]:
    """Compact letter display of rows 0 … count − 1 (best first): two rows share a letter exactly if they do not differ.

    Insert and absorb (Piepho 2004): a group that holds a pair that differs is split in two, one without either; groups
    inside another are dropped. The group of the best row is ``a``.
    """
    groups: list[frozenset[int]] = [frozenset(range(count))] if count else []
    for i, j in sorted(different):
        split = [part for group in groups for part in ((group - {i}, group - {j}) if {i, j} <= group else (group,))]
        unique = list(dict.fromkeys(split))
        groups = [group for group in unique if not any(group < other for other in unique)]
    groups.sort(key=sorted)
    names = [ascii_letters[k] if k < len(ascii_letters) else f"({k})" for k in range(len(groups))]
    return tuple("".join(name for name, group in zip(names, groups, strict=True) if i in group) for i in range(count))
