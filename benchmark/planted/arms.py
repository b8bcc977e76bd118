"""One arm of a pair: trained with the suite's own loop, watched by its own log, probed and measured at the end.

Every arm of a seed starts from the same encoder and sees the same batches.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import features, metrics
from benchmark.diagnostics import Looker, measure, spectrum
from benchmark.planted.pairs import Run
from benchmark.probes.base import Fitted
from benchmark.watch import WatchLog
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.pretrain import Training, build, fit
from jepakit.registry import probes
from jepakit.siamese import Siamese
from jepakit.types import PARTS, Size

SIZE = Size(32, 2, 4, 16, 1, 4)
LOOKS = 4  # how often a run is looked at
PROBE = "ridge"


def train(method: str, settings: Mapping[str, Any], modality: Modality, training: Training, seed: int) -> Run:
    """The method with these settings, trained from ``seed``."""
    objective = build(method, modality, replace(SIZE, steps=training.steps), seed, settings)
    assert isinstance(objective, Siamese)
    val = modality.windows(modality.data("val"))
    with tempfile.TemporaryDirectory() as folder:
        log = WatchLog(Path(folder), modality, val, "cpu")
        every = max(1, training.steps // LOOKS)
        ended = fit(objective, modality, training, seed=seed, device="cpu", watch=log, watch_every=every)
    look = Looker(modality, val, "cpu", viewed=2)(objective.encoder())
    found = measure(look)
    z_std, z_rank = spread(projections(objective, look.pooled))
    return Run(
        std_mean=float(found["std_mean_norm"] or 0),
        std_min=float(found["std_min_norm"] or 0),
        rankme=float(found["rankme"] or 0),
        mean_cosine=float(found["mean_cosine"] or 0),
        z_std=z_std,
        z_rank=z_rank,
        verdict=log.history[-1]["collapsed"],
        collapse_step=log.collapse_step(),
        score=score(objective.encoder(), modality, seed),
        loss=ended.history[-1]["loss"],
    )


def untrained(modality: Modality, seed: int) -> float:
    """The score of the encoder that every arm starts with."""
    return score(build("random_init", modality, SIZE, seed).encoder(), modality, seed)


def score(encoder: Embedder, modality: Modality, seed: int) -> float:
    """Test score of the linear probe on the headline task."""
    task = modality.tasks[0]
    sides = []
    for part in PARTS:
        data = modality.windows(modality.data(part))
        pooled = features.extract(encoder, modality, data, device="cpu").pooled
        sides.append((pooled, data.labels[task.name].numpy()))
    train_side, val_side, test_side = sides
    fitted: Fitted = probes[PROBE].make().fit(*train_side, *val_side, task, seed)
    return metrics.get(task.metric)(test_side[1], fitted.predict(test_side[0]))


def projections(objective: Siamese, pooled: np.ndarray) -> np.ndarray:
    """What the projector makes of pooled features with the batch's own statistics, as in training; it is not changed."""
    projector = copy.deepcopy(objective.projector).cpu().train()
    with torch.no_grad():
        z: np.ndarray = projector(torch.from_numpy(pooled)).double().numpy()
    return z


def spread(z: np.ndarray) -> tuple[float, float]:
    """(z_std, z_rank) of projections (n, k)."""
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    away = spectrum.centred(z)
    rank = spectrum.rankme(spectrum.eigenvalues(away)) if np.abs(away).max() > 0 else 1.0
    return float(unit.std(0).mean() * np.sqrt(z.shape[1])), float(rank)
