"""measure: every label-free number of one look at an encoder, by name."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from benchmark.diagnostics import geometry, spectrum, tokens
from benchmark.diagnostics.look import Look

Array = np.ndarray
# Rows looked at; more would only cost time (RankMe is stable from about ten rows per dimension).
ROWS = 10_000
# Rows of the measures whose cost grows with the square of rows or with the number of random directions.
PAIRED_ROWS = 1_024

# Every measure: what it says in one line, in the order of tables. A name with _norm: ranks divided by the largest
# possible one, everything else on features whose dimensions are each divided by their standard deviation.
MEASURES = {
    "rankme": "effective number of dimensions, by singular values",
    "lda_rank": "effective number of dimensions that tell samples apart beyond the spread of their views",
    "lda_rank_null": "the same with views dealt to other samples: what noise alone would score",
    "lda_ratio": "mean variance between samples over variance between views of a sample",
    "alpha_req": "decay exponent of the spectrum; about 1 is said to be good",
    "nesum": "sum of the spectrum over its largest value",
    "participation": "effective number of dimensions, by variances",
    "alignment": "squared distance of two views of a sample on the sphere; smaller is more invariant",
    "uniformity": "log potential of pairs on the sphere; more negative is more evenly spread, 0 is one point",
    "std_min": "smallest standard deviation of a dimension",
    "std_mean": "mean standard deviation of a dimension",
    "mean_cosine": "mean cosine of two samples with their common offset; 1 is all alike",
    "position_share": "share of the variance of tokens that position alone explains",
    "sigreg": "distance from a standard normal along random directions, per row; .402 is all at one point",
}
RANKS = ("rankme", "lda_rank", "lda_rank_null", "nesum", "participation")
# No second version: a ratio that is scale-free already.
PLAIN = ("lda_ratio",)
NAMES = tuple(name for plain in MEASURES for name in (plain, f"{plain}_norm") if plain not in PLAIN or name == plain)


def evenly(z: Array, rows: int) -> Array:
    """Evenly spaced rows, at most ``rows`` of them."""
    return z[:: max(1, -(-len(z) // rows))]


def measure(look: Look) -> dict[str, float | None]:
    """The numbers of ``MEASURES`` and their ``_norm`` (see there), and ``alpha_req_r2``, of one look; None where one is
    undefined: no views, no recurring positions, too few dimensions for a fit.

    ``std_*_norm`` divide by the root mean square of the dimension. Cosines and sphere distances of ``_norm`` are those of
    standardised features; the plain ones keep the scales of dimensions, and only ``mean_cosine`` keeps the offset.
    Raises ValueError for fewer than two rows or a feature that is not finite.
    """
    z = _checked(look.pooled)
    n, d = z.shape
    found: dict[str, float | None] = dict.fromkeys(NAMES)
    away, even = spectrum.centred(z), spectrum.standardised(z)
    values = spectrum.eigenvalues(away)
    most = max(min(n - 1, d), 1)
    for name, rank in (
        ("rankme", spectrum.rankme(values)),
        ("nesum", spectrum.nesum(values)),
        ("participation", spectrum.participation(values)),
    ):
        found |= {name: rank, f"{name}_norm": rank / most}
    found["alpha_req"], found["alpha_req_r2"] = spectrum.alpha_req(values[:most])
    found["alpha_req_norm"], _ = spectrum.alpha_req(spectrum.eigenvalues(even)[:most])
    std, size = away.std(0), np.sqrt(np.square(z).mean(0))
    relative = np.divide(std, size, out=np.zeros_like(std), where=size > 0)
    found |= {"std_min": float(std.min()), "std_mean": float(std.mean())}
    found |= {"std_min_norm": float(relative.min()), "std_mean_norm": float(relative.mean())}
    found |= {"mean_cosine": geometry.mean_cosine(z), "mean_cosine_norm": geometry.mean_cosine(even)}
    for suffix, features in (("", away), ("_norm", even)):
        few = evenly(features, PAIRED_ROWS)
        found[f"uniformity{suffix}"] = geometry.uniformity(few)
        found[f"sigreg{suffix}"] = geometry.sigreg(few)
    return found | _of_views(look) | _of_tokens(look)


def _checked(features: np.ndarray) -> Float[Array, "n d"]:
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"diagnostics need features of shape (n ≥ 2, d), got {features.shape}")
    z: Array = evenly(features, ROWS).astype(np.float64)
    if not np.isfinite(z).all():
        raise ValueError("diagnostics: the features are not finite")
    return z


def _of_views(look: Look) -> dict[str, float | None]:
    if look.views is None or min(look.views.shape[:2]) < 2:
        return {}
    views = look.views.astype(np.float64)
    n, q, d = views.shape
    rank, ratio = spectrum.lda_rank(views)
    null, _ = spectrum.lda_rank(spectrum.permuted(views))
    most = max(min(n - 1, d), 1)
    found: dict[str, float | None] = {"lda_rank": rank, "lda_rank_norm": rank / most, "lda_ratio": ratio}
    found |= {"lda_rank_null": null, "lda_rank_null_norm": null / most}
    if look.positives == "views":
        flat = views.reshape(n * q, d)
        found["alignment"] = geometry.alignment(spectrum.centred(flat).reshape(views.shape))
        found["alignment_norm"] = geometry.alignment(spectrum.standardised(flat).reshape(views.shape))
    return found


def _of_tokens(look: Look) -> dict[str, float | None]:
    if look.tokens is None or look.place is None:
        return {}
    x = look.tokens.astype(np.float64)
    even = spectrum.standardised(x)
    return {
        "position_share": tokens.position_share(x, look.place),
        "position_share_norm": tokens.position_share(even, look.place),
    }
