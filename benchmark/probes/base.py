"""What every probe shares: its interface, and the rule that choices are made on validation alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from benchmark import metrics
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import Data, DataError, Task

M = TypeVar("M")


Predict = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """A fitted probe: what it chose on validation, its validation score, and what it sees of a part → scores.

    Scores: (n, c) logits for class, dense and multi-label tasks, (n,) values for regression. A probe that sees the encoder
    gives scores of every place for dense tasks, (n·places, c). ``arms``: further fits to be scored on test beside the
    headline, each a list of draws whose mean score becomes the extra "<metric>_<arm>"; ``spread``: with a name, smallest,
    largest and standard deviation of the arms become "<metric>_<spread>_min", "…_max" and "…_std".
    """

    chosen: Mapping[str, Any]
    val_score: float
    predict: Predict
    arms: Mapping[str, Sequence[Predict]] = field(default_factory=dict)
    spread: str = ""


class Probe(ABC):
    """Learns a task from frozen features. It is handed train and validation only, never test.

    Registered with ``sees="pooled"`` (the default) or ``sees="tokens"``.
    """

    @abstractmethod
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
        """Fit on train, choose on validation by the task's metric.

        Features: (n, d), one row per labelled token for dense tasks; where the probe sees tokens (n, tokens, d), float32 or
        float16, NaN where a token is padding. Labels: integers (n,), {0, 1} (n, c) for multi-label, floats (n,) for
        regression; every row is labelled. ``val_record``: groups of validation rows whose scores are averaged before they
        are judged.
        """


class EncoderProbe(ABC):
    """Learns a task with the encoder at hand. Registered with ``sees="encoder"``."""

    @abstractmethod
    def fit(
        self, encoder: Embedder, modality: Modality, train: Data, val: Data, task: Task, seed: int, device: str
    ) -> Fitted:
        """Fit on the labelled rows of train, choose on those of validation; ``Fitted.predict`` takes such a part too.

        ``encoder`` is the probe's own copy: it may be changed. In dense tasks single tokens may be unlabelled (-1). Rows of
        one ``val.record`` are averaged before they are judged.
        """


@dataclass
class Choice(Generic[M]):
    """Keeps the candidate with the best validation score; the first of equals."""

    task: Task
    label: np.ndarray
    record: np.ndarray | None = None
    chosen: dict[str, Any] = field(default_factory=dict)
    score: float = float("nan")
    model: M | None = None

    def offer(self, chosen: Mapping[str, Any], model: M, scores: np.ndarray) -> None:
        """Judge a candidate by its validation scores (n, c) or (n,)."""
        metric = metrics.get(self.task.metric)
        label, pooled = self.label, scores
        if self.record is not None:
            label, pooled = pool(self.label, self.record, "first"), pool(scores, self.record, self.task.aggregate)
        value = metric(label, pooled)
        if self.model is None or metric.better(value, self.score):
            self.chosen, self.model, self.score = dict(chosen), model, value

    def best(self) -> M:
        """The winner. Raises DataError when validation could judge none of them."""
        if self.model is None or np.isnan(self.score):
            raise DataError(
                f"task '{self.task.name}': the validation part has no class with both outcomes, so nothing can be "
                f"chosen by {self.task.metric}; leave the task out or use a larger validation part."
            )
        return self.model


def pool(rows: np.ndarray, record: np.ndarray, how: Literal["first", "mean", "max"]) -> np.ndarray:
    """One row per record, in order of first appearance: (n, …), (n,) → (records, …)."""
    _, first, codes = np.unique(record, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[codes]  # records numbered by first appearance
    first = np.sort(first)
    if how == "first":
        return np.asarray(rows[first])
    if how == "max":
        out = np.array(rows[first], copy=True)
        np.maximum.at(out, place, rows)
        return out
    total = np.zeros((len(first), *rows.shape[1:]), dtype=np.float64)
    np.add.at(total, place, rows)
    count = np.bincount(place).reshape(-1, *[1] * (rows.ndim - 1))
    return np.asarray((total / count).astype(rows.dtype))


def standardiser(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, 1/std) of every dimension of train (n, d); dimensions that are constant up to rounding get 0, so they
    carry nothing instead of amplified noise."""
    mean = train.mean(0, dtype=np.float64)
    std = train.std(0, dtype=np.float64)
    live = std > 1e-6 * np.sqrt(mean**2 + std**2)
    inverse = np.divide(1.0, std, out=np.zeros_like(std), where=live)
    return mean.astype(np.float32), inverse.astype(np.float32)


def standardise(x: np.ndarray, mean: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """(n, d) → float32 (n, d) with the statistics of ``standardiser``."""
    return np.asarray((x.astype(np.float32) - mean) * inverse)


def unit(x: np.ndarray) -> np.ndarray:
    """Rows (n, d) scaled to length 1; a row of zeros stays."""
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.divide(x, norm, out=np.zeros_like(x), where=norm > 0))


def subsample(n: int, most: int, seed: int) -> np.ndarray:
    """At most ``most`` of n row numbers, drawn with the seed, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, most, replace=False))


def class_count(task: Task, label: np.ndarray) -> int:
    """Number of classes a prediction has: those the task names, else those seen in train."""
    return max(len(task.classes), int(label.max(initial=0)) + 1)
