"""my-probe: linear discriminants with a shared, shrunk covariance; the shrinkage is chosen on validation.

A start by `python -m benchmark new`. It is handed train and validation, never test. Scores are one column per class.
"""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from benchmark.probes.base import Choice, Fitted, Predict, Probe, class_count
from jepakit.registry import probes
from jepakit.types import DataError, Task

SHRINKAGE = (0.01, 0.1, 0.5)
LEAST, NEVER = 1e-9, -50.0  # smallest probability that is told apart; the score of a class that train does not show


@probes.register("my-probe", kinds=("class", "dense"))
class MyProbe(Probe):
    """scikit-learn's LinearDiscriminantAnalysis over a few shrinkages."""

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
        if len(np.unique(train_label)) < 2:
            raise DataError(f"task '{task.name}' shows one class only in train; leave the task out or split again")
        choice: Choice[Predict] = Choice(task, val_label, val_record)
        for shrinkage in SHRINKAGE:
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(train, train_label)
            score = scores(model, class_count(task, train_label))
            choice.offer({"shrinkage": shrinkage}, score, score(val))
        return Fitted(choice.chosen, choice.score, choice.best())


def scores(model: LinearDiscriminantAnalysis, classes: int) -> Predict:
    """Features (n, d) → logarithms of probabilities (n, classes)."""

    def score(x: np.ndarray) -> np.ndarray:
        found = np.full((len(x), classes), NEVER)
        found[:, model.classes_] = np.log(model.predict_proba(x) + LEAST)
        return found

    return score
