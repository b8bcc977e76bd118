"""Pairs of views with a known relative transform: what equivariance is measured on (Garrido et al. 2023, arXiv 2302.10283).

Two views of every row are drawn, both are embedded by the frozen encoder, the two features are put side by side, and the
difference of the views' transform parameters is what a probe has to tell from them. Features that ignore the transform score
R² = 0.
Tests: test_pairs.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from benchmark import features
from benchmark.features import Features
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.randomness import mix, reseed
from jepakit.types import PARTS, Batch, Data, Part, Task

BLOCK = (
    256  # rows whose views are drawn at once: a fixed number, so that the draws do not depend on the device's memory
)


def tasks(modality: Modality) -> tuple[Task, ...]:
    """One regression per transform parameter that the modality's views report: ``transform_<action>``, scored by R²."""
    return tuple(Task(f"transform_{action}", "regression", "r2", nuisance=True) for action in modality.actions)


def extract(
    encoder: Embedder, modality: Modality, rows: Mapping[Part, Data], *, seed: int, device: str
) -> tuple[dict[Part, Features], dict[Part, Data]]:
    """Features (n, 2·d) of two views of each row, and the rows with the labels of ``tasks``.

    The views are a function of (seed, part) and the device's kind, the same for every encoder; torch's generators are left
    as they were.
    """
    pairs: dict[Part, Features] = {}
    labelled: dict[Part, Data] = {}
    with torch.random.fork_rng(range(torch.cuda.device_count()) if device.startswith("cuda") else []):
        for number, part in enumerate(PARTS):
            data = rows[part]
            sides: list[list[np.ndarray]] = [[], []]
            moves = []
            for block, index in enumerate(torch.arange(len(data)).split(BLOCK)):
                reseed(mix(seed, 0x7061697273, number), block, torch.device(device))
                batch = data.batch(index)
                batch = Batch(batch.x.to(device), {}, {name: column.to(device) for name, column in batch.extra.items()})
                views = [modality.views(batch) for _ in sides]
                for side, view in zip(sides, views, strict=True):
                    seen = Data(view.x, {}, data.unit[index.numpy()], extra=batch.extra)
                    side.append(features.extract(encoder, modality, seen, device=device).pooled)
                moves.append((views[1].extra["action"] - views[0].extra["action"]).cpu())
            pairs[part] = Features(np.concatenate([np.concatenate(side) for side in sides], 1))
            labels = {task.name: column for task, column in zip(tasks(modality), torch.cat(moves).T, strict=True)}
            labelled[part] = Data(torch.from_numpy(pairs[part].pooled), labels, data.unit)
    return pairs, labelled
