"""Linear probe: logistic regression (class, multi-label) or ridge (regression), penalty and weighting by validation.

The published default. Features are standardised on train. Classes: multinomial, with and without class weights;
multi-label: independent sigmoids; per-token tasks: one row per labelled token. The L2 penalties are a path from strong to
weak, solved as in ``logreg``; regression is ``ridge``. More than TRAIN_ROWS training rows are subsampled with the seed.
Tests: test_probes.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.probes import logreg, ridge
from benchmark.probes.base import Choice, Fitted, Probe, standardise, standardiser, subsample
from jepakit.registry import probes
from jepakit.types import Task

TRAIN_ROWS = 20_000
# Relative to the mean variance of a feature (1 after standardising), the loss being a mean over rows.
PENALTIES = tuple(float(10**exponent) for exponent in np.arange(0, -5.25, -0.5))


@probes.register("linear", kinds=("class", "multilabel", "regression", "dense"), published=True)
class Linear(Probe):
    """One linear map of the standardised features."""

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
        label = train_label[rows]
        mean, inverse = standardiser(train[rows])

        def prepare(features: np.ndarray) -> np.ndarray:
            return standardise(features, mean, inverse)

        x, held = prepare(train[rows]), prepare(val)
        if task.kind == "regression":
            return ridge.regress(x, label, held, Choice(task, val_label, val_record), prepare)
        choice: Choice[tuple[np.ndarray, np.ndarray]] = Choice(task, val_label, val_record)
        target, columns, classes = logreg.targets(label, task)

        def score(ready: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
            return logreg.finish(ready @ weight + bias, columns, classes, task)

        for weighting, one in candidates(x, target, task.kind == "multilabel"):
            chosen = {"penalty": one.factor, "weighting": weighting}
            choice.offer(chosen, (one.weight, one.bias), score(held, one.weight, one.bias))
        weight, bias = choice.best()
        return Fitted(choice.chosen, choice.score, lambda features: score(prepare(features), weight, bias))


def candidates(x: np.ndarray, target: np.ndarray, multi: bool) -> Iterator[tuple[str, logreg.Solution]]:
    """Every (weighting, solution) for standardised ``x`` (n, d) and ``target`` (n, c): weighting "none", and for a softmax
    "balanced" (rows weigh n/(c·rows of their class), as scikit-learn's). Sigmoids are not re-weighted: ranking metrics
    hardly see it and it doubles the cost."""
    for one in logreg.path(x, target, multi, PENALTIES):
        yield "none", one
    if not multi:
        rows = (target / target.sum(0)).sum(1)
        for one in logreg.path(x, target, multi, PENALTIES, rows=rows):
            yield "balanced", one
