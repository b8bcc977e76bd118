"""The few types that every part of the suite exchanges, and the axis-letter table.

Axis letters, one table for the repository (used in every jaxtyping annotation):

    b batch · n tokens · d width · p coordinates · m contexts · t targets per context
    k visible tokens · q queried tokens · e target width · v views · c channels or classes
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


def gather(x: Float[Tensor, "b n d"], index: Int[Tensor, "b *i"]) -> Float[Tensor, "b *i d"]:
    """Rows of ``x`` at ``index`` along the token axis; ``index`` may have any number of inner axes.

    Shapes: ``x`` (b, n, d), ``index`` (b, ...) with values in [0, n) → (b, ..., d).
    """
    flat = index.flatten(1)
    rows = torch.gather(x, 1, flat[..., None].expand(-1, -1, x.shape[-1]))
    return rows.reshape(*index.shape, x.shape[-1])


@dataclass(frozen=True)
class Tokens:
    """What every modality becomes: a set of vectors with coordinates.

    x: (b, n, d) token vectors; pos: (b, n, p) coordinates (grid indices, or metres for sensors);
    valid: (b, n) True where the token is real, or None when all are.
    """

    x: Float[Tensor, "b n d"]
    pos: Float[Tensor, "b n p"]
    valid: Bool[Tensor, "b n"] | None = None

    def take(self, index: Int[Tensor, "b *i"]) -> Tokens:
        """The only gather of the library: keep the tokens at ``index``.

        An index of shape (b, m, k) gives m token sets per sample, folded into the batch axis
        sample by sample: the result has x of shape (b·m, k, d).
        """
        k = index.shape[-1]
        valid = None
        if self.valid is not None:
            valid = torch.gather(self.valid, 1, index.flatten(1)).reshape(-1, k)
        return Tokens(
            gather(self.x, index).reshape(-1, k, self.x.shape[-1]),
            gather(self.pos, index).reshape(-1, k, self.pos.shape[-1]),
            valid,
        )

    def mean(self) -> Float[Tensor, "b d"]:
        """Mean over the valid tokens."""
        if self.valid is None:
            return self.x.mean(1)
        weight = self.valid.to(self.x.dtype)[..., None]
        return (self.x * weight).sum(1) / weight.sum(1).clamp_min(1)


@dataclass(frozen=True)
class Split:
    """Which tokens a masker shows and which it asks for, as index tensors of equal lengths.

    context: (b, m, k) visible tokens of each of m contexts; target: (b, m, t, q) queried tokens,
    t target groups per context, each predicted in a pass of its own.
    """

    context: Int[Tensor, "b m k"]
    target: Int[Tensor, "b m t q"]


@dataclass(frozen=True)
class Losses:
    """The scalar to minimise and its named parts (detached, for logs and records)."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """A mini-batch: raw input ``x`` (b, ...), labels by task, per-sample side inputs."""

    x: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def with_x(self, x: Tensor) -> Batch:
        """The same batch with another raw input (an augmented or cropped one)."""
        return replace(self, x=x)


@dataclass(frozen=True)
class Data:
    """One part (train, val or test) of a data set, resident in memory.

    x: (n, ...) raw inputs as stored (float32, float16, uint8 …). labels by task name: class → int64 (n,), -1 where
    unknown; multilabel → float32 (n, c); regression → float32 (n,), NaN where unknown; dense → int64 (n, tokens), -1
    where unlabelled. unit: (n,) the split and bootstrap unit (patient, subject, speaker …) as strings. record: (n,)
    groups the rows whose scores are aggregated into one prediction (windows of one recording); default: each row alone.
    extra: per-row side inputs (electrode positions …) handed on to ``Batch.extra``. repairs: what was mended while
    reading, by kind, with counts (kept in the record of every run). scale: (mean, std), each broadcast over a row, for
    inputs that are stored as they came (uint8 pixels): ``batch`` gives (x − mean) / std.
    """

    x: Tensor
    labels: Mapping[str, Tensor]
    unit: np.ndarray
    record: np.ndarray | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)
    scale: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __post_init__(self) -> None:
        n = len(self.x)
        columns: dict[str, Tensor | np.ndarray] = {**self.labels, **self.extra, "unit": self.unit}
        if self.record is not None:
            columns["record"] = self.record
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(f"column '{name}' has {len(column)} rows, the input has {n}")

    def batch(self, index: Int[Tensor, "b"]) -> Batch:
        """The rows at ``index`` as a Batch; float16 and integer inputs become float32, stored ones are standardised."""
        index = index.to(self.x.device)
        x = self.x[index].float()
        if self.scale is not None:
            x = (x - self.scale[0]) / self.scale[1]
        return Batch(
            x,
            {name: column[index] for name, column in self.labels.items()},
            {name: column[index] for name, column in self.extra.items()},
        )

    def to(self, device: torch.device | str) -> Data:
        """The same part with its tensors on ``device``."""
        return replace(
            self,
            x=self.x.to(device),
            labels={name: column.to(device) for name, column in self.labels.items()},
            extra={name: column.to(device) for name, column in self.extra.items()},
            scale=None if self.scale is None else (self.scale[0].to(device), self.scale[1].to(device)),
        )

    def take(self, index: np.ndarray) -> Data:
        """The rows at ``index`` (n',), in that order, as a part of their own."""
        at = torch.from_numpy(index).to(self.x.device)
        return replace(
            self,
            x=self.x[at],
            labels={name: column[at] for name, column in self.labels.items()},
            unit=self.unit[index],
            record=None if self.record is None else self.record[index],
            extra={name: column[at] for name, column in self.extra.items()},
        )

    def fingerprint(self) -> str:
        """sha256 over inputs, labels, units, records, side inputs and scale: equal data, equal hash."""
        digest = hashlib.sha256()
        tensors = {"x": self.x, **self.labels, **{f"extra.{k}": v for k, v in self.extra.items()}}
        if self.scale is not None:
            tensors |= {"scale.mean": self.scale[0], "scale.std": self.scale[1]}
        for name in sorted(tensors):
            array = np.ascontiguousarray(tensors[name].cpu().numpy())
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(array.data if array.size else b"")
        for name, column in (("unit", self.unit), ("record", self.record)):
            if column is not None:
                digest.update(f"{name}{len(column)}".encode())
                digest.update("\x00".join(map(str, column)).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Size:
    """How large a model is and how long it is trained; the preset's choice, the same for every row of a board.

    ``steps`` is the planned number of optimiser steps: recipes use it where a paper's constant only makes sense for the
    paper's own run length (the EMA start of a short run).
    """

    dim: int = 192
    depth: int = 8
    heads: int = 4
    predictor_dim: int = 96
    predictor_depth: int = 8
    predictor_heads: int = 4
    steps: int = 100_000


@dataclass(frozen=True)
class Task:
    """One question asked of frozen features.

    kind: what the label is (see ``Data.labels``); classes: names of the classes in label order; metric: headline metric
    by its name in ``benchmark.metrics``; nuisance: True for factors good features may ignore (subject, noise level);
    aggregate: how the scores of the windows of one record become one prediction.
    """

    name: str
    kind: Literal["class", "multilabel", "regression", "dense"]
    metric: str
    classes: tuple[str, ...] = ()
    nuisance: bool = False
    aggregate: Literal["mean", "max"] = "mean"


@dataclass(frozen=True)
class Card:
    """What a reader must know of a data set before quoting a number on it."""

    title: str
    licence: str
    source: str
    citation: str
    unit: str
    notes: str = ""


class UsageError(Exception):
    """Bad input from a person: wrong name, missing file, impossible setting. The message is one sentence with the remedy;
    the command line prints it without a stack trace and exits with status 3."""


class DataError(UsageError):
    """A data set that is missing, half-copied or inconsistent; the message names the file and what to do."""
