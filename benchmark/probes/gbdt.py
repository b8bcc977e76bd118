"""Boosted trees on frozen features: scikit-learn's HistGradientBoosting (LightGBM's algorithm), settings by validation.

On the row ``raw_features`` it is the tree model that a table is usually given to; on any other row it says what trees can
make of an embedding. Candidates: rate × leaves × regularisation, stopping early on a tenth of train; all rows get the same
ones, so trees on raw columns are tuned as much as trees on embeddings.
Tests: test_probe_gbdt.py.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from benchmark.probes.base import Choice, Fitted, Probe, class_count, subsample
from jepakit.registry import probes
from jepakit.types import DataError, Task

TRAIN_ROWS = 20_000
RATES = (0.05, 0.15)
LEAVES = (7, 31)
PENALTIES = (0.0, 10.0)
TREES = 200  # at most
UNSEEN = -50.0


@probes.register("gbdt", kinds=("class", "regression"))
class Trees(Probe):
    """The best of eight settings."""

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
        rows = subsample(len(train), TRAIN_ROWS, seed)
        x, label = train[rows], train_label[rows]
        if task.kind == "class" and len(np.unique(label)) < 2:
            raise DataError(f"task '{task.name}': train shows one class only; use a larger training part.")
        choice: Choice[Any] = Choice(task, val_label, val_record)
        count = class_count(task, train_label)
        for rate, leaves, penalty in itertools.product(RATES, LEAVES, PENALTIES):
            model = _model(task, rate, leaves, penalty, seed).fit(x, label)
            chosen = {"rate": rate, "leaves": leaves, "penalty": penalty, "trees": int(model.n_iter_)}
            choice.offer(chosen, model, scores(model, val, task, count))
        model = choice.best()
        return Fitted(choice.chosen, choice.score, lambda features: scores(model, features, task, count))


def _model(task: Task, rate: float, leaves: int, penalty: float, seed: int) -> Any:
    kind = HistGradientBoostingRegressor if task.kind == "regression" else HistGradientBoostingClassifier
    return kind(
        learning_rate=rate,
        max_leaf_nodes=leaves,
        l2_regularization=penalty,
        max_iter=TREES,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=15,
        random_state=seed,
    )


def scores(model: Any, features: np.ndarray, task: Task, count: int) -> np.ndarray:
    """Values (n,), or log-probabilities (n, count) with classes that train never showed put last."""
    if task.kind == "regression":
        return np.asarray(model.predict(features))
    out = np.full((len(features), count), UNSEEN)
    out[:, model.classes_] = np.log(np.clip(model.predict_proba(features), 1e-15, 1))
    return out
