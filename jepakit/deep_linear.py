"""Deep linear encoders whose learning is known exactly (Littwin et al. 2024, arXiv 2407.03475): JEPA and MAE, by feature.

x and y are Gaussian in R^d with Σ_xx = Σ_yy = diag(λ/ρ) and Σ_yx = diag(λ) in a common basis: a feature has the covariance λ
(how large it is) and the regression coefficient ρ (how predictable y's is from x's). The encoder is W = W_L ⋯ W_1, the
predictor or decoder V, all linear:

    JEPA  ½ E‖V W x − sg(W y)‖²        MAE  ½ E‖V W x − y‖²

From balanced small weights every feature evolves alone; its gain w obeys (t: time of gradient flow times L)

    JEPA  dw/dt = λ w^(3 − 1/L) − (λ/ρ) w³ → ρ^L        MAE  dw/dt = λ w^(2 − 1/L) − (λ/ρ) w³ → ρ^(L/(L+1))

so depth makes a JEPA learn predictable features first and shrink the others, and an MAE order features by λ alone. Gradients
are those of the population: covariances, no samples.
Tests: test_deep_linear.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import integrate
from scipy.stats import ortho_group

from jepakit.types import UsageError

Kind = Literal["jepa", "mae"]


def rate(kind: Kind, gain: float, covariance: float, coefficient: float, depth: int) -> float:
    """dw/dt of a feature's gain w under gradient flow, time multiplied by the depth."""
    power = 3 if kind == "jepa" else 2
    return float(covariance * gain ** (power - 1 / depth) - covariance / coefficient * gain**3)


def fixed_point(kind: Kind, coefficient: float, depth: int) -> float:
    """The gain that a feature ends with: ρ^L (JEPA), ρ^(L/(L+1)) (MAE)."""
    return float(coefficient ** (depth if kind == "jepa" else depth / (depth + 1)))


def half_time(
    kind: Kind, covariance: float, coefficient: float, depth: int, start: float, *, share: float = 0.5
) -> float:
    """Time of gradient flow (steps × rate of gradient descent) from the gain ``start`` to ``share`` of the fixed point.

    Raises UsageError where the gain starts above that.
    """
    end = share * fixed_point(kind, coefficient, depth)
    if not 0 < start < end:
        raise UsageError(f"a gain of {start:g} does not rise to {end:g}; start lower")
    found, _ = integrate.quad(
        lambda gain: 1 / rate(kind, gain, covariance, coefficient, depth), start, end, limit=500, epsrel=1e-9
    )
    return float(found) / depth


@dataclass(frozen=True)
class Flow:
    """Weights under gradient flow. times (T,); gains (T, d): of every feature, the diagonal of the encoder in the basis of
    the features; apart (T,): largest ‖W_a W_aᵀ − W_{a+1}ᵀ W_{a+1}‖, which balanced weights keep at 0; norms (T,): of W."""

    times: np.ndarray
    gains: np.ndarray
    apart: np.ndarray
    norms: np.ndarray


def flow(
    kind: Kind, covariances: Sequence[float], coefficients: Sequence[float], depth: int, start: float, times: np.ndarray,
    *, stop_gradient: bool = True, seed: int = 0,
) -> Flow:  # fmt: skip
    """The full matrices from a balanced start of gain ``start`` in randomly rotated bases, at ``times`` (rising, from 0 on).

    stop_gradient: whether a JEPA's target is held. Raises UsageError where the features are not described one by one.
    """
    d = len(covariances)
    if d < 2 or len(coefficients) != d or depth < 1:
        raise UsageError(
            "name λ and ρ of at least two features, as many of the one as of the other, and a depth from 1 on"
        )
    rng = np.random.default_rng(seed)
    basis, *inner = ortho_group.rvs(d, size=depth + 1, random_state=rng)
    scale = start ** (1 / depth)
    bases = [basis, *inner]
    weights = [scale * bases[a + 1] @ bases[a].T for a in range(depth)]
    reader = scale * (np.eye(d) if kind == "jepa" else basis @ bases[-1].T)
    own = basis @ np.diag(np.divide(covariances, coefficients)) @ basis.T  # Σ_xx = Σ_yy
    cross = basis @ np.diag(covariances) @ basis.T  # Σ_yx, symmetric

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        *layers, v = flat.reshape(depth + 1, d, d)
        below = _products(layers)
        w = below[-1]
        wanted = w @ cross if kind == "jepa" else cross
        missing = wanted - v @ w @ own
        push = v.T @ missing
        if kind == "jepa" and not stop_gradient:
            push = push + v @ w @ cross - w @ own
        changes, above = [], np.eye(d)
        for a in range(depth - 1, -1, -1):
            changes.append(above.T @ push @ below[a].T)
            above = above @ layers[a]
        return np.stack([*changes[::-1], missing @ w.T]).ravel()

    found = integrate.solve_ivp(
        slope, (0.0, float(times[-1])), np.stack([*weights, reader]).ravel(), method="LSODA", t_eval=times, rtol=1e-9,
        atol=1e-12,
    )  # fmt: skip
    states = found.y.T.reshape(len(times), depth + 1, d, d)
    encoders = np.stack([_products(list(state[:-1]))[-1] for state in states])
    gains = np.einsum("di,tij,jd->td", bases[-1].T, encoders, basis)
    apart = [max((float(np.linalg.norm(a @ a.T - b.T @ b)) for a, b in pairwise(s[:-1])), default=0.0) for s in states]
    return Flow(times, gains, np.array(apart), np.linalg.norm(encoders, axis=(1, 2)))


def _products(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """1, W_1, W_2 W_1, … up to the whole encoder."""
    out = [np.eye(len(layers[0]))]
    for layer in layers:
        out.append(layer @ out[-1])
    return out
