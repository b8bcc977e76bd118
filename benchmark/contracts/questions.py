"""Questions with known answers for probes: features that carry the labels of a task linearly, or shuffled labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from benchmark.features import Features
from benchmark.probes import Source
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import PARTS, Batch, Data, Part, Task, Tokens

WIDTH, CLASSES, PLACES = 12, 3, 5
KINDS = {
    "class": Task("shape", "class", "macro_f1", ("a", "b", "c")),
    "multilabel": Task("signs", "multilabel", "macro_auroc", ("a", "b", "c")),
    "regression": Task("age", "regression", "r2"),
    "dense": Task("waves", "dense", "macro_f1", ("a", "b", "c")),
}


def problem(
    kind: str,
    *,
    shuffle: bool = False,
    noise: float = 0.3,
    sizes: tuple[int, ...] = (400, 200, 300),
    tokens_too: bool = False,
) -> tuple[dict[Part, Features], dict[Part, Data]]:
    """Features (n, WIDTH) that carry the labels of the kind linearly, in a rotated space with an offset, and the data they
    are of. ``shuffle``: the labels are dealt anew; ``tokens_too``: with token features for every kind."""
    features: dict[Part, Features] = {}
    data: dict[Part, Data] = {}
    fixed = np.random.default_rng(7)
    mix, direction = fixed.normal(size=(WIDTH, WIDTH)), fixed.normal(size=(CLASSES, WIDTH))
    for part, n, seed in zip(PARTS, sizes, (0, 1, 2), strict=True):
        rng = np.random.default_rng(seed)
        tokens = PLACES if kind == "dense" else 1
        label: np.ndarray
        if kind in ("class", "dense"):
            label = rng.integers(0, CLASSES, (n, tokens))
            code = np.eye(CLASSES)[label]
        elif kind == "multilabel":
            label = (rng.random((n, tokens, CLASSES)) < 0.4).astype(np.float32)
            code = label
        else:
            label = rng.normal(size=(n, tokens))
            code = label[..., None] * [1, 0, 0]
        if shuffle:
            label = rng.permuted(label, axis=0) if kind != "multilabel" else label[rng.permutation(n)]
        x = (4 * code @ direction + noise * rng.normal(size=(n, tokens, WIDTH))) @ mix + 10
        x = x.astype(np.float32)
        features[part] = Features(x.mean(1), x if kind == "dense" or tokens_too else None)
        column = torch.from_numpy(label if kind == "dense" else label[:, 0])
        column = column.float() if kind in ("multilabel", "regression") else column.long()
        data[part] = Data(
            torch.from_numpy(x), {KINDS[kind].name: column}, np.char.add("p", (np.arange(n) // 4).astype(str))
        )
    return features, data


class Plain(Embedder):
    """An encoder whose tokens are the input, with weights that a probe can train."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.layer = WIDTH, nn.Linear(WIDTH, WIDTH)
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(WIDTH))
            self.layer.bias.zero_()

    def tokens(self, batch: Batch) -> Tokens:
        return Tokens(self.layer(batch.x), torch.zeros(*batch.x.shape[:2], 1))


def origin(data: dict[Part, Data], places: int = 1) -> Source:
    """Where features would come from: the plain encoder and a modality that holds these parts."""
    held: Any = SimpleNamespace(name="toy", dataset="toy", grid=(places,), data=data.__getitem__)
    return Source(Plain(), cast(Modality, held))
