"""Few labels over the same scenes: ``lidar/labels-<percent>`` keeps that share of the labelled training scenes of
``lidar/scenes``.

All training scenes stay, and validation and test keep every label: what is scarce is what a head is fitted on, not what
an encoder is pre-trained on and not what chooses. Scenes keep their labels by whole blocks, which hold every layout under
every sensor, so that no share lacks a class. Shares are nested, and the same scenes for every seed. What is asked is what
detection asks, the kind of every cell: fine-tuning for each of the seven tasks of ``lidar/scenes`` takes hours a board.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Card, Data, Part, UsageError
from modalities.lidar.scenes import BLOCK, Scenes

PERCENTS = ("3", "10", "100")  # of 38 labelled blocks: one, four, all
STREAM = 0x6C61626C


def kept(segment: np.ndarray, percent: int, seed: int) -> np.ndarray:
    """(n,) which scenes keep their labels: a share of the blocks in which any token (n, tokens) has one, at least one."""
    block = np.arange(len(segment)) // BLOCK
    asked = np.unique(block[(segment >= 0).any(1)])
    order = np.random.default_rng([seed, STREAM]).permutation(asked)
    return np.isin(block, order[: max(1, round(len(asked) * percent / 100))])


def without(label: Tensor, keep: Tensor) -> Tensor:
    """The labels of the rows to ``keep``; all others unknown: −1, or NaN for values."""
    out = torch.full_like(label, float("nan") if label.is_floating_point() else -1)
    out[keep] = label[keep]
    return out


class Few(Scenes):
    """Scenes of which ``percent`` in a hundred of the labelled ones keep their labels."""

    aside: ClassVar[bool] = True
    percent: ClassVar[int]
    tasks = tuple(task for task in Scenes.tasks if task.kind == "dense")

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        parts = {part: Scenes(root).data(part) for part in Scenes.sizes}
        train = parts["train"]
        keep = torch.from_numpy(kept(train.labels["segment"].numpy(), cls.percent, cls.seed))
        labels = {part: {task.name: data.labels[task.name] for task in cls.tasks} for part, data in parts.items()}
        labels["train"] = {name: without(label, keep) for name, label in labels["train"].items()}
        return {part: replace(data, labels=labels[part]) for part, data in parts.items()}


@datasets.register_family("lidar/labels-")
@functools.cache
def lidar(percent: str) -> type[Few]:
    """The class of ``lidar/labels-3``, ``lidar/labels-10`` and ``lidar/labels-100``. Raises UsageError for others."""
    if percent not in PERCENTS:
        raise UsageError(f"lidar/labels- ends in a share of {', '.join(PERCENTS)} percent, not in '{percent}'")
    card = Card(
        title=f"{Scenes.card.title}; {percent} % of the labels",
        licence=Scenes.card.licence,
        source="modalities/controlled/labels.py",
        citation=Scenes.card.citation,
        unit=Scenes.card.unit,
        notes=f"{Scenes.card.notes} Of these training scenes {percent} % keep their labels.",
    )
    facts = {"dataset": f"labels-{percent}", "percent": int(percent), "card": card, "__module__": __name__}
    return type(f"Few_{percent}", (Few,), {**facts, "__doc__": f"Scenes with {percent} % of the labels."})
