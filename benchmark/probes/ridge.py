"""Ridge probe: least squares on ±1 targets, every penalty from one eigendecomposition in float64.

No optimiser, no seed, no stopping rule: the same code answers class, multi-label, regression and per-token tasks, and it is
tens of times cheaper than a logistic path. Features are standardised on train; all training rows are used, since they
enter only through XᵀX and XᵀY. The FACTORS are penalties relative to the mean eigenvalue of XᵀX, tr(XᵀX)/d, so they mean
the same for every width and number of rows; validation chooses, and of equals the strongest penalty.
Tests: test_probe_ridge.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.probes.base import Choice, Fitted, Probe, class_count, standardise, standardiser
from jepakit.registry import probes
from jepakit.types import DataError, Task

FACTORS = tuple(float(factor) for factor in np.logspace(3, -6, 40))
# Score of a class that train never shows: far below every other (targets are ±1), so that it is never predicted.
UNSEEN = -50.0
CHUNK = 8192  # rows that are held in float64 at a time


@probes.register("ridge", kinds=("class", "multilabel", "regression", "dense"))
class RidgeProbe(Probe):
    """Ridge regression on ±1 targets (values for regression), penalty by validation."""

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
        mean, inverse = standardiser(train)

        def prepare(features: np.ndarray) -> np.ndarray:
            return standardise(features, mean, inverse)

        return regress(prepare(train), train_label, prepare(val), Choice(task, val_label, val_record), prepare)


def regress(
    x: np.ndarray,
    label: np.ndarray,
    held: np.ndarray,
    choice: Choice[float],
    prepare: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Fitted:
    """Ridge on ready features ``x`` (n, d), the penalty chosen by ``choice`` on ``held``, the validation features.

    ``prepare``: what ``Fitted.predict`` does first, the way ``x`` was made. Raises DataError as ``targets`` does.
    """
    task, absent = choice.task, unseen(label, choice.task)
    solved = solve(x, targets(label, task))
    rotated = solved.rotate(held)
    for factor in FACTORS:
        choice.offer({"penalty": factor}, factor, finish(solved.scores(rotated, factor), absent, task))
    weight, bias = (part.astype(np.float32) for part in solved.map(choice.best()))
    return Fitted(choice.chosen, choice.score, lambda rows: finish(prepare(rows) @ weight + bias, absent, task))


def targets(label: np.ndarray, task: Task) -> np.ndarray:
    """What is regressed on: ±1 per class (n, c), or the value itself (n, 1); float64.

    Raises DataError when nothing can be learned: a single class, or no class with both outcomes.
    """
    if task.kind == "regression":
        return label.astype(np.float64)[:, None]
    if task.kind == "multilabel":
        yes = label > 0.5
        if not (yes.any(0) & ~yes.all(0)).any():
            raise DataError(f"task '{task.name}': no class has both outcomes in train; use a larger training part.")
    else:
        yes = label[:, None] == np.arange(class_count(task, label))
        if yes.any(0).sum() < 2:
            raise DataError(f"task '{task.name}': train shows one class only; use a larger training part.")
    return np.where(yes, 1.0, -1.0)


def unseen(label: np.ndarray, task: Task) -> np.ndarray:
    """Classes that the training labels never show; none for multi-label and regression."""
    if task.kind in ("regression", "multilabel"):
        return np.zeros(0, dtype=np.int64)
    return np.setdiff1d(np.arange(class_count(task, label)), label)


def finish(raw: np.ndarray, absent: np.ndarray, task: Task) -> np.ndarray:
    """Outputs (n, c) → scores: values (n,) for regression; the absent classes are put last."""
    if task.kind == "regression":
        return raw[:, 0]
    raw[:, absent] = UNSEEN
    return raw


@dataclass(frozen=True)
class Spectrum:
    """Least squares solved for every penalty at once.

    centre (d,) and level (c,): means of features and targets; vectors (d, k) and values (k,): eigenvectors and eigenvalues
    of the centred XᵀX that are not zero; pull (k, c): XᵀY in their basis; unit: tr(XᵀX)/d.
    """

    centre: np.ndarray
    level: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    pull: np.ndarray
    unit: float

    def rotate(self, x: np.ndarray) -> np.ndarray:
        """Features (n, d) in the eigenbasis, float32 (n, k): done once for the whole path."""
        return np.asarray((x - self.centre.astype(np.float32)) @ self.vectors.astype(np.float32))

    def scores(self, rotated: np.ndarray, factor: float) -> np.ndarray:
        """Outputs (n, c), float32, of rotated features for the penalty ``factor · unit``."""
        weight = self.pull / (self.values + factor * self.unit)[:, None]
        return np.asarray(rotated @ weight.astype(np.float32) + self.level.astype(np.float32))

    def map(self, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """(weight (d, c), bias (c,)) in float64 for the penalty ``factor · unit``."""
        weight = self.vectors @ (self.pull / (self.values + factor * self.unit)[:, None])
        return weight, self.level - self.centre @ weight


def solve(x: np.ndarray, y: np.ndarray) -> Spectrum:
    """The spectrum of features (n, d) and targets (n, c): min ‖Y - XW - b‖² + penalty·‖W‖², the bias free.

    With fewer rows than dimensions the eigenvectors come from XXᵀ, which has the same eigenvalues and is smaller.
    """
    n, d = x.shape
    centre, level = x.mean(0, dtype=np.float64), y.mean(0)
    if n < d:
        centred = x.astype(np.float64) - centre
        values, left = np.linalg.eigh(centred @ centred.T)
        cross = centred.T @ (y - level)
        live = _live(values)
        values = values[live]
        vectors = centred.T @ left[:, live] / np.sqrt(values)
    else:
        gram, cross = np.zeros((d, d)), np.zeros((d, y.shape[1]))
        for start in range(0, n, CHUNK):
            centred = x[start : start + CHUNK].astype(np.float64) - centre
            gram += centred.T @ centred
            cross += centred.T @ (y[start : start + CHUNK] - level)
        values, vectors = np.linalg.eigh(gram)
        live = _live(values)
        values, vectors = values[live], vectors[:, live]
    unit = max(float(values.sum()) / d, float(np.finfo(np.float64).tiny))
    return Spectrum(centre, level, vectors, values, vectors.T @ cross, unit)


def _live(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues are more than rounding."""
    return np.asarray(values > 1e-12 * max(float(values.max(initial=0.0)), 0.0))
