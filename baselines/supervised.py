"""The same encoder trained end to end on the labels with the board's budget, then probed like every row.

Kept: encoder, batches, steps and optimiser of the board.
Differs: sees labels of all tasks that are not nuisances, one linear head each on the mean token, losses summed;
per-token tasks take no part. No early stopping and no augmentation: a reference of equal budget, not an upper bound.
With ``labels`` below 1 it trains on that share of the rows, every class keeping its share and at least one row: the
label-fraction arms.
Tests: test_contracts.py, test_methods.py.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.objective import Objective
from jepakit.processes import terms
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Batch, Data, Losses, Size, Task, UsageError


def masked_loss(task: Task, output: Tensor, label: Tensor) -> Tensor:
    """Mean loss over the labelled rows (and classes), 0 where there is none."""
    if task.kind == "class":
        return F.cross_entropy(output, label, ignore_index=-1, reduction="sum") / terms(label >= 0)
    label = label.reshape(output.shape)
    known = ~label.isnan()
    wanted = label.nan_to_num()
    loss = F.binary_cross_entropy_with_logits if task.kind == "multilabel" else F.mse_loss
    return (loss(output, wanted, reduction="none") * known).sum() / terms(known)


def fraction(train: Data, task: Task, share: float) -> np.ndarray:
    """Sorted rows of a share of ``train``: of every class of ``task`` that share, at least one row, drawn once and for all
    (the same rows for every seed). Rows of other kinds of task are drawn as one class."""
    label = train.labels[task.name].cpu().numpy()
    group = label if task.kind == "class" else np.zeros(len(train), dtype=np.int64)
    random = np.random.default_rng(len(train))
    kept = []
    for name in np.unique(group):
        rows = np.flatnonzero(group == name)
        kept.append(random.permutation(rows)[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(kept))


class Supervised(Objective):
    """Encoder and one linear head per task."""

    def __init__(self, backbone: Embedder, modality: Modality, share: float = 1.0) -> None:
        super().__init__()
        self.backbone, self.share = backbone, share
        self.tasks = [t for t in modality.tasks if t.kind != "dense" and not t.nuisance]
        if not self.tasks:
            raise UsageError(f"{modality.name}/{modality.dataset} has no whole-sample label to train on")
        self.heads = nn.ModuleList(nn.Linear(backbone.dim, max(1, len(task.classes))) for task in self.tasks)
        train = modality.data("train")
        self.scale: dict[str, tuple[float, float]] = {}
        for task in self.tasks:
            if task.kind == "regression":
                known = train.labels[task.name][~train.labels[task.name].isnan()]
                self.scale[task.name] = float(known.mean()), float(known.std().clamp_min(1e-6))

    def select(self, train: Data) -> Data:
        return train if self.share == 1 else train.take(fraction(train, self.tasks[0], self.share))

    def forward(self, batch: Batch, progress: float) -> Losses:
        features = self.backbone.embed(batch)
        parts = {}
        for task, head in zip(self.tasks, self.heads, strict=True):
            label = batch.labels[task.name]
            if task.name in self.scale:
                mean, std = self.scale[task.name]
                label = (label - mean) / std
            parts[task.name] = masked_loss(task, head(features).float(), label)
        total = torch.stack(list(parts.values())).sum()
        return Losses(total, {name: value.detach() for name, value in parts.items()})


@methods.register(
    "supervised",
    family="supervised",
    paper="same encoder, end to end",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"train.warmup": (0.02, 0.4, "log")},
)
def supervised(modality: Modality, size: Size, *, labels: float = 1.0) -> Supervised:
    """End-to-end training on whole-sample labels; labels: the share of training rows that is used."""
    if not 0 < labels <= 1:
        raise UsageError(f"recipe.labels is a share of the training rows in (0, 1], not {labels}")
    return Supervised(vit(modality, size), modality, labels)
