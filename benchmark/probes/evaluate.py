"""The one function that reads the test part: fit on train, choose on validation, then score test once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from benchmark import metrics
from benchmark.features import Features
from benchmark.probes.base import EncoderProbe, Probe, pool
from jepakit.modality import Modality
from jepakit.nn import Embedder
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


@dataclass(frozen=True)
class Source:
    """Where the features came from, for probes that see the encoder: it, its modality, and the device to run on."""

    encoder: Embedder
    modality: Modality
    device: str = "cpu"


def sees(probe_name: str) -> str:
    """What a probe is handed of a part: "pooled" features, "tokens", or the data and the "encoder"."""
    return str(probes[probe_name].info.get("sees", "pooled"))


def evaluate(
    probe_name: str,
    features: Mapping[Part, Features] | Sealed[Features],
    data: Mapping[Part, Data] | Sealed[Data],
    task: Task,
    seed: int,
    source: Source | None = None,
) -> Score:
    """Score frozen ``features`` (rows of ``data``), or their ``source``, on ``task`` with a probe.

    The probe is handed train and validation rows only, and a copy of the encoder if it sees that; test is unsealed after
    it has chosen. Rows without a label are dropped. Where ``data`` has records, scores of a record's rows are pooled by
    ``task.aggregate`` (in selection too) and the other aggregation is reported in ``extras`` as "<metric>_max" or
    "<metric>_mean"; the probe's arms are reported there as well.

    Raises UsageError for a probe that cannot do the task's kind, DataError for a part in which nothing can be scored,
    ValueError when what the probe sees is not given.
    """
    entry = probes[probe_name]
    if task.kind not in entry.info.get("kinds", (task.kind,)):
        able = ", ".join(name for name in probes if task.kind in probes[name].info.get("kinds", ()))
        raise UsageError(f"probe '{probe_name}' cannot do {task.kind} tasks such as '{task.name}'; use one of: {able}.")
    metric = metrics.get(task.metric)
    features = features if isinstance(features, Sealed) else Sealed(features)
    data = data if isinstance(data, Sealed) else Sealed(data)

    train = _rows(features["train"], data["train"], task, "train", sees(probe_name))
    val = _rows(features["val"], data["val"], task, "val", sees(probe_name))
    if isinstance(train.x, Data):
        if source is None:
            raise ValueError(f"probe '{probe_name}' sees the encoder: give its source")
        guided: EncoderProbe = entry.make()
        fitted = guided.fit(
            _copied(source.encoder), _blinded(source.modality), train.x, val.x, task, seed, source.device
        )
    else:
        probe: Probe = entry.make()
        fitted = probe.fit(train.x, train.label, val.x, val.label, task, seed, val.record)

    with features.opened(), data.opened():
        test = _rows(features["test"], data["test"], task, "test", sees(probe_name))
    labels, units, extras = test.label, test.unit, {}
    raw = test.flat(fitted.predict(test.x))
    if test.record is not None:
        other = "max" if task.aggregate == "mean" else "mean"
        labels, units = _agreed(test.label, test.record, task), pool(test.unit, test.record, "first")
        extras[f"{metric.name}_{other}"] = metric(labels, pool(raw, test.record, other))  # type: ignore[arg-type]
    scores = test.judged(raw, task)
    value = metric(labels, scores)
    if np.isnan(value):
        raise DataError(
            f"task '{task.name}': {metric.name} is undefined on the test part (no class has both outcomes); "
            "leave the task out or use a larger test part."
        )
    if metric.name == "macro_auroc" and (missing := metrics.left_out(labels, scores.shape[1])):
        extras["macro_auroc_left_out"] = float(missing)
    if metric.name == "miou" and (missing := scores.shape[1] - len(np.union1d(labels, scores.argmax(1)))):
        extras["miou_left_out"] = float(missing)
    arms = {
        name: float(np.mean([metric(labels, test.judged(test.flat(one(test.x)), task)) for one in draws]))
        for name, draws in fitted.arms.items()
    }
    extras |= {f"{metric.name}_{name}": value for name, value in arms.items()}
    if fitted.spread:
        every = list(arms.values())
        summary = {"min": np.min(every), "max": np.max(every), "std": np.std(every)}
        extras |= {f"{metric.name}_{fitted.spread}_{name}": float(number) for name, number in summary.items()}
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
    """What a probe sees of a part (arrays, or the part itself), and the rows that are judged: labels, units, records.

    keep: for probes that see the encoder, which of the scores of its rows (and places) are judged.
    """

    x: Any
    label: np.ndarray
    unit: np.ndarray
    record: np.ndarray | None
    keep: np.ndarray | None = None

    def flat(self, scores: np.ndarray) -> np.ndarray:
        """One row of scores per judged label."""
        return scores if self.keep is None else scores.reshape(len(self.keep), -1)[self.keep]

    def judged(self, scores: np.ndarray, task: Task) -> np.ndarray:
        """Scores pooled over the rows of a record."""
        return scores if self.record is None else pool(scores, self.record, task.aggregate)


def _rows(features: Features, data: Data, task: Task, part: str, sees: str) -> _Rows:
    """The labelled rows of a part; for dense tasks one row per labelled token."""
    if task.name not in data.labels:
        raise DataError(f"task '{task.name}' has no labels in the {part} part; known: {', '.join(data.labels)}.")
    label, unit, record = data.labels[task.name].cpu().numpy(), data.unit, data.record
    if len(features) != len(data):
        raise ValueError(f"{part}: features have {len(features)} rows, the data {len(data)}")
    dense = task.kind == "dense"
    keep = _known(label, task, part)
    if not keep.any():
        raise DataError(f"task '{task.name}' has no labelled row in the {part} part; leave the task out.")
    if dense:
        unit, record = np.repeat(unit, label.shape[1]), None
    label, kept = label.reshape(-1) if dense else label, keep.reshape(-1)
    judged = label[kept], unit[kept], None if record is None else record[kept]
    if sees == "encoder":
        some = keep.any(1) if dense else keep
        return _Rows(data.take(np.flatnonzero(some)), *judged, keep[some].reshape(-1) if dense else None)
    x = features.pooled
    if dense or sees == "tokens":
        if features.tokens is None:
            raise ValueError(f"task '{task.name}' is {task.kind} on tokens: extract features with tokens=True")
        x = features.tokens
    if dense:
        if x.shape[:2] != keep.shape:
            raise ValueError(f"task '{task.name}': labels {keep.shape} for tokens {x.shape[:2]}")
        x = x.reshape(-1, x.shape[2])
    return _Rows(x if kept.all() else x[kept], *judged)


def _copied(encoder: Embedder) -> Embedder:
    """A copy of the encoder, so that whatever a probe does to it, the next one gets it as it was. Modalities that it
    refers to are not copied with their data, but cannot be asked for test."""
    held = [value for module in encoder.modules() for value in vars(module).values() if isinstance(value, Modality)]
    own: Embedder = copy.deepcopy(encoder, {id(one): _blinded(one) for one in held})
    return own


def _blinded(modality: Modality) -> Modality:
    """The same modality with the test part sealed."""
    clone = copy.copy(modality)

    def data(part: Part) -> Data:
        if part == "test":
            raise SealedError("a probe may not ask for the test part; it is given to the fitted probe's predict")
        return modality.data(part)

    clone.data = data  # type: ignore[method-assign]
    return clone


def _known(label: np.ndarray, task: Task, part: str) -> np.ndarray:
    """Which rows, or tokens (n, tokens), carry a label."""
    if task.kind in ("class", "dense"):
        return np.asarray(label >= 0)
    if task.kind == "regression":
        return np.isfinite(label)
    unknown = np.isnan(label) | (label < 0)
    keep = ~unknown.all(1)
    if (unknown[keep]).any():
        raise DataError(f"task '{task.name}': some rows of the {part} part are labelled for some classes only.")
    return np.asarray(keep)


def _agreed(label: np.ndarray, record: np.ndarray, task: Task) -> np.ndarray:
    """The label of each record. Raises ValueError when the rows of a record disagree."""
    _, first, codes = np.unique(record, return_index=True, return_inverse=True)
    if not np.array_equal(label[first][codes], label):
        raise ValueError(f"task '{task.name}': rows of one record carry different labels")
    return pool(label, record, "first")
