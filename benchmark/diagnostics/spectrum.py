"""Spectra of features: how many dimensions they use, and how many of those tell samples apart.

All on *centred* features: a constant offset, which no probe sees, would otherwise hide every other direction.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Array = np.ndarray
# Deviations below this share of the features' size are float32 rounding, not variation.
ROUNDING = 1e-6
# alpha-ReQ: the first rank of the fit (the leading directions leave the power law) and the fewest ranks that make a line.
FIRST, FEWEST = 5, 3
# Share of the mean within-sample variance that is added to every direction before it is divided by: without it a
# direction in which the views agree by chance would decide alone. Relative, so that the scale of features is free.
RIDGE = 1e-4


def centred(z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Features minus their mean over samples; exactly 0 where a dimension varies by no more than rounding."""
    away = z - z.mean(0)
    dead = np.abs(away).max(0) <= ROUNDING * np.abs(z).max(0)
    return np.where(dead, 0.0, away)


def standardised(z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Centred features, each dimension divided by its standard deviation; a dimension that does not vary stays 0."""
    away = centred(z)
    std = away.std(0)
    return np.divide(away, std, out=np.zeros_like(away), where=std > 0)


def eigenvalues(away: Float[Array, "n d"]) -> Float[Array, "k"]:
    """Eigenvalues of the covariance (divided by n) of centred features, descending, k = min(n, d)."""
    values: Array = np.linalg.svd(away, compute_uv=False) ** 2 / len(away)
    return values


def effective_rank(p: Float[Array, "k"]) -> float:
    """exp of the entropy of non-negative weights (Roy & Vetterli 2007): 1 … k; 0 when all are 0."""
    if p.sum() <= 0:
        return 0.0
    p = p[p > 0] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def rankme(values: Float[Array, "k"]) -> float:
    """RankMe (Garrido et al. 2023, arXiv 2210.02885) from eigenvalues: the effective rank of their square roots."""
    return effective_rank(np.sqrt(values))


def participation(values: Float[Array, "k"]) -> float:
    """Participation ratio (Σλ)² / Σλ²: 1 … k; 0 when nothing varies. Led by the largest eigenvalues."""
    return float(values.sum() ** 2 / np.square(values).sum()) if values.sum() > 0 else 0.0


def nesum(values: Float[Array, "k"]) -> float:
    """NESum (He & Ozay 2022): Σλ / λ₁, 1 … k; 0 when nothing varies."""
    return float(values.sum() / values[0]) if values.sum() > 0 else 0.0


def alpha_req(values: Float[Array, "k"]) -> tuple[float | None, float | None]:
    """alpha-ReQ (Agrawal et al. 2022): (α, R²) of the power law λᵢ ∝ i^−α, least squares of log λ on log i over the ranks
    5 … k/4. (None, None) where fewer than three ranks are left or one of them is empty."""
    i = np.arange(FIRST, len(values) // 4 + 1)
    if len(i) < FEWEST or values[i[-1] - 1] <= ROUNDING**2 * values[0]:
        return None, None
    x, y = np.log(i), np.log(values[i - 1])
    slope, offset = np.polyfit(x, y, 1)
    spread = np.square(y - y.mean()).sum()
    rest = np.square(y - slope * x - offset).sum()
    return float(-slope), float(1 - rest / spread) if spread > 0 else None


def lda_rank(views: Float[Array, "n q d"]) -> tuple[float, float]:
    """Linear Discriminant Analysis Rank (Thilak et al. 2023, arXiv 2312.04000) and the mean discriminant ratio.

    The surrogate classes are the samples themselves: each is a class whose members are its ``q`` views. The rank is the
    effective rank of S_w^−½ S_b S_w^−½ with S_b the covariance of the class means and S_w the mean covariance within a
    class plus ``RIDGE`` of its mean variance: 1 … min(n − 1, d), 0 when the class means are equal. The ratio is
    tr(S_w⁻¹ S_b) / d. The rank alone does not tell signal from noise: compare it with the rank of permuted views.
    """
    n, q, d = views.shape
    means = views.mean(1)
    between = centred(means)
    within = (views - means[:, None]).reshape(n * q, d)
    s_b = between.T @ between / max(n - 1, 1)
    s_w = within.T @ within / max(n * (q - 1), 1)
    ridge = RIDGE * np.trace(s_w) / d
    # Views that never differ: every direction counts alike.
    values, vectors = np.linalg.eigh(s_w + (ridge or 1.0) * np.eye(d))
    root = vectors / np.sqrt(values)
    found = np.clip(np.linalg.eigvalsh(root.T @ s_b @ root), 0, None)
    return effective_rank(found), float(found.sum() / d)


def permuted(views: Float[Array, "n q d"]) -> Float[Array, "n q d"]:
    """The same views dealt to other samples, so that no view belongs to its class (a fixed shift per view)."""
    step = max(1, len(views) // views.shape[1])
    return np.stack([np.roll(views[:, j], j * step, axis=0) for j in range(views.shape[1])], 1)
