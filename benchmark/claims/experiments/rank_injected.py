"""The sharp test of ``rank-predicts-probe``: raise the rank by dimensions that tell nothing, and look at the probe.

Over methods and checkpoints rank and score may go together for reasons of their own. Here nothing but the rank is moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import Rule, estimate
from benchmark.claims.rankings import turned
from benchmark.claims.toys.injected import INJECTED, METRICS, ROWS, SEEDS, SORTS, STEPS, measure

RULE = Rule(worth=0.3)
MAIN = "rankme"


@claims.register(
    "rank-injected",
    paper="Garrido et al. 2023, arXiv 2210.02885 (RankMe); Thilak et al. 2023, arXiv 2312.04000 (LiDAR)",
    says="Of two sets of features the one of the higher effective rank is the one that a probe reads better.",
    fixed="encoders, rows, labels, probe; the number of added dimensions that tell nothing moves",
    budget=f"{STEPS} steps for each of {len(ROWS)} rows and {SEEDS} seeds, then probes: three minutes of one core",
)
def rank_injected() -> Study:
    """RankMe; other label-free numbers beside it, under noise that views share and that they do not."""
    return Study(
        outcome="Kendall's τ between RankMe and the score of one encoder's features with 0 to "
        f"{INJECTED[-1]} dimensions of noise beside them, mean over methods (of their means over seeds)",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        measure=measure,
    )


def judge(evidence: Evidence) -> Finding:
    """One τ per encoder and metric; the interval is over methods. One line per metric and sort of noise."""
    lines: list[dict[str, Any]] = evidence.numbers["lines"]
    table: list[dict[str, Any]] = []
    for metric in METRICS:
        for sort in SORTS:
            own = [one for one in lines if one["sort"] == sort]
            taus = list(by_method(own, metric).values())
            first, last = (np.mean([one[metric] for one in own if one["k"] == k]) for k in (INJECTED[0], INJECTED[-1]))
            found = {"metric": metric, "noise": sort, "τ": float(np.mean(taus)) if taus else None}
            table.append(found | {"without": float(first), f"with {INJECTED[-1]}": float(last)})
    effect = estimate(list(by_method([one for one in lines if one["sort"] == SORTS[0]], MAIN).values()))
    ends = [np.mean([one["score"] for one in lines if one["k"] == k]) for k in (INJECTED[0], INJECTED[-1])]
    row = next(row for row in table if row["metric"] == MAIN)
    says = (
        f"{INJECTED[-1]} dimensions of noise take {MAIN} from {row['without']:.1f} to {row[f'with {INJECTED[-1]}']:.1f} and "
        f"accuracy from {ends[0]:.3f} to {ends[1]:.3f}"
    )
    return Finding(RULE(effect), effect, says, len({one["seed"] for one in lines}), tuple(table))


def by_method(lines: list[dict[str, Any]], metric: str) -> dict[str, float]:
    """Kendall's τ-b of metric (turned so that more is said to be better) and score over the added dimensions, per encoder,
    then the mean over seeds; encoders whose metric is undefined or ties throughout say nothing."""
    encoders: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for one in lines:
        if one[metric] is not None:
            encoders.setdefault((one["method"], one["seed"]), []).append((turned(metric, one[metric]), one["score"]))
    found: dict[str, list[float]] = {}
    for (method, _), pairs in encoders.items():
        x, y = np.array(pairs).T
        tau = float(kendalltau(x, y).statistic)
        if np.isfinite(tau):
            found.setdefault(method, []).append(tau)
    return {method: float(np.mean(taus)) for method, taus in sorted(found.items())}
