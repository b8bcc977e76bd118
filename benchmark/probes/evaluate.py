"""The one function that reads the test part: fit on train, choose on validation, then score test once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from benchmark import metrics
from benchmark.features import Features
from benchmark.probes.base import Probe, pool
from jepakit.registry import probes
from jepakit.types import Data, DataError, Part, Task, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Score:
    """A probe's result on one task. value: test; val: validation; labels, predictions, units: the test rows that were
    judged (one per record where rows are windows), in the test part's order; predictions are (n, c) logits or (n,)
    values; extras: further metrics by name (the other aggregation of windows)."""

    task: str
    probe: str
    metric: str
    value: float
    val: float
    chosen: Mapping[str, Any]
    kind: str
    predictions: np.ndarray
    labels: np.ndarray
    units: np.ndarray
    extras: Mapping[str, float] = field(default_factory=dict)


class SealedError(RuntimeError):
    """The test part was read before a probe had made its choices."""


class Sealed(Generic[T]):
    """The parts of something (data, features) with a seal on test: reading it outside ``opened`` raises SealedError."""

    def __init__(self, parts: Mapping[Part, T]) -> None:
        self._parts = parts
        self._open = False

    def __getitem__(self, part: Part) -> T:
        if part == "test" and not self._open:
            raise SealedError("the test part is sealed until the probe has been fitted and chosen on validation")
        return self._parts[part]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Break the seal for the duration of a with-block."""
        self._open = True
        try:
            yield
        finally:
            self._open = False


def evaluate(
    probe_name: str,
    features: Mapping[Part, Features] | Sealed[Features],
    data: Mapping[Part, Data] | Sealed[Data],
    task: Task,
    seed: int,
) -> Score:
    """Score frozen ``features`` (rows of ``data``) on ``task`` with a probe.

    The probe is handed train and validation rows only; test is unsealed after it has chosen. Rows without a label are
    dropped. Where ``data`` has records, scores of a record's rows are pooled by ``task.aggregate`` (in selection too)
    and the other aggregation is reported in ``extras`` as "<metric>_max" or "<metric>_mean".

    Raises UsageError for a probe that cannot do the task's kind, DataError for a part in which nothing can be scored.
    """
    entry = probes[probe_name]
    if task.kind not in entry.info.get("kinds", (task.kind,)):
        able = ", ".join(name for name in probes if task.kind in probes[name].info.get("kinds", ()))
        raise UsageError(f"probe '{probe_name}' cannot do {task.kind} tasks such as '{task.name}'; use one of: {able}.")
    metric = metrics.get(task.metric)
    features = features if isinstance(features, Sealed) else Sealed(features)
    data = data if isinstance(data, Sealed) else Sealed(data)

    train = _rows(features["train"], data["train"], task, "train")
    val = _rows(features["val"], data["val"], task, "val")
    probe: Probe = entry.make()
    fitted = probe.fit(train.x, train.label, val.x, val.label, task, seed, val.record)

    with features.opened(), data.opened():
        test = _rows(features["test"], data["test"], task, "test")
    scores = fitted.predict(test.x)
    labels, units, extras = test.label, test.unit, {}
    if test.record is not None:
        other = "max" if task.aggregate == "mean" else "mean"
        labels, units = _agreed(test.label, test.record, task), pool(test.unit, test.record, "first")
        extras[f"{metric.name}_{other}"] = metric(labels, pool(scores, test.record, other))  # type: ignore[arg-type]
        scores = pool(scores, test.record, task.aggregate)
    value = metric(labels, scores)
    if np.isnan(value):
        raise DataError(
            f"task '{task.name}': {metric.name} is undefined on the test part (no class has both outcomes); "
            "leave the task out or use a larger test part."
        )
    if metric.name == "macro_auroc" and (missing := metrics.left_out(labels, scores.shape[1])):
        extras["macro_auroc_left_out"] = float(missing)
    return Score(
        task.name,
        probe_name,
        metric.name,
        value,
        fitted.val_score,
        fitted.chosen,
        task.kind,
        scores,
        labels,
        units,
        extras,
    )


@dataclass(frozen=True)
class _Rows:
    x: np.ndarray
    label: np.ndarray
    unit: np.ndarray
    record: np.ndarray | None


def _rows(features: Features, data: Data, task: Task, part: str) -> _Rows:
    """The labelled rows of a part; for dense tasks one row per labelled token."""
    if task.name not in data.labels:
        raise DataError(f"task '{task.name}' has no labels in the {part} part; known: {', '.join(data.labels)}.")
    label, x, unit, record = data.labels[task.name].cpu().numpy(), features.pooled, data.unit, data.record
    if len(x) != len(data):
        raise ValueError(f"{part}: features have {len(x)} rows, the data {len(data)}")
    if task.kind == "dense":
        if features.tokens is None:
            raise ValueError(f"task '{task.name}' is dense: extract features with tokens=True")
        if features.tokens.shape[:2] != label.shape:
            raise ValueError(f"task '{task.name}': labels {label.shape} for tokens {features.tokens.shape[:2]}")
        unit, record = np.repeat(unit, label.shape[1]), None
        x, label = features.tokens.reshape(-1, features.tokens.shape[2]), label.ravel()
    if task.kind in ("class", "dense"):
        keep = label >= 0
    elif task.kind == "regression":
        keep = np.isfinite(label)
    else:
        unknown = np.isnan(label) | (label < 0)
        keep = ~unknown.all(1)
        if (unknown[keep]).any():
            raise DataError(f"task '{task.name}': some rows of the {part} part are labelled for some classes only.")
    if not keep.any():
        raise DataError(f"task '{task.name}' has no labelled row in the {part} part; leave the task out.")
    if keep.all():
        return _Rows(x, label, unit, record)
    return _Rows(x[keep], label[keep], unit[keep], None if record is None else record[keep])


def _agreed(label: np.ndarray, record: np.ndarray, task: Task) -> np.ndarray:
    """The label of each record. Raises ValueError when the rows of a record disagree."""
    _, first, codes = np.unique(record, return_index=True, return_inverse=True)
    if not np.array_equal(label[first][codes], label):
        raise ValueError(f"task '{task.name}': rows of one record carry different labels")
    return pool(label, record, "first")
