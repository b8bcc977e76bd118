"""Label-free diagnostics of features: how many dimensions they use, how much they vary, and whether they collapsed.

RankMe (Garrido et al. 2023) is taken on *centred* features: a constant offset, which no probe sees, would otherwise hide
every other direction. It compares runs of one method; it does not rank methods.
"""

from __future__ import annotations

import numpy as np

# Rows looked at; more would only cost time (RankMe is stable from about ten rows per dimension).
ROWS = 10_000
# A dimension is alive when its standard deviation over samples exceeds this fraction of its root mean square.
ALIVE = 1e-3
# Features are collapsed to a line or plane when two directions hold more than this share of the variance.
SHARE = 0.99


def _sample(features: np.ndarray) -> np.ndarray:
    """Evenly spaced rows, at most ROWS of them, as float64 (n, d)."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"diagnostics need features of shape (n ≥ 2, d), got {features.shape}")
    step = -(-len(features) // ROWS)
    return features[::step].astype(np.float64)


def rankme(features: np.ndarray) -> float:
    """exp of the entropy of the normalised singular values of the centred features: 1 … min(n − 1, d).

    0 when the features do not vary at all (up to float32 rounding), since no direction exists.
    """
    z = _sample(features)
    centred = z - z.mean(0)
    if np.abs(centred).max() <= 1e-6 * np.abs(z).max():
        return 0.0
    s = np.linalg.svd(centred, compute_uv=False)
    p = s[s > 0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def measure(features: np.ndarray) -> dict[str, float]:
    """The diagnostics of features (n, d).

    rankme: see above; rankme_norm: divided by min(n − 1, d), in [0, 1]; std_min, std_mean: smallest and mean standard
    deviation of a dimension over samples, in units of the features; mean_cosine: mean cosine between two different
    samples of the *uncentred* features, so that a common offset shows (1: all alike). Raises ValueError when a
    feature is not finite.
    """
    z = _sample(features)
    if not np.isfinite(z).all():
        raise ValueError("diagnostics: the features are not finite")
    std = z.std(0)
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    unit = np.divide(z, norm, out=np.zeros_like(z), where=norm > 0)
    n, d = z.shape
    rank = rankme(z)
    same = float((unit**2).sum())
    return {
        "rankme": rank,
        "rankme_norm": rank / max(min(n - 1, d), 1),
        "std_min": float(std.min()),
        "std_mean": float(std.mean()),
        "mean_cosine": float((np.square(unit.sum(0)).sum() - same) / (n * (n - 1))),
    }


def verdict(features: np.ndarray) -> str | None:
    """Why features (n, d) count as collapsed, or None when they are healthy. The rule, scale-free per dimension:

    1. constant: no dimension varies over samples by more than ALIVE of its root mean square (constant features, and
       position-only ones that are the same for every sample);
    2. line or plane: after standardising the dimensions that vary (as probes do), two directions hold more than SHARE of
       the variance (ranks 1 and 2). Not asked of features with fewer than four dimensions or samples.

    Calibrated so that untrained encoders and hand-made features of mixed scales are never flagged: on three ECG data
    sets untrained encoders vary by 3 % of the root mean square or more in every dimension, and two directions hold at
    most 94 % of the variance (MIT-BIH beats, which are much alike).
    """
    z = _sample(features)
    if not np.isfinite(z).all():
        return "features are not finite"
    std = z.std(0)
    alive = std > ALIVE * np.sqrt(np.square(z).mean(0))
    if not alive.any():
        return "constant: features are the same for every sample"
    if min(z.shape[1], len(z) - 1) < 4:
        return None
    y = (z[:, alive] - z[:, alive].mean(0)) / std[alive]
    gram = y.T @ y if y.shape[1] <= len(y) else y @ y.T
    values = np.linalg.eigvalsh(gram)
    share = values[-2:].sum() / values.sum()
    if share > SHARE:
        return f"rank {1 if values[-1] / values.sum() > SHARE else 2}: {share:.1%} of the variance in two directions"
    return None
