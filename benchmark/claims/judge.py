"""Judge: from paired effects to an estimate, from an estimate to a verdict, and what could have been found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy import stats as scipy_stats

from benchmark.compare import ALPHA
from benchmark.stats import LEVEL

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive at our scale"
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """Mean of paired effects with its 95 % interval (infinite for one effect). df: degrees of freedom behind the interval;
    replicates: how many effects, of what varies between them (data sets, seeds …)."""

    mean: float
    lo: float
    hi: float
    df: float
    replicates: int

    @property
    def error(self) -> float:
        """Standard error."""
        return float((self.hi - self.lo) / 2 / scipy_stats.t.ppf((1 + LEVEL) / 2, self.df)) if self.df > 0 else np.inf

    @property
    def detectable(self) -> float:
        """The smallest true effect that a two-sided test at 5 % with this error would find with 80 % power."""
        if not (np.isfinite(self.error) and self.error > 0):
            return self.error
        critical = float(scipy_stats.t.ppf(1 - ALPHA / 2, self.df))

        def lacking(shift: float) -> float:
            return float(scipy_stats.nct.sf(critical, self.df, shift)) - POWER

        return float(optimize.brentq(lacking, 0.0, 4 * critical + 4)) * self.error


def estimate(effects: Sequence[float]) -> Estimate:
    """Student's t interval of the mean of independent effects. Raises ValueError for none."""
    values = np.asarray(effects, float)
    if not len(values):
        raise ValueError("no effects to take a mean of")
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, -np.inf, np.inf, 0, 1)
    if np.ptp(values) == 0:  # the interval of a constant is that constant; scipy gives NaN
        return Estimate(mean, mean, mean, len(values) - 1, len(values))
    found = scipy_stats.ttest_1samp(values, 0.0)
    low, high = found.confidence_interval(LEVEL)
    return Estimate(mean, float(low), float(high), float(found.df), len(values))


@dataclass(frozen=True)
class Rule:
    """When an effect counts, written before the run. ``worth``: the smallest effect that the sentence is worth something
    with; ``above``: what the interval has to exceed (0: better at all; −worth for "as good as").

    Not reproduced: the interval lies below ``worth``, whatever else. Else reproduced: it lies above ``above``. Inconclusive:
    neither.
    """

    worth: float
    above: float = 0.0

    def __call__(self, found: Estimate) -> str:
        """One of REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE."""
        if found.hi < self.worth:
            return NOT_REPRODUCED
        return REPRODUCED if found.lo > self.above else INCONCLUSIVE

    @classmethod
    def read(cls, words: str) -> Rule | None:
        """The rule that ``words`` begin with, as ``str`` writes it; None where a claim has a rule of another kind."""
        found = re.match(r"not reproduced if .* lies below (\S+), else reproduced if it lies above (\S+), else", words)
        return cls(float(found[1]), float(found[2])) if found else None

    def __str__(self) -> str:
        return (
            f"not reproduced if the 95 % interval of the outcome lies below {self.worth:g}, else reproduced if it "
            f"lies above {self.above:g}, else inconclusive"
        )


def no_worse(margin: float) -> Rule:
    """The rule of "as good as": the interval lies above −margin; not reproduced where it lies below that."""
    return Rule(worth=-margin, above=-margin)
