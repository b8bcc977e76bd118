"""Dimensions that tell nothing, put beside the features of encoders: ranks rise, the probe has nothing more to read.

Encoders of six rows are trained for a while on ``tabular/made_linear``. To their features of every row of the table ``k``
dimensions of noise are added, as large as a feature is on average (its root mean square deviation), then all is measured
again: label-free numbers as a board measures them, on validation rows and on their views, and the probe ``ridge`` on test
rows. Noise comes in two sorts: ``fresh`` at every look, which views of a row do not share, and ``own`` of every row, which
they do (what LiDAR's rank takes for content).
Tests: test_injected.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from baselines import column_mae, random_init, scarf, vicreg
from benchmark import metrics
from benchmark.diagnostics.look import Look, Looker
from benchmark.diagnostics.measures import measure as numbers_of
from benchmark.features import extract
from benchmark.probes.ridge import RidgeProbe
from jepakit.methods import lejepa, tjepa
from jepakit.modality import Modality
from jepakit.pretrain import Training, build, fit
from jepakit.registry import methods
from jepakit.types import PARTS, Part, Size
from modalities.tabular.made import Linear

# By file, so that the numbers know the code they were made with.
ROWS = {
    "random_init": random_init, "tjepa": tjepa, "lejepa": lejepa, "column-mae": column_mae, "scarf": scarf,
    "vicreg": vicreg,
}  # fmt: skip
METRICS = ("rankme", "participation", "nesum", "lda_rank", "alpha_req", "uniformity")
SORTS = ("fresh", "own")
INJECTED = (0, 4, 16, 64)
SEEDS, STEPS, VIEWED = 3, 150, 256
# As boards of tables have under `quick`.
SIZE = Size(64, 4, 4, 32, 2, 4)
TRAINING: dict[str, Any] = {"batch_size": 64, "lr": 1e-3}
STREAM = 0x696E6A65


def encoder_of(name: str, modality: Modality, seed: int, steps: int) -> Any:
    """A row of the board after ``steps`` steps."""
    training = Training(**{**TRAINING, **methods[name].info.get("training", {}), "steps": steps})
    objective = build(name, modality, replace(SIZE, steps=steps), seed)
    fit(objective, modality, training, seed=seed, device="cpu", precision="32-true")
    return objective.encoder().eval()


def injected(z: np.ndarray, k: int, size: float, random: np.random.Generator) -> np.ndarray:
    """Features (…, d) with ``k`` more dimensions of normal noise of standard deviation ``size``."""
    noise = size * random.standard_normal((*z.shape[:-1], k))
    return np.concatenate([z, noise.astype(z.dtype)], -1)


def looked(look: Look, k: int, size: float, sort: str, seed: int) -> Look:
    """The same look with ``k`` dimensions more; views of a row share them where the sort is ``own``."""
    random = np.random.default_rng([seed, STREAM, k, SORTS.index(sort)])
    pooled, views = injected(look.pooled, k, size, random), look.views
    if views is not None:
        each = views if sort == "fresh" else views[:, :1]
        noise = injected(each[..., :0], k, size, random)
        views = np.concatenate([views, np.broadcast_to(noise, (*views.shape[:2], k))], -1)
    return replace(look, pooled=pooled, views=views, tokens=None, place=None)


def scored(features: Mapping[Part, np.ndarray], modality: Modality, k: int, size: float, seed: int) -> float:
    """The test score of the probe ``ridge`` on features with ``k`` dimensions more."""
    task, random = modality.tasks[0], np.random.default_rng([seed, STREAM, k])
    label = {part: modality.data(part).labels[task.name].numpy() for part in PARTS}
    z = {part: injected(features[part], k, size, random) for part in PARTS}
    fitted = RidgeProbe().fit(z["train"], label["train"], z["val"], label["val"], task, seed)
    return float(metrics.get(task.metric)(label["test"], fitted.predict(z["test"])))


def measure(seeds: Sequence[int] = tuple(range(SEEDS)), steps: int = STEPS) -> dict[str, Any]:
    """One line per row, seed, sort and number of dimensions: the score and every number of METRICS."""
    modality, lines = Linear(None), []
    for name in ROWS:
        for seed in seeds:
            encoder = encoder_of(name, modality, seed, steps)
            features = {part: extract(encoder, modality, modality.data(part), device="cpu").pooled for part in PARTS}
            size = float(np.sqrt(features["train"].var(0).mean()))
            look = Looker(modality, modality.data("val"), "cpu", viewed=VIEWED)(encoder, features["val"])
            for k in INJECTED:
                score = scored(features, modality, k, size, seed)
                for sort in SORTS:
                    known = numbers_of(looked(look, k, size, sort, seed))
                    own = {metric: known[metric] for metric in METRICS}
                    lines.append({"method": name, "seed": seed, "sort": sort, "k": k, "score": score, **own})
    label = modality.data("test").labels[modality.tasks[0].name].numpy()
    return {"lines": lines, "chance": float(np.bincount(label).max() / len(label)), "steps": steps}
