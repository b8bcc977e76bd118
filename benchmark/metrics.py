"""Named metrics as data: what a score is, which way is better, what a label-blind guesser gets, how it adds up over units.

Conventions. Labels: (n,) integers for class and dense tasks, (n, c) in {0, 1} for multi-label, (n,) floats for
regression. Scores: (n, c) logits (any increasing function of the probability of each class, comparable over rows), or
predictions already decided (integers of the labels' shape), or (n,) floats for regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import sklearn.metrics

from jepakit.registry import did_you_mean
from jepakit.types import UsageError


@dataclass(frozen=True)
class Additive:
    """A metric written as a function of sums over rows, so that a bootstrap only re-weighs the sums of each unit.

    sums: (labels, scores, codes (n,), units) → (units, k), row sums by unit code; finish: (r, k) → (r,) metric values.
    """

    sums: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One metric. ``needs``: "label" if decided predictions are enough to compute it, "score" if it ranks or measures.

    chance: value of the best label-blind guesser on these labels (the chance row). bounds: smallest and largest value.
    """

    name: str
    function: Callable[[np.ndarray, np.ndarray], float]
    needs: Literal["label", "score"]
    higher_is_better: bool
    chance: Callable[[np.ndarray], float]
    bounds: tuple[float, float] = (0.0, 1.0)
    additive: Additive | None = None

    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float:
        """The metric of ``scores`` (logits or decided predictions) against ``labels``; NaN where it is undefined."""
        if len(labels) != len(scores):
            raise ValueError(f"{self.name}: {len(labels)} labels but {len(scores)} scores")
        return float(self.function(np.asarray(labels), np.asarray(scores)))

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; any number is better than NaN."""
        if np.isnan(a) or np.isnan(b):
            return bool(np.isnan(b) and not np.isnan(a))
        return a > b if self.higher_is_better else a < b


def decide(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Predictions from scores: arg-max for classes, logit > 0 for multi-label; integers pass through as decided."""
    if labels.ndim == 2:
        return scores.astype(np.int64) if scores.dtype.kind in "iub" else (scores > 0).astype(np.int64)
    return scores.argmax(1) if scores.ndim == 2 else scores.astype(np.int64)


def compact(metric: Metric, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Predictions as stored beside a record: decided uint8/int16 where labels are enough, else float16 (32 if needed)."""
    if metric.needs == "label":
        decided = decide(labels, scores)
        return decided.astype(np.uint8 if decided.max(initial=0) < 256 else np.int16)
    if scores.ndim == 1 or np.abs(scores).max(initial=0) > 6e4:  # a regression target keeps its digits
        return scores.astype(np.float32)
    return scores.astype(np.float16)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """(n,) integer labels → (n, classes) booleans; multi-label input passes through as booleans."""
    return np.asarray(labels > 0.5 if labels.ndim == 2 else labels[:, None] == np.arange(classes))


def auroc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve of every class under every row weighting, ties counted one half.

    labels (n, c) booleans, scores (n, c), weights (r, n) row multiplicities or None for all ones → (r, c); NaN where a
    class has not both outcomes. The formula is the weighted Mann-Whitney statistic: one sort of the negatives of a class
    serves all weightings.
    """
    weights = np.ones((1, len(labels))) if weights is None else weights
    out = np.full((len(weights), labels.shape[1]), np.nan)
    for c in range(labels.shape[1]):
        positive = labels[:, c]
        yes, no = scores[positive, c], scores[~positive, c]
        order = np.argsort(no, kind="stable")
        below = np.zeros((len(weights), len(no) + 1), dtype=weights.dtype)
        np.cumsum(weights[:, np.flatnonzero(~positive)[order]], axis=1, out=below[:, 1:])
        low, high = np.searchsorted(no[order], yes, "left"), np.searchsorted(no[order], yes, "right")
        pos = weights[:, positive].astype(np.float64)
        pairs = pos.sum(1) * below[:, -1]
        wins = (pos * (below[:, low].astype(np.float64) + below[:, high])).sum(1) / 2
        np.divide(wins, pairs, out=out[:, c], where=pairs > 0)
    return out


def auroc_by_class(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(c,) AUROC per class (one versus rest for class labels), NaN for classes without both outcomes."""
    if scores.ndim != 2:
        raise UsageError("macro_auroc ranks scores; give it logits of shape (rows, classes), not decided predictions.")
    area: np.ndarray = auroc(one_hot(labels, scores.shape[1]), scores)[0]
    return area


def left_out(labels: np.ndarray, classes: int) -> int:
    """How many classes macro_auroc leaves out because these labels do not contain both outcomes of them."""
    positives = one_hot(labels, classes).sum(0)
    return int(((positives == 0) | (positives == len(labels))).sum())


def nanmean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean over the numbers along ``axis``; NaN (without a warning) where there is none."""
    count = (~np.isnan(values)).sum(axis)
    total = np.nansum(values, axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _class_sums(labels: np.ndarray, scores: np.ndarray, codes: np.ndarray, units: int) -> np.ndarray:
    """Per unit and class: hits, true, predicted rows, flattened to (units, 3·c): all that these metrics need."""
    predicted = decide(labels, scores)
    if labels.ndim == 2:
        true, guess = labels > 0.5, predicted > 0
        sums = np.zeros((units, 3, labels.shape[1]))
        for i, rows in enumerate((true & guess, true, guess)):
            np.add.at(sums[:, i], codes, rows)
        return sums.reshape(units, -1)
    classes = int(max(labels.max(initial=0), predicted.max(initial=0))) + 1
    hit = labels == predicted
    counts = [
        np.bincount(codes[rows] * classes + column[rows], minlength=units * classes).reshape(units, classes)
        for column, rows in ((labels, hit), (labels, slice(None)), (predicted, slice(None)))
    ]
    return np.stack(counts, 1).reshape(units, -1).astype(np.float64)


def _split(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hit, true, guess = np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 0)
    return hit, true, guess


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0))


def _accuracy(sums: np.ndarray) -> np.ndarray:
    hit, true, _ = _split(sums)
    return _ratio(hit.sum(1), true.sum(1))


def _balanced(sums: np.ndarray) -> np.ndarray:
    hit, true, _ = _split(sums)
    return nanmean(_ratio(hit, true))


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    hit, true, guess = _split(sums)
    return nanmean(
        _ratio(2 * hit, true + guess)
    )  # a class neither true nor predicted is left out, as scikit-learn does


def _miou(sums: np.ndarray) -> np.ndarray:
    hit, true, guess = _split(sums)
    return nanmean(_ratio(hit, true + guess - hit))


def _error_sums(labels: np.ndarray, scores: np.ndarray, codes: np.ndarray, units: int) -> np.ndarray:
    y = labels.astype(np.float64)
    y = y - y.mean()  # R² does not see a shift, and the sums keep their digits
    error = labels.astype(np.float64) - scores.astype(np.float64)
    columns = (np.ones_like(y), y, y * y, error * error)
    return np.stack([np.bincount(codes, column, minlength=units) for column in columns], 1)


def _r2(sums: np.ndarray) -> np.ndarray:
    n, y, yy, ee = sums.T
    return 1 - _ratio(ee, yy - _ratio(y * y, n))


def _rmse(sums: np.ndarray) -> np.ndarray:
    n, _, _, ee = sums.T
    return np.asarray(np.sqrt(_ratio(ee, n)))


def _single(labels: np.ndarray, name: str) -> None:
    if labels.ndim != 1:
        raise UsageError(f"{name} is for one label per row; use macro_f1 or macro_auroc for a multi-label task.")


def _accuracy_of(labels: np.ndarray, scores: np.ndarray) -> float:
    _single(labels, "accuracy")
    return float(sklearn.metrics.accuracy_score(labels, decide(labels, scores)))


def _balanced_of(labels: np.ndarray, scores: np.ndarray) -> float:
    _single(labels, "balanced_accuracy")
    predicted, present = decide(labels, scores), np.unique(labels)
    return float(sklearn.metrics.recall_score(labels, predicted, labels=present, average="macro", zero_division=0))


def _macro_f1_of(labels: np.ndarray, scores: np.ndarray) -> float:
    predicted = decide(labels, scores)
    if labels.ndim == 2:  # classes that are neither true nor predicted say nothing and are left out, as for one label
        used = (labels > 0.5).any(0) | (predicted > 0).any(0)
        labels, predicted = (labels[:, used] > 0.5).astype(np.int64), predicted[:, used]
    return float(sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0))


def _miou_of(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over classes of intersection over union of all rows (tokens, cells); a class neither true nor predicted is
    left out, one that is only predicted counts 0."""
    _single(labels, "miou")
    sums = _class_sums(labels, scores, np.zeros(len(labels), dtype=np.int64), 1)
    return float(_miou(sums)[0])


def _macro_auroc_of(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(nanmean(auroc_by_class(labels, scores)))


def _r2_of(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(sklearn.metrics.r2_score(labels, scores)) if len(labels) > 1 else float("nan")


def _rmse_of(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(sklearn.metrics.root_mean_squared_error(labels, scores))


def _priors(labels: np.ndarray) -> np.ndarray:
    """Shares of the classes that occur (for multi-label: of the positives of each class that has one)."""
    if labels.ndim == 2:
        share = (labels > 0.5).mean(0)
        return np.asarray(share[share > 0])
    return np.asarray(np.unique(labels, return_counts=True)[1] / max(len(labels), 1))


def _f1_chance(labels: np.ndarray) -> float:
    share = _priors(labels)
    if labels.ndim == 2:  # always "yes": precision p, recall 1
        return float((2 * share / (1 + share)).mean())
    return float(share.mean())  # drawing from the class prior: precision = recall = p; beats "always the majority"


def _miou_chance(labels: np.ndarray) -> float:
    share = _priors(labels)
    # "Always the majority" has that class's share as its IoU and 0 elsewhere; drawing from the prior p²/(2p - p²) each.
    return float(max(share.max() / len(share), (share / (2 - share)).mean()))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy", _accuracy_of, "label", True, lambda y: float(_priors(y).max()),
            additive=Additive(_class_sums, _accuracy),
        ),
        Metric(
            "balanced_accuracy", _balanced_of, "label", True, lambda y: 1 / len(_priors(y)),
            additive=Additive(_class_sums, _balanced),
        ),
        Metric("macro_f1", _macro_f1_of, "label", True, _f1_chance, additive=Additive(_class_sums, _macro_f1)),
        Metric("miou", _miou_of, "label", True, _miou_chance, additive=Additive(_class_sums, _miou)),
        Metric("macro_auroc", _macro_auroc_of, "score", True, lambda y: 0.5),
        Metric(
            "r2", _r2_of, "score", True, lambda y: 0.0, (-np.inf, 1.0), additive=Additive(_error_sums, _r2),
        ),
        Metric(
            "rmse", _rmse_of, "score", False, lambda y: float(np.std(y)), (0.0, np.inf),
            additive=Additive(_error_sums, _rmse),
        ),
    )
}  # fmt: skip


def get(name: str) -> Metric:
    """The metric of that name, or a UsageError that suggests the nearest known one."""
    if name not in METRICS:
        raise did_you_mean("metric", name, list(METRICS))
    return METRICS[name]
