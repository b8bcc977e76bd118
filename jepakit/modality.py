"""The interface of a modality: one data set, its tokens, its tasks and its augmentation, behind seven methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.types import Batch, Card, Data, Part, Task, UsageError


class Modality(ABC):
    """One data set of one modality. A method receives this object and never asks which modality it is.

    Class facts: ``name`` (modality), ``dataset``, ``card``, ``board`` (names of the methods that a board has by default;
    empty: every method that can run). Instance facts, set by ``__init__``: ``grid`` (tokens per
    axis, row-major), ``tasks`` (headline task first), ``augmentation`` (class of ``views``: none, crop or
    modality-specific), ``actions`` (names of the transform parameters that a view reports in ``extra["action"]`` (b, a),
    each scaled to about unit range, 0 for the identity; empty where views report none).
    """

    name: ClassVar[str]
    dataset: ClassVar[str]
    card: ClassVar[Card]
    augmentation: ClassVar[str] = "modality-specific"

    actions: tuple[str, ...] = ()
    board: ClassVar[tuple[str, ...]] = ()

    grid: tuple[int, ...]
    tasks: tuple[Task, ...]

    def __init__(self, root: Path | None = None) -> None:
        """``root``: the data root (holding ``<modality>/<dataset>/``); embedded data sets ignore it."""
        self.root = root

    @abstractmethod
    def data(self, part: Part) -> Data:
        """One part of the data set, standardised with statistics of train only; cached by the adapter.

        Raises DataError naming the file and the remedy.
        """

    @abstractmethod
    def tokenizer(self, dim: int) -> nn.Module:
        """A module Batch → Tokens with x of width ``dim`` and coordinates, without position code."""

    @property
    @abstractmethod
    def patch_values(self) -> int:
        """Number of raw values under one token: the last axis of ``patches``."""

    @abstractmethod
    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """The raw input under each token, flattened: target of pixel-predicting methods, in token order."""

    def crop(self, batch: Batch) -> Batch:
        """What every method applies to a training batch (a random crop to the input length); identity by default."""
        return batch

    def windows(self, data: Data) -> Data:
        """The rows that are embedded for a probe: sliding windows of long recordings; identity by default."""
        return data

    def views(self, batch: Batch) -> Batch:
        """One random, label-preserving view of each sample, batched on the device. Call twice for a pair.

        Raises UsageError when the modality has no augmentation.
        """
        raise UsageError(f"{self.name}/{self.dataset} declares no augmentation; view-based methods cannot run on it")

    def local_views(self, batch: Batch) -> Batch:
        """One random small crop of each sample at a lower resolution (multi-crop's local view), batched on the device.

        Raises UsageError when the modality has none.
        """
        raise UsageError(f"{self.name}/{self.dataset} has no small crops; use recipe.local=0")

    def intensity(self, batch: Batch) -> Tensor:
        """The input as it was measured, from 0 (nothing) to 1 (the largest storable value), in the shape of ``batch.x``.

        Only inputs that are stored as integers with a ``Data.scale`` can be brought back; others raise UsageError.
        """
        data = self.data("train")
        if data.scale is None or data.x.is_floating_point():
            raise UsageError(
                f"{self.name}/{self.dataset} stores no intensities (integers with a scale); methods on ratios of "
                "intensities cannot run on it"
            )
        mean, std = (value.to(batch.x.device, non_blocking=True) for value in data.scale)
        return ((batch.x * std + mean) / torch.iinfo(data.x.dtype).max).clamp(0, 1)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """The field's usual hand-made features of each sample: the ``raw_features`` row."""
        return batch.x.flatten(1)

    def channelwise(self) -> Modality:
        """The same data set with one token per channel *and* patch, grid (channels, patches).

        Raises UsageError when the modality has no channel axis.
        """
        raise UsageError(f"{self.name}/{self.dataset} has no channel axis; methods on channel tokens cannot run on it")

    def task(self, name: str) -> Task:
        """The task of that name, or a UsageError with the known ones."""
        from jepakit.registry import did_you_mean

        for task in self.tasks:
            if task.name == name:
                return task
        raise did_you_mean("task", name, [task.name for task in self.tasks])


def grid_positions(grid: tuple[int, ...]) -> Float[Tensor, "n p"]:
    """Coordinates of the tokens of a row-major grid: (n, p) with n = ∏ grid, as float32 indices."""
    axes = [torch.arange(side, dtype=torch.float32) for side in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(int(np.prod(grid)), len(grid))
