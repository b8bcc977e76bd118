"""k-nearest-neighbour probe: cosine similarity on standardised features, softmax votes, k chosen on validation.

Needs no training, so it shows the geometry of the features as they are (Wu et al. 2018: temperature .07). The bank is a
seeded subsample of at most BANK training rows (DENSE_BANK tokens for dense tasks); k is chosen on at most VAL rows.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmark.probes.base import Choice, Fitted, Probe, class_count, standardise, standardiser, subsample, unit
from jepakit.registry import probes
from jepakit.types import Task

NEIGHBOURS = (1, 5, 20, 100)
TEMPERATURE = 0.07
BANK, DENSE_BANK, VAL = 20_000, 8_192, 10_000
CHUNK = 512
# Added to vote shares before the logarithm: one window without a vote must not silence a whole record.
SMOOTH = 0.01


@probes.register("knn", kinds=("class", "multilabel", "regression", "dense"), published=True)
class Neighbours(Probe):
    """Similarity-weighted vote of the nearest training rows."""

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
        rows = subsample(len(train), DENSE_BANK if task.kind == "dense" else BANK, seed)
        mean, inverse = standardiser(train[rows])
        bank = unit(standardise(train[rows], mean, inverse))
        votes = _votes(train_label[rows], task)
        if val_record is None:  # whole records are kept whole
            some = subsample(len(val), VAL, seed)
            val, val_label = val[some], val_label[some]
        ks = sorted({min(k, len(bank)) for k in NEIGHBOURS})
        choice: Choice[int] = Choice(task, val_label, val_record)
        for k, scores in zip(ks, _score(unit(standardise(val, mean, inverse)), bank, votes, ks, task), strict=True):
            choice.offer({"k": k}, k, scores)
        best = choice.best()

        def predict(features: np.ndarray) -> np.ndarray:
            return _score(unit(standardise(features, mean, inverse)), bank, votes, [best], task)[0]

        return Fitted(choice.chosen, choice.score, predict)


def _votes(label: np.ndarray, task: Task) -> np.ndarray:
    """What a neighbour says: one-hot class, its labels, or its value; float32 (n, c)."""
    if task.kind == "multilabel":
        return label.astype(np.float32)
    if task.kind == "regression":
        return label.astype(np.float32)[:, None]
    return np.asarray(np.eye(class_count(task, label), dtype=np.float32)[label])


def _score(query: np.ndarray, bank: np.ndarray, votes: np.ndarray, ks: list[int], task: Task) -> list[np.ndarray]:
    """Scores of every query for each k in ``ks``, from one search: list of (n, c) logits or (n,) values."""
    most, columns = max(ks), torch.from_numpy(bank).T
    out: list[list[np.ndarray]] = [[] for _ in ks]
    for start in range(0, len(query), CHUNK):
        similar = (torch.from_numpy(query[start : start + CHUNK]) @ columns).numpy()
        near = _nearest(similar, most)
        weight = np.exp((np.take_along_axis(similar, near, 1) - 1) / TEMPERATURE)
        said = votes[near]
        for column, k in zip(out, ks, strict=True):
            w = weight[:, :k] / weight[:, :k].sum(1, keepdims=True)
            column.append(np.einsum("qk,qkc->qc", w, said[:, :k]))
    shares = [np.concatenate(column) if column else np.zeros((0, votes.shape[1]), np.float32) for column in out]
    if task.kind == "regression":
        return [share[:, 0] for share in shares]
    if task.kind == "multilabel":
        return [np.log((share + SMOOTH) / (1 - share + SMOOTH)) for share in shares]
    return [np.log(share + SMOOTH) for share in shares]


def _nearest(similar: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest entries of each row, the largest first: (q, n) → (q, k)."""
    n = similar.shape[1]
    near = np.argpartition(similar, n - k, axis=1)[:, n - k :] if k < n else np.tile(np.arange(n), (len(similar), 1))
    order = np.argsort(-np.take_along_axis(similar, near, 1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(near, order, 1))
