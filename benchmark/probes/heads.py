"""What a head that is trained by gradients learns: targets, loss and scores of every kind of task (attentive, finetune)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from benchmark.probes import logreg
from jepakit.types import Task


class Answer:
    """Targets, loss and scores of ``task``, set up on the labels of train (only labelled rows).

    columns: how many outputs a head has: the classes that train shows, the labels, or 1 for regression, whose targets
    are standardised. Raises DataError when nothing can be learned, as ``logreg.targets``.
    """

    def __init__(self, label: np.ndarray, task: Task) -> None:
        self.task = task
        self.scale = (0.0, 1.0)
        if task.kind == "regression":
            self.scale = float(label.mean()), max(float(label.std()), 1e-12)
            self.columns, self.order, self.classes = 1, np.zeros(1, np.int64), 1
        else:
            target, self.order, self.classes = logreg.targets(label, task)
            self.columns = target.shape[1]

    def encode(self, label: np.ndarray) -> np.ndarray:
        """Labels (n, …) → targets (n, columns), float32; all zero for a token without a label or of an unseen class."""
        if self.task.kind == "regression":
            return ((label - self.scale[0]) / self.scale[1]).astype(np.float32)[:, None]
        if self.task.kind == "multilabel":
            return (label > 0.5).astype(np.float32)
        return np.asarray(label.reshape(-1, 1) == self.order, dtype=np.float32)

    def loss(self, raw: Float[Tensor, "*h n c"], target: Float[Tensor, "n c"]) -> Float[Tensor, "*h"]:
        """Mean loss over labelled rows, one number per leading axis (the heads of a bank)."""
        if self.task.kind == "regression":
            return (raw - target).square().mean((-2, -1))
        if self.task.kind == "multilabel":
            wanted = target.expand_as(raw)
            return functional.binary_cross_entropy_with_logits(raw, wanted, reduction="none").mean((-2, -1))
        return -(raw.log_softmax(-1) * target).sum((-2, -1)) / target.sum().clamp_min(1)

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Outputs (n, columns) → scores as ``Fitted.predict`` gives them."""
        if self.task.kind == "regression":
            return raw[:, 0] * np.float32(self.scale[1]) + np.float32(self.scale[0])
        return logreg.finish(raw, self.order, self.classes, self.task)


def device_of_choice() -> str:
    """CUDA if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
