"""Token features: how much of their variance position alone explains (a failure of its own of masked prediction)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Array = np.ndarray


def place_means(x: Float[Array, "n d"], place: Int[Array, "n"]) -> Float[Array, "n d"]:
    """For every token the mean over all tokens at its place; ``place`` numbers the places from 0."""
    sums = np.zeros((int(place.max()) + 1, x.shape[1]))
    np.add.at(sums, place, x)
    counts = np.bincount(place, minlength=len(sums))
    return (sums / np.maximum(counts, 1)[:, None])[place]


def comparable(place: Int[Array, "n"]) -> bool:
    """Whether places recur (at least two tokens each, on average) and there is more than one of them."""
    places = int(place.max()) + 1
    return 1 < places <= len(place) // 2


def position_share(x: Float[Array, "n d"], place: Int[Array, "n"]) -> float | None:
    """The share of the variance of tokens that their place explains (the correlation ratio η²): 1 when tokens vary with
    position and not with content, about (places − 1)/n when position says nothing. None where it is undefined: one place,
    places that never recur, tokens that do not vary."""
    away = x - x.mean(0)
    total = float(np.square(away).sum())
    if not comparable(place) or total == 0:
        return None
    return float(np.square(place_means(away, place)).sum() / total)
