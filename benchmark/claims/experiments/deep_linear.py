"""How JEPA avoids noisy features (Littwin et al. 2024): exact dynamics of deep linear encoders, JEPA against MAE.

The nonlinear stage, nuisances of rising strength on simulated data, is not part of it.
"""

from __future__ import annotations

import numpy as np

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import NOT_REPRODUCED, REPRODUCED, Estimate
from benchmark.claims.toys.deep_linear import DEPTHS, KINDS, PAIRS, STARTS, measure

START = STARTS[1]  # far below half of the smallest fixed point, else half-times are not defined by the theory
FIXED, TIMES, BALANCE, LEFT = 1e-3, 0.01, 1e-6, 1e-2
RULE = (
    f"reproduced if, at every depth, gains end within {FIXED:g} of ρ^L (JEPA) and ρ^(L/(L+1)) (MAE), half-times of the full "
    f"matrices lie within {TIMES:.0%} of the quadrature, weights stay balanced and less than {LEFT:.0%} of the encoder is "
    f"left without stop-gradient; and if, of two features of equal λ started at {START:g}, the JEPA learns the noisy one "
    "later, the more so the deeper, and the MAE never does by more than 1 %; else not reproduced"
)


@claims.register(
    "deep-linear",
    paper="Littwin et al. 2024, arXiv 2407.03475",
    says="A deep JEPA learns predictable features first and suppresses noisy ones; an MAE goes by size and keeps them.",
    fixed="features, covariances, start, gradient flow of the population; the objective and the depth move",
    budget="seconds on one core",
)
def deep_linear() -> Study:
    """Closed forms, quadrature and the full matrices against each other."""
    noisy, clean = (f"(λ {one[0]:g}, ρ {one[1]:g})" for one in PAIRS["equal"])
    return Study(
        outcome=f"half-time of the feature {noisy} over that of {clean} at depth {DEPTHS[-1]}: JEPA's over MAE's",
        rule=RULE,
        seeds=1,
        judge=judge,
        measure=measure,
    )


def judge(evidence: Evidence) -> Finding:
    """Every part of RULE; one line per depth."""
    numbers = evidence.numbers
    ratio = {(one["pair"], one["start"], one["kind"], one["depth"]): one["ratio"] for one in numbers["ratios"]}
    flows = {(one["kind"], one["depth"]): one for one in numbers["flow"]}
    left = {one["depth"]: one["left"] for one in numbers["collapse"]}
    rows = []
    for depth in DEPTHS:
        row: dict[str, object] = {"depth": str(depth)}
        for kind in KINDS:
            row[f"{kind} noisy later by"] = ratio["equal", START, kind, depth]
            row[f"{kind} noisy gain"] = flows[kind, depth]["gains"][0]
            row[f"{kind} off fixed point"] = f"{flows[kind, depth]['fixed_point_off']:.0e}"
        row["left without stop-gradient"] = f"{left[depth]:.0e}"
        rows.append(row)
    jepa, mae = ([ratio["equal", START, kind, depth] for depth in DEPTHS] for kind in KINDS)
    parts = {
        "fixed points": all(one["fixed_point_off"] < FIXED for one in flows.values()),
        "half-times": all(one["half_time_off"] < TIMES for one in flows.values()),
        "balance": all(one["unbalanced"] < BALANCE for one in flows.values()),
        "collapse": all(value < LEFT for value in left.values()),
        "order": bool(jepa[0] > 1 and np.all(np.diff(jepa) > 0) and max(mae) < 1.01),
    }
    wrong = [name for name, right in parts.items() if not right]
    effect = jepa[-1] / mae[-1]
    return Finding(
        NOT_REPRODUCED if wrong else REPRODUCED,
        Estimate(effect, effect, effect, 1, 1),  # exact: nothing is drawn
        f"as predicted: {', '.join(name for name in parts if name not in wrong)}"
        + (f"; not: {', '.join(wrong)}" if wrong else ""),
        seeds=1,
        table=tuple(rows),
    )
