"""Which neighbours resemble a token: do they show what the token shows? On ``image/shapes``, where every patch has a label.

For every labelled patch of the test part its eight neighbours (the grid wraps around, as in DMT-JEPA) are ordered by their
cosine to it, and the best four are taken. ``picked`` is the share of them that show the patch's own class, ``base`` that of
all eight, ``best`` that of the best possible four. Patches whose neighbours are all of its class, or none, are left out:
there is nothing to choose.
Tests: test_neighbourhood.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmark.features import over
from jepakit.aggregation import most_similar, neighbours
from jepakit.methods import ijepa
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.pretrain import Training, build, fit
from jepakit.targets import layer_norm
from jepakit.types import Batch, Size
from modalities.image.shapes import Shapes

ROW = ijepa.__name__.rpartition(".")[2]  # by file, so that the numbers know the code they were made with
TASK, SIMILAR = "segment", 4
SEEDS, STEPS = 5, 1500
TRAINED, UNTRAINED, PIXELS, PLACE = "ijepa", "untrained", "pixels", "place"
# As boards of images have under `quick`.
SIZE = Size(64, 2, 2, 32, 1, 2)
TRAINING = Training(steps=STEPS, batch_size=32, lr=5e-3, weight_decay=(0.04, 0.4), betas=(0.9, 0.999))


def shares(
    label: Int[np.ndarray, "b n"], near: Int[np.ndarray, "n o"], chosen: Int[np.ndarray, "b n k"]
) -> dict[str, float]:
    """``picked``, ``base``, ``best`` (means over contested patches; see the head of this file) and ``gain``: how far from
    ``base`` to ``best`` the choice comes. label: -1 where a patch has none, and all patches of its image with it."""
    label, chosen = label[(label >= 0).all(1)], chosen[(label >= 0).all(1)]
    same = label[:, near] == label[..., None]  # (b, n, o)
    picked = (np.take_along_axis(label[:, None], chosen, 2) == label[..., None]).mean(2)
    base, count = same.mean(2), chosen.shape[2]
    best = np.minimum(same.sum(2), count) / count
    contested = (base > 0) & (base < 1)
    means = {"picked": picked[contested].mean(), "base": base[contested].mean(), "best": best[contested].mean()}
    gain = (means["picked"] - means["base"]) / (means["best"] - means["base"])
    return {**{name: float(value) for name, value in means.items()}, "gain": float(gain)}


def closest(grid: tuple[int, ...], near: Int[np.ndarray, "n o"], count: int) -> Int[np.ndarray, "n k"]:
    """Of the neighbours of each cell those ``count`` that lie closest to it on the grid, which does not wrap here; of
    equally close ones the first."""
    cells = np.stack(np.unravel_index(np.arange(len(near)), grid), 1)
    away = np.square(cells[near] - cells[:, None]).sum(2)
    return np.take_along_axis(near, np.argsort(away, 1, kind="stable")[:, :count], 1)


def measure(seeds: Sequence[int] = tuple(range(SEEDS)), steps: int = STEPS) -> dict[str, Any]:
    """One line per seed and features: ``shares`` by the tokens of an I-JEPA after ``steps`` steps, of the same encoder
    before its first step, and by pixels, each token (patch) brought to mean 0 and variance 1, as a teacher's are; and by
    place alone, the same for every seed."""
    modality, lines = Shapes(None), []
    near, label = neighbours(modality.grid).numpy(), modality.data("test").labels[TASK].numpy().astype(int)
    by_place = closest(modality.grid, near, SIMILAR)
    for seed in seeds:
        objective = build(ROW, modality, replace(SIZE, steps=steps), seed)
        found = {PLACE: shares(label, near, np.broadcast_to(by_place, (*label.shape, SIMILAR)))}
        found[PIXELS] = _chosen(modality.patches, modality, nn.Identity())
        found[UNTRAINED] = _by_tokens(objective, modality)
        fit(objective, modality, replace(TRAINING, steps=steps), seed=seed, device="cpu", precision="32-true")
        found[TRAINED] = _by_tokens(objective, modality)
        lines += [{"features": name, "seed": seed, **own} for name, own in found.items()]
    return {"lines": lines, "steps": steps}


def _by_tokens(objective: Objective, modality: Modality) -> dict[str, float]:
    encoder = objective.encoder()
    return _chosen(lambda batch: encoder.tokens(batch).x, modality, encoder)


def _chosen(
    tokens: Callable[[Batch], Float[Tensor, "b n d"]], modality: Modality, encoder: nn.Module
) -> dict[str, float]:
    near, data = neighbours(modality.grid), modality.data("test")
    (found,) = over(
        encoder, data, lambda batch: [most_similar(layer_norm(tokens(batch)), near, SIMILAR).numpy()], device="cpu"
    )
    return shares(data.labels[TASK].numpy().astype(int), near.numpy(), found)
