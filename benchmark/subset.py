"""Subset: the first rows of a part in a fixed random order, every class represented, for the smoke preset."""

from __future__ import annotations

import copy

import numpy as np

from jepakit.modality import Modality
from jepakit.types import Data, Part

PER_CLASS = 8


def limited(modality: Modality, limit: int | None) -> Modality:
    """The same modality with at most about ``limit`` rows per part (``None``: the modality itself)."""
    if limit is None:
        return modality
    clone, parts = copy.copy(modality), dict[Part, Data]()

    def data(part: Part) -> Data:
        if part not in parts:
            whole = modality.data(part)
            parts[part] = whole.take(rows(whole, limit))
        return parts[part]

    clone.data = data  # type: ignore[method-assign]
    return clone


def rows(data: Data, limit: int) -> np.ndarray:
    """Sorted indices of about ``limit`` rows: a few of each class of each labelled task first, then a random draw that
    depends on nothing but the number of rows."""
    n = len(data)
    if n <= limit:
        return np.arange(n)
    order = np.random.default_rng(n).permutation(n)
    first: list[np.ndarray] = []
    for column in data.labels.values():
        label = column.cpu().numpy()
        if label.ndim == 1 and label.dtype.kind in "iu":
            first += [order[label[order] == c][:PER_CLASS] for c in np.unique(label) if c >= 0]
        elif label.ndim == 2 and label.dtype.kind == "f":
            first += [order[label[order, c] > 0][:PER_CLASS] for c in range(label.shape[1])]
    chosen = np.concatenate([*first, order])
    _, place = np.unique(chosen, return_index=True)
    return np.sort(chosen[np.sort(place)][:limit])
