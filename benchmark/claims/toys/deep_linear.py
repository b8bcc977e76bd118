"""Deep linear JEPA and MAE at depths 1 to 5: when a noisy and a predictable feature are learnt, and what is left of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepakit.deep_linear import Kind, fixed_point, flow, half_time

DEPTHS = (1, 2, 3, 4, 5)
KINDS: tuple[Kind, ...] = ("jepa", "mae")
STARTS = (1e-2, 1e-3, 1e-4)
# (λ, ρ) of the noisy and of the predictable feature.
PAIRS = {"equal": ((1.0, 0.5), (1.0, 0.9)), "flip": ((1.2, 0.5), (0.9, 0.9))}
FEATURES = ((1.2, 0.5), (0.9, 0.9), (1.0, 0.7))
# Of gradient flow, by when the slowest feature at depth 5 rests.
ENDS: dict[Kind, float] = {"jepa": 3e4, "mae": 3e3}
LONG = 1e8  # without stop-gradient deep encoders shrink by a power of time
BEGIN = 0.25  # of the gains that are to shrink


def measure() -> dict[str, Any]:
    """ratios: half-times, noisy over predictable; flow: full matrices and formulas; collapse: without stop-gradient."""
    return {
        "ratios": [
            {
                "pair": pair,
                "start": start,
                "kind": kind,
                "depth": depth,
                "ratio": _ratio(kind, *PAIRS[pair], depth, start),
            }
            for pair in PAIRS
            for start in STARTS
            for kind in KINDS
            for depth in DEPTHS
        ],
        "flow": [_flow(kind, depth) for kind in KINDS for depth in DEPTHS],
        "collapse": [_collapse(depth) for depth in DEPTHS],
    }


def _ratio(kind: Kind, noisy: tuple[float, float], clean: tuple[float, float], depth: int, start: float) -> float:
    return half_time(kind, *noisy, depth, start) / half_time(kind, *clean, depth, start)


def _flow(kind: Kind, depth: int) -> dict[str, Any]:
    """Gains at the end against the fixed points, half-times against the quadrature, largest departure from balance."""
    covariances, coefficients = zip(*FEATURES, strict=True)
    times = np.r_[0.0, np.geomspace(1e-2, ENDS[kind], 2000)]
    found = flow(kind, covariances, coefficients, depth, STARTS[0], times)
    ends = np.array([fixed_point(kind, one, depth) for one in coefficients])
    halves = [np.interp(end / 2, found.gains[:, i], times) for i, end in enumerate(ends)]
    exact = [half_time(kind, *one, depth, STARTS[0]) for one in FEATURES]
    return {
        "kind": kind, "depth": depth, "gains": [float(gain) for gain in found.gains[-1]], "fixed_points": list(ends),
        "fixed_point_off": float(np.abs(found.gains[-1] - ends).max()), "unbalanced": float(found.apart.max()),
        "half_time_off": float(np.abs(np.divide(halves, exact) - 1).max()),
    }  # fmt: skip


def _collapse(depth: int) -> dict[str, Any]:
    covariances, coefficients = zip(*FEATURES, strict=True)
    found = flow("jepa", covariances, coefficients, depth, BEGIN, np.array([0.0, LONG]), stop_gradient=False)
    return {"depth": depth, "left": float(found.norms[-1] / found.norms[0])}
