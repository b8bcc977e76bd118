"""Ridge on all tokens side by side: where every token has a meaning of its own (the columns of a table), a mean over them
throws the meaning away.

T-JEPA and OpenEEGBench probe flattened tokens. As ``ridge`` otherwise; more than WIDE dimensions are first turned to the
leading principal directions of train.
Tests: test_probe_gbdt.py.
"""

from __future__ import annotations

import numpy as np

from benchmark.probes import ridge
from benchmark.probes.base import Choice, Fitted, Probe, standardise, standardiser, subsample
from jepakit.registry import probes
from jepakit.types import Task

WIDE = 1024
ROWS = 4096  # rows that principal directions are found from


@probes.register("flat", kinds=("class", "multilabel", "regression"), sees="tokens")
class Flat(Probe):
    """Ridge regression on (tokens · width) features; padded tokens count as zeros."""

    def fit(
        self,
        train: np.ndarray,
        train_label: np.ndarray,
        val: np.ndarray,
        val_label: np.ndarray,
        task: Task,
        seed: int,
        val_record: np.ndarray | None = None,
    ) -> Fitted:
        def spread(tokens: np.ndarray) -> np.ndarray:
            return np.nan_to_num(tokens.reshape(len(tokens), -1).astype(np.float32))

        mean, inverse = standardiser(spread(train))
        turn = directions(standardise(spread(train[subsample(len(train), ROWS, seed)]), mean, inverse))

        def prepare(tokens: np.ndarray) -> np.ndarray:
            x = standardise(spread(tokens), mean, inverse)
            return x if turn is None else np.asarray(x @ turn)

        return ridge.regress(prepare(train), train_label, prepare(val), Choice(task, val_label, val_record), prepare)


def directions(x: np.ndarray) -> np.ndarray | None:
    """The WIDE leading principal directions (d, WIDE) of standardised rows, None where there are no more dimensions."""
    if x.shape[1] <= WIDE:
        return None
    values, vectors = np.linalg.eigh(x.astype(np.float64) @ x.T) if len(x) < x.shape[1] else np.linalg.eigh(x.T @ x)
    top = vectors[:, np.argsort(values)[::-1][:WIDE]]
    if len(x) < x.shape[1]:
        top = x.T.astype(np.float64) @ top / np.sqrt(np.maximum(np.sort(values)[::-1][:WIDE], 1e-12))
    return np.asarray(top.astype(np.float32))
