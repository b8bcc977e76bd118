"""SignalModality: the base of multi-channel time series ("b c t"): tokens, crops, windows and the mending of raw signals."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality, grid_positions
from jepakit.types import PARTS, Batch, Data, DataError, Part, Task, Tokens

CLIP = 5.0  # standard deviations (Weimann & Conrad)


@functools.lru_cache(maxsize=2)
def _parts(kind: type[SignalModality], root: Path | None) -> dict[Part, Data]:
    """Every part of one data set, read once per process: boards build the same modality once per cell."""
    parts = kind.read(root)
    return check_classes(f"{kind.name}/{kind.dataset}", kind(root).tasks, parts)


class SignalModality(Modality):
    """Multi-channel time series. A subclass states the facts below and how to ``read`` its parts.

    channels; length: samples of one model input; patch: samples per token; rate: Hz; independent: the channels that
    channel tokens are made of (None: all); channel_patch: samples of a channel token (None: ``patch``). Stored
    recordings may be longer than ``length``: ``crop`` cuts training batches, ``windows`` cuts what is probed. A dense
    label has one entry per ``patch`` samples of the stored recording.
    """

    channels: ClassVar[int]
    length: ClassVar[int]
    patch: ClassVar[int]
    rate: ClassVar[float]
    independent: ClassVar[tuple[int, ...] | None] = None
    channel_patch: ClassVar[int | None] = None
    tasks: tuple[Task, ...] = ()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(None if root is None else Path(root))
        self.grid = (self.length // self.patch,)

    @classmethod
    @abstractmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        """All parts, standardised with train statistics. Raises DataError naming the file and the remedy."""

    def data(self, part: Part) -> Data:
        return _parts(type(self), self.root)[part]

    def tokenizer(self, dim: int) -> nn.Module:
        return JointTokenizer(self.channels, self.patch, self.grid, dim)

    @property
    def patch_values(self) -> int:
        return self.channels * self.patch

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, n, channels · patch), channel-major inside a token, like the weight of the tokenizer."""
        return batch.x.unfold(2, self.patch, self.patch).transpose(1, 2).flatten(2)

    def crop(self, batch: Batch) -> Batch:
        """A random crop to ``length`` with its own start per sample; identity when already that long.

        Where a dense label is on board, starts fall on token borders, so that the label is cropped exactly with the signal.
        """
        total = self._checked(batch.x)
        if total == self.length:
            return batch
        dense = [task.name for task in self.tasks if task.kind == "dense" and task.name in batch.labels]
        step = self.patch if dense else 1
        device = batch.x.device
        start = step * torch.randint((total - self.length) // step + 1, (len(batch),), device=device)
        index = start[:, None] + torch.arange(self.length, device=device)
        x = batch.x.gather(2, index[:, None].expand(-1, batch.x.shape[1], -1))
        labels = dict(batch.labels)
        for name in dense:
            tokens = (start // self.patch)[:, None] + torch.arange(self.grid[0], device=device)
            labels[name] = labels[name].gather(1, tokens)
        return replace(batch, x=x, labels=labels)

    def windows(self, data: Data) -> Data:
        """Windows of ``length`` with half-length stride (50 % overlap); ``record`` names the recording each came from.

        A tail shorter than one stride is not covered. Identity when recordings are ``length`` long already.
        """
        total = self._checked(data.x)
        if total == self.length:
            return data
        dense = [task.name for task in self.tasks if task.kind == "dense"]
        stride = self.length // 2
        if dense:  # windows start on token borders
            stride -= stride % self.patch
        x = data.x.unfold(2, self.length, stride).transpose(1, 2)  # n w c t
        each = x.shape[1]

        def spread(name: str, column: Tensor) -> Tensor:
            if name in dense:
                return column.unfold(1, self.grid[0], stride // self.patch)[:, :each].flatten(0, 1)
            return column.repeat_interleave(each, 0)

        record = data.record if data.record is not None else np.arange(len(data)).astype(str)
        return Data(
            x.flatten(0, 1),
            {name: spread(name, column) for name, column in data.labels.items()},
            np.repeat(data.unit, each),
            np.repeat(record, each),
            {name: column.repeat_interleave(each, 0) for name, column in data.extra.items()},
            data.repairs,
        )

    def channelwise(self) -> Modality:
        return ChannelTokens(self)

    def _checked(self, x: Tensor) -> int:
        total = x.shape[-1]
        if total < self.length:
            raise DataError(
                f"{self.name}/{self.dataset} has recordings of {total} samples, shorter than the model input of "
                f"{self.length}; leave such recordings out of the data folder"
            )
        return total


class ChannelTokens(Modality):
    """The same data set with one token per (channel, patch): channel-major, pos = (channel, patch number).

    Dense labels stay those of the joint tokens; ``benchmark.features`` brings channel tokens to their places.
    """

    def __init__(self, signal: SignalModality) -> None:
        super().__init__(signal.root)
        # Class facts everywhere else; here they are those of the instance that is wrapped.
        vars(self).update(name=signal.name, dataset=signal.dataset, card=signal.card, augmentation=signal.augmentation)
        self.signal = signal
        self.tasks = signal.tasks
        self.patch = signal.channel_patch or signal.patch
        self.leads = signal.independent or tuple(range(signal.channels))
        self.grid = (len(self.leads), signal.length // self.patch)

    def data(self, part: Part) -> Data:
        return self.signal.data(part)

    def tokenizer(self, dim: int) -> nn.Module:
        return ChannelTokenizer(self.leads, self.patch, self.grid, dim)

    @property
    def patch_values(self) -> int:
        return self.patch

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, channels · patches, patch)."""
        return batch.x[:, list(self.leads)].unfold(2, self.patch, self.patch).flatten(1, 2)

    def crop(self, batch: Batch) -> Batch:
        return self.signal.crop(batch)

    def windows(self, data: Data) -> Data:
        return self.signal.windows(data)

    def views(self, batch: Batch) -> Batch:
        return self.signal.views(batch)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return self.signal.handmade(batch)

    def channelwise(self) -> Modality:
        return self


def token_std(values: int) -> float:
    """Initial weight std of a tokenizer over ``values`` inputs: .02 at the 300 values of ECG-JEPA's tokens, and such that a
    token of any other patch is as large beside its position code as there."""
    return 0.02 * (300 / values) ** 0.5


class _Tokenizer(nn.Module):
    """Shared by both: the coordinates of the grid and the check that the input fills it."""

    pos: Tensor

    def __init__(self, patch: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.patch = patch
        self.grid = grid
        self.register_buffer("pos", grid_positions(grid), persistent=False)

    def tokens(self, x: Float[Tensor, "b n d"]) -> Tokens:
        if x.shape[1] != len(self.pos):
            raise ValueError(
                f"the input gives {x.shape[1]} tokens, the grid {self.grid} has {len(self.pos)}; crop first"
            )
        return Tokens(x, self.pos.expand(len(x), -1, -1))


class JointTokenizer(_Tokenizer):
    """All channels of a patch → one token: Conv1d(channels → dim, kernel = stride = patch), no bias."""

    def __init__(self, channels: int, patch: int, grid: tuple[int, ...], dim: int) -> None:
        super().__init__(patch, grid)
        self.project = nn.Conv1d(channels, dim, patch, stride=patch, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=token_std(channels * patch))

    def forward(self, batch: Batch) -> Tokens:
        return self.tokens(self.project(batch.x).transpose(1, 2))


class ChannelTokenizer(_Tokenizer):
    """One patch of one channel → one token: Linear(patch → dim), no bias, shared by the channels."""

    def __init__(self, leads: tuple[int, ...], patch: int, grid: tuple[int, ...], dim: int) -> None:
        super().__init__(patch, grid)
        self.project = nn.Linear(patch, dim, bias=False)
        self.leads = leads
        nn.init.trunc_normal_(self.project.weight, std=token_std(patch))

    def forward(self, batch: Batch) -> Tokens:
        x = batch.x[:, list(self.leads)].unfold(2, self.patch, self.patch)
        return self.tokens(self.project(x.flatten(1, 2)))


def mend(
    signal: np.ndarray, record: str, channels: Sequence[str], *, flat: Literal["error", "keep"] = "error"
) -> tuple[np.ndarray, dict[str, int]]:
    """One recording (c, t) without NaN: gaps are filled linearly, and the repairs are counted.

    Raises DataError for a channel without any value and, unless ``flat`` is "keep", for a constant one.
    """
    repairs: dict[str, int] = {}
    bad = ~np.isfinite(signal)
    if bad.any():
        signal = signal.copy()
        for row in np.flatnonzero(bad.any(1)):
            good = np.flatnonzero(~bad[row])
            if not len(good):
                lead = channels[int(row)]
                raise DataError(f"record {record} has no valid sample in lead {lead}; copy it again or leave it out")
            gaps = np.flatnonzero(bad[row])
            signal[row, gaps] = np.interp(gaps, good, signal[row, good])
            repairs["nan_samples_interpolated"] = repairs.get("nan_samples_interpolated", 0) + len(gaps)
    constant = np.flatnonzero(np.ptp(signal, axis=1) == 0)
    if len(constant):
        if flat == "error" or len(constant) == len(signal):
            raise DataError(
                f"record {record} is flat in lead {channels[constant[0]]}; copy the record again or leave it out"
            )
        repairs["flat_leads_kept"] = len(constant)
    return signal, repairs


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Adds the counts of ``more`` to ``total`` in place."""
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def standardise(parts: Mapping[Part, np.ndarray]) -> dict[Part, np.ndarray]:
    """Every part (n, c, t) by the per-channel mean and standard deviation of *train*, clipped to ±5, float32, in place."""
    train = parts["train"]
    mean = np.array([train[:, c].mean(dtype=np.float64) for c in range(train.shape[1])], dtype=np.float32)
    std = np.array([train[:, c].std(dtype=np.float64) for c in range(train.shape[1])], dtype=np.float32)
    for x in parts.values():
        x -= mean[:, None]
        x /= std[:, None]
        np.clip(x, -CLIP, CLIP, out=x)
    return dict(parts)


def check_classes(name: str, tasks: Sequence[Task], parts: dict[Part, Data]) -> dict[Part, Data]:
    """Raises DataError for a class without a positive in train; counts those missing in val and test as repairs."""
    checked = {}
    for part in PARTS:
        data = parts[part]
        repairs = dict(data.repairs)
        for task in tasks:
            if not task.classes:
                continue
            label = data.labels[task.name]
            if task.kind == "multilabel":
                found = (label == 1).any(0).tolist()
            else:
                found = [bool((label == code).any()) for code in range(len(task.classes))]
            missing = [known for known, present in zip(task.classes, found, strict=True) if not present]
            if missing and part == "train":
                raise DataError(
                    f"{name}: class '{missing[0]}' of task '{task.name}' has no positive in train; "
                    "complete the data folder"
                )
            if missing:
                key = f"classes_without_positive_{part}"
                repairs[key] = repairs.get(key, 0) + len(missing)
        checked[part] = replace(data, repairs=repairs)
    return checked
