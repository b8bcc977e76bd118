"""verdict: whether an encoder collapsed, from its pooled features and from its tokens, and in which way."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from benchmark.diagnostics.geometry import mean_cosine
from benchmark.diagnostics.look import Look
from benchmark.diagnostics.measures import ROWS, evenly
from benchmark.diagnostics.tokens import comparable, place_means

Array = np.ndarray
# A dimension is alive when its standard deviation over samples exceeds this fraction of its root mean square …
ALIVE = 1e-3
# … and features vary when the median of that fraction over the living dimensions exceeds these. Measured on three ECG data
# sets (eight methods, 40 steps; dimension 32): untrained and trained encoders, pooled, .047 or more; their tokens about the
# mean at their position, .13 or more. A student that is its own teacher: .0024-.0074 pooled, .008-.021 in tokens; LeJEPA and
# VICReg without what holds the features apart: .008-.010 pooled.
POOLED, TOKENS = 0.02, 0.05
# Features are collapsed to a line or plane when two directions hold more than this share of the variance. Untrained
# encoders of the same data sets reach 94 % (MIT-BIH beats, which are much alike).
SHARE = 0.99
# Mean cosine of two samples behind a projector. Untrained .97, after 15 steps .09-.55 for eight view-based methods and .71
# for LeJEPA with λ = 0, after 120 steps below .55 and above .88 (VICReg without its variance term alike).
ALIKE = 0.8


def verdict(look: Look) -> str | None:
    """Why an encoder counts as collapsed, or None when it is healthy. The rule, scale-free per dimension, is asked of the
    pooled features (over samples) and then of what content adds to the tokens (each token minus the mean at its position):

    1. constant: no dimension is ALIVE, or the living ones vary by less than POOLED (TOKENS) of their root mean square in
       the median. Tokens of this kind are position-only when they still vary from place to place;
    2. line or plane: after standardising the living dimensions (as probes do), two directions hold more than SHARE of the
       variance (ranks 1 and 2). Not asked of features with fewer than four dimensions or samples.

    Raises ValueError for fewer than two rows.
    """
    pooled = evenly(look.pooled, ROWS).astype(np.float64)
    if pooled.ndim != 2 or len(pooled) < 2:
        raise ValueError(f"diagnostics need features of shape (n ≥ 2, d), got {look.pooled.shape}")
    if not np.isfinite(pooled).all():
        return "features are not finite"
    reason = _flat(pooled - pooled.mean(0), pooled, POOLED)
    if reason == "constant":
        return "constant: features are the same for every sample"
    if reason is None and look.tokens is not None and look.place is not None and comparable(look.place):
        x = look.tokens.astype(np.float64)
        if not np.isfinite(x).all():
            return "token features are not finite"
        reason = _flat(x - place_means(x, look.place), x, TOKENS)
        if reason == "constant":
            places = _flat(x - x.mean(0), x, TOKENS) != "constant"
            if places:
                return "position only: token features vary with position, not with content"
            return "constant: token features are the same for every sample"
        return f"tokens of {reason}" if reason else None
    return reason


def projected(z: Float[Array, "n d"]) -> str | None:
    """Why the outputs of a projector count as collapsed, or None: where two samples are ALIKE there, the loss is solved by
    the projector alone and the encoder learns nothing more, however its own features look."""
    cosine = mean_cosine(z.astype(np.float64))
    return f"projections are alike: mean cosine {cosine:.2f}" if cosine > ALIKE else None


def _flat(away: Float[Array, "n d"], z: Float[Array, "n d"], least: float) -> str | None:
    """Whether the variation ``away`` of features ``z`` is nil, or confined to two directions."""
    std = away.std(0)
    size = np.sqrt(np.square(z).mean(0))
    alive = std > ALIVE * size
    if not alive.any() or np.median(std[alive] / size[alive]) < least:
        return "constant"
    if min(away.shape[1], len(away) - 1) < 4:
        return None
    y = away[:, alive] / std[alive]
    gram = y.T @ y if y.shape[1] <= len(y) else y @ y.T
    values = np.linalg.eigvalsh(gram)
    share = values[-2:].sum() / values.sum()
    if share > SHARE:
        return f"rank {1 if values[-1] / values.sum() > SHARE else 2}: {share:.1%} of the variance in two directions"
    return None
