"""Linear probe: logistic regression (class, multi-label) or ridge (regression), penalty and weighting by validation.

The published default. Features are standardised on train. Classes: multinomial; multi-label: independent sigmoids. The
L2 penalties are a path from strong to weak, each solved by L-BFGS from the last solution, in the eigenbasis of the
features with every direction scaled by the curvature bound of the loss (Böhning 1992): the same minimum, reached in a
few steps even when features are nearly collinear. Regression: ridge for all penalties from one eigendecomposition.
More than TRAIN_ROWS training rows are subsampled with the seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from benchmark.probes.base import Choice, Fitted, Probe, class_count, standardise, standardiser, subsample
from jepakit.registry import probes
from jepakit.types import DataError, Task

TRAIN_ROWS = 20_000
# Penalties per row on standardised features, the loss being a mean over rows: scikit-learn's C = 1/(n·penalty).
PENALTIES = tuple(float(10**exponent) for exponent in np.arange(0, -5.25, -0.5))
RIDGE = tuple(float(10**exponent) for exponent in np.arange(3, -6.1, -0.25))
# Logit of a class that train never shows: far below every other, so that it is never predicted.
UNSEEN = -50.0
EPS = float(np.finfo(np.float64).eps)


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
        train, train_label = train[rows], train_label[rows]
        mean, inverse = standardiser(train)
        x = standardise(train, mean, inverse)
        held = standardise(val, mean, inverse)
        choice: Choice[tuple[np.ndarray, np.ndarray]] = Choice(task, val_label, val_record)
        finish = _finisher(task, train_label)
        path = _ridge_path if task.kind == "regression" else _logistic_path
        path(
            x,
            train_label,
            task,
            lambda chosen, weight, bias: choice.offer(chosen, (weight, bias), finish(held @ weight + bias)),
        )
        weight, bias = choice.best()

        def predict(features: np.ndarray) -> np.ndarray:
            return finish(standardise(features, mean, inverse) @ weight + bias)

        return Fitted(choice.chosen, choice.score, predict)


Report = Callable[[dict[str, float | str], np.ndarray, np.ndarray], None]


def _finisher(task: Task, label: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Raw outputs → scores: normalised log-probabilities of all classes, or the outputs as they are."""
    if task.kind in ("multilabel", "regression"):
        return lambda raw: raw
    seen, classes = np.unique(label), class_count(task, label)

    def finish(raw: np.ndarray) -> np.ndarray:
        top = raw.max(1, keepdims=True)
        scores = np.full((len(raw), classes), UNSEEN, dtype=np.float32)
        # Normalised, so that scores are comparable over rows (AUROC ranks rows) and over windows (their mean).
        scores[:, seen] = raw - top - np.log(np.exp(raw - top).sum(1, keepdims=True))
        return scores

    return finish


def _ridge_path(x: np.ndarray, label: np.ndarray, task: Task, report: Report) -> None:
    y = label.astype(np.float64)
    values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64) / len(x))
    values = values.clip(0)
    pull = vectors.T @ (x.T.astype(np.float64) @ (y - y.mean())) / len(x)
    bias = np.float32(y.mean())
    for penalty in RIDGE:
        weight = vectors @ (pull / (values + penalty))
        report({"penalty": penalty}, weight.astype(np.float32), np.asarray(bias))


def _logistic_path(x: np.ndarray, label: np.ndarray, task: Task, report: Report) -> None:
    multi = task.kind == "multilabel"
    if multi:
        y = label > 0.5
        if not (y.any(0) & ~y.all(0)).any():
            raise DataError(f"task '{task.name}': no class has both outcomes in train; use a larger training part.")
    else:
        seen, code = np.unique(label, return_inverse=True)
        if len(seen) < 2:
            raise DataError(f"task '{task.name}': train shows one class only; use a larger training part.")
        y = code[:, None] == np.arange(len(seen))
    torch.set_flush_denormal(True)  # confident rows make denormal gradients, ten times slower on a CPU
    values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64) / len(x))
    rotated = torch.from_numpy(x @ vectors.astype(np.float32))
    target = torch.from_numpy(y.astype(np.float32))
    # Multi-label sigmoids are not re-weighted: ranking metrics hardly see it and it doubles the cost.
    for weighting in ("none",) if multi else ("none", "balanced"):
        rows = np.ones(len(y)) if weighting == "none" else (len(y) / (y.sum(0) * y.shape[1]))[y.argmax(1)]
        loss = _Loss(rotated, target, torch.from_numpy((rows / rows.sum()).astype(np.float32)), multi)
        start = np.zeros((x.shape[1] + 1, y.shape[1]))
        start[-1] = _log_prior(y, rows, multi)
        for penalty in PENALTIES:
            start = loss.minimise(start, penalty, values.clip(0))
            weight = (vectors @ start[:-1]).astype(np.float32)
            report({"penalty": penalty, "weighting": weighting}, weight, start[-1].astype(np.float32))


def _log_prior(y: np.ndarray, rows: np.ndarray, multi: bool) -> np.ndarray:
    prior = ((rows @ y + 0.5) / (rows.sum() + 1)).clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(prior / (1 - prior)) if multi else np.log(prior))


class _Loss:
    """Weighted mean log-loss plus penalty/2·‖weights‖² (the bias is free) and its gradient."""

    def __init__(self, x: Tensor, y: Tensor, rows: Tensor, multi: bool) -> None:
        self.x, self.y, self.rows, self.multi = x, y, rows[:, None], multi

    def data_term(self, weight: np.ndarray) -> tuple[float, np.ndarray]:
        """weight (d + 1, c), the bias last → loss and gradient of the same shape."""
        w = torch.from_numpy(weight.astype(np.float32))
        logits = torch.addmm(w[-1], self.x, w[:-1])
        if self.multi:
            # softplus(l) - y·l, and its derivative
            loss = float(
                ((torch.nn.functional.softplus(logits) - self.y * logits) * self.rows).sum(dtype=torch.float64)
            )
            pull = logits.sigmoid_().sub_(self.y).mul_(self.rows)
        else:
            log = torch.log_softmax(logits, 1)
            loss = -float(((log * self.y).sum(1, keepdim=True) * self.rows).sum(dtype=torch.float64))
            pull = log.exp_().sub_(self.y).mul_(self.rows)
        gradient = torch.cat([self.x.T @ pull, pull.sum(0, keepdim=True)])
        return loss, gradient.double().numpy()

    def minimise(self, start: np.ndarray, penalty: float, values: np.ndarray) -> np.ndarray:
        """The minimum for one penalty from ``start`` (d + 1, c); ``values``: second moments of the directions of x."""
        scale = np.append(1 / np.sqrt(values / 4 + penalty), 2.0)[:, None]  # a logit's curvature is at most 1/4

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weight = scale * flat.reshape(start.shape)
            loss, gradient = self.data_term(weight)
            loss += penalty / 2 * float((weight[:-1] ** 2).sum())
            gradient[:-1] += penalty * weight[:-1]
            return loss, (scale * gradient).ravel()

        flat, _, _ = fmin_l_bfgs_b(value, (start / scale).ravel(), m=10, factr=1e-7 / EPS, pgtol=1e-5, maxiter=200)
        return np.asarray(scale * np.reshape(flat, start.shape))
