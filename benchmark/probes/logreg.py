"""Logistic probe: plain L2 logistic regression by L-BFGS along a warm path of penalties, on the device.

The published recipe without additions: no class weighting, every training row, penalties from strong to weak, each
started from the solutions before it, validation chooses. Multi-label: independent sigmoids. What is solved is
scikit-learn's problem with C = 1/(n·penalty). How is the probe's own: in the eigenbasis of the features every direction
is scaled by the curvature that the loss has at the class shares, and the path is extrapolated, so that a penalty needs
about ten evaluations. Products are float32 with denormals flushed: confident rows make denormal gradients, ten times
slower on a CPU.
Tests: test_probe_logreg.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor
from torch.nn import functional

from benchmark.probes.base import Choice, Fitted, Probe, class_count, standardise, standardiser
from jepakit.registry import probes
from jepakit.types import DataError, Task

# Relative to the mean variance of a feature, for the mean loss over rows.
FACTORS = tuple(float(factor) for factor in np.logspace(0, -5, 15))
# Logit of a class that train never shows: far below every other, so that it is never predicted.
UNSEEN = -50.0
STEPS = 500
# Of the scaled gradient, in units of the mean curvature p(1 - p) of the classes (the gradient of one of many classes is that
# much smaller); a hundredth of it for what a step must gain of the loss.
TOLERANCE = 3.3e-4
AHEAD = 0.8  # the start of a penalty: the last solution, and this share of the last step along the path


@probes.register("logreg", kinds=("class", "multilabel", "dense"))
class LogisticProbe(Probe):
    """Multinomial or per-label logistic regression, penalty by validation."""

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
        target, columns, classes = targets(train_label, task)
        held = standardise(val, mean, inverse)
        choice: Choice[tuple[np.ndarray, np.ndarray]] = Choice(task, val_label, val_record)

        def score(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
            return finish(x @ weight + bias, columns, classes, task)

        for one in path(standardise(train, mean, inverse), target, task.kind == "multilabel"):
            chosen = {"penalty": one.factor, "converged": one.converged}
            choice.offer(chosen, (one.weight, one.bias), score(held, one.weight, one.bias))
        weight, bias = choice.best()
        return Fitted(
            choice.chosen,
            choice.score,
            lambda features: score(standardise(features, mean, inverse), weight, bias),
        )


def targets(label: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray, int]:
    """(targets (n, c) in {0, 1}, which class each column is, number of classes).

    Raises DataError when nothing can be learned: a single class, or no class with both outcomes.
    """
    if task.kind == "multilabel":
        target = (label > 0.5).astype(np.float32)
        if not (target.any(0) & ~target.all(0)).any():
            raise DataError(f"task '{task.name}': no class has both outcomes in train; use a larger training part.")
        return target, np.arange(target.shape[1]), target.shape[1]
    seen, code = np.unique(label, return_inverse=True)
    if len(seen) < 2:
        raise DataError(f"task '{task.name}': train shows one class only; use a larger training part.")
    return np.eye(len(seen), dtype=np.float32)[code], seen, class_count(task, label)


def finish(raw: np.ndarray, columns: np.ndarray, classes: int, task: Task) -> np.ndarray:
    """Logits of ``columns`` (n, c) → scores of all classes: log-probabilities of a softmax, so that rows and windows
    compare; a class that train never shows is put last."""
    if task.kind == "multilabel":
        return raw
    scores = np.full((len(raw), classes), UNSEEN, dtype=np.float32)
    scores[:, columns] = torch.log_softmax(torch.from_numpy(raw), 1).numpy()
    return scores


@dataclass(frozen=True)
class Solution:
    """One point of the path: weight (d, c) and bias (c,), float32; penalty: of the mean loss; whether L-BFGS converged;
    how often the loss was evaluated."""

    factor: float
    penalty: float
    weight: np.ndarray
    bias: np.ndarray
    converged: bool
    evaluations: int


def path(
    x: np.ndarray,
    target: np.ndarray,
    multi: bool,
    factors: tuple[float, ...] = FACTORS,
    tolerance: float = TOLERANCE,
    device: str | None = None,
    rows: np.ndarray | None = None,
) -> Iterator[Solution]:
    """Solutions for every factor in turn: min mean loss(x·W + b, target) + penalty/2·‖W‖², penalty = factor·mean(x²).

    ``x`` (n, d) standardised, ``target`` (n, c) in {0, 1}; ``multi``: sigmoids instead of a softmax; ``rows`` (n,): weights
    of the rows in the mean, all alike by default. The path runs from the first factor on, each solution the start of the
    next, so give the strongest first. ``device``: CUDA if there is one.
    """
    torch.set_flush_denormal(True)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    weights = np.ones(len(x)) if rows is None else rows * (len(x) / rows.sum())
    moved = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(device)
    values, vectors = np.linalg.eigh((moved.T @ moved).double().cpu().numpy() / len(x))
    values = values.clip(0)
    loss = Loss(moved @ torch.from_numpy(vectors.astype(np.float32)).to(device), target, multi, weights)
    share = (weights @ target.astype(np.float64) + 0.5) / (len(target) + 1)
    curvature = float((share * (1 - share)).mean())
    last = np.zeros((target.shape[1], x.shape[1] + 1))
    last[:, -1] = np.log(share / (1 - share)) if multi else np.log(share)
    step = np.zeros_like(last)
    for factor in factors:
        penalty = factor * max(float(values.mean()), float(np.finfo(np.float32).tiny))
        scale = np.append(1 / np.sqrt(curvature * values + penalty), 1 / np.sqrt(curvature))
        found, converged, evaluations = _minimise(loss, last + AHEAD * step, penalty, scale, tolerance * curvature)
        step, last = found - last, found
        weight = (vectors @ found[:, :-1].T).astype(np.float32)
        yield Solution(factor, penalty, weight, found[:, -1].astype(np.float32), converged, evaluations)


class Loss:
    """Weighted mean log-loss over rows and its gradient with respect to coefficients (c, d + 1), the bias last.

    Classes come first and features are held in both orders, because a CPU multiplies and normalises such narrow arrays
    several times faster along their long side.
    """

    def __init__(self, x: Tensor, target: np.ndarray, multi: bool, weights: np.ndarray) -> None:
        self.x, self.columns, self.multi = x, x.T.contiguous(), multi
        self.target = torch.from_numpy(np.ascontiguousarray(target.T)).to(x.device)
        self.true = self.target.argmax(0), torch.arange(len(x), device=x.device)
        self.weights = torch.from_numpy((weights / weights.sum()).astype(np.float32)).to(x.device)

    def __call__(self, weight: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(weight.astype(np.float32)).to(self.x.device)
        logits = (w[:, :-1] @ self.columns).add_(w[:, -1:])
        # The loss is summed in float64: over thousands of rows float32 loses the digits that a line search compares.
        if self.multi:
            each = (functional.softplus(logits) - self.target * logits).sum(0, dtype=torch.float64)
            pull = logits.sigmoid_().sub_(self.target)
        else:
            log = torch.log_softmax(logits, 0)
            each = -log[self.true].double()
            pull = log.exp_()
            pull[self.true] -= 1
        pull *= self.weights
        gradient = torch.cat([pull @ self.x, pull.sum(1, keepdim=True)], 1)
        return float(each @ self.weights.double()), gradient.double().cpu().numpy()


def _minimise(
    loss: Loss, start: np.ndarray, penalty: float, scale: np.ndarray, tolerance: float
) -> tuple[np.ndarray, bool, int]:
    """(minimum of loss + penalty/2·‖weights‖², whether it converged, evaluations) from ``start`` (c, d + 1); ``scale``
    (d + 1,): a typical step of each coordinate."""

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = scale * flat.reshape(start.shape)
        total, gradient = loss(weight)
        total += penalty / 2 * float((weight[:, :-1] ** 2).sum())
        gradient[:, :-1] += penalty * weight[:, :-1]
        return total, (scale * gradient).ravel()

    flat, _, info = fmin_l_bfgs_b(
        value,
        (start / scale).ravel(),
        m=10,
        factr=tolerance / 100 / np.finfo(np.float64).eps,
        pgtol=tolerance,
        maxiter=STEPS,
        maxfun=2 * STEPS,
    )
    return np.asarray(scale * flat.reshape(start.shape)), info["warnflag"] == 0, int(info["funcalls"])
