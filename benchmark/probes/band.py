"""Protocol band: how far a score moves when only the protocol's small print moves (pool × layer × normalisation, by ridge).

Published probes differ in how tokens are pooled, which layers are read and how features are scaled, and such choices can
reorder methods. This probe scores every variant: pool ``mean``, ``max`` or both side by side (``meanmax``); the ``last``
layer, or the mean over the outputs of the last 2 or 4 blocks (``last2``, ``last4``; only where the encoder has ``hidden``);
features standardised on train (``std``), as they are (``none``) or as unit vectors (``l2``). Each chooses its own penalty
on validation.

The headline is the house protocol, mean_last_std, equal to ``ridge``. Every variant is an extra,
"<metric>_<pool>_<layer>_<normalisation>", with "<metric>_band_min", "…_max" and "…_std" over them. Which ranking of methods
survives is answered by ``python -m benchmark band`` (``benchmark/stability.py``).
Tests: test_probe_band.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.features import over
from benchmark.probes import ridge
from benchmark.probes.base import Choice, EncoderProbe, Fitted, Predict, standardise, standardiser, unit
from jepakit.modality import Modality
from jepakit.nn import Backbone, Embedder
from jepakit.registry import probes
from jepakit.types import Batch, Data, Task, Tokens

POOLS = ("mean", "max", "meanmax")
LAYERS = {"last": 0, "last2": 2, "last4": 4}
NORMS = ("std", "none", "l2")
HEADLINE = "mean_last_std"


@probes.register("band", kinds=("class", "multilabel", "regression"), sees="encoder")
class Band(EncoderProbe):
    """Ridge on every variant of the features."""

    def fit(
        self, encoder: Embedder, modality: Modality, train: Data, val: Data, task: Task, seed: int, device: str
    ) -> Fitted:
        label, held_label = (part.labels[task.name].cpu().numpy() for part in (train, val))
        memory: list[tuple[Data, dict[str, np.ndarray]]] = []

        def pooled(data: Data) -> dict[str, np.ndarray]:
            # The variants are asked one by one for the same part: it is encoded once.
            if not memory or memory[0][0] is not data:
                memory[:] = [(data, variants(encoder, data, device))]
            return memory[0][1]

        seen, held = variants(encoder, train, device), variants(encoder, val, device)
        fits: dict[str, Fitted] = {}
        for name, x in seen.items():
            for norm in NORMS:
                prepare = _normaliser(norm, x)
                choice: Choice[float] = Choice(task, held_label, val.record)
                fits[f"{name}_{norm}"] = ridge.regress(prepare(x), label, prepare(held[name]), choice, prepare)

        def reader(variant: str) -> Predict:
            name = variant.rsplit("_", 1)[0]
            return lambda data: fits[variant].predict(pooled(data)[name])

        main = fits[HEADLINE]
        arms = {variant: [reader(variant)] for variant in fits}
        return Fitted({**main.chosen, "variant": HEADLINE}, main.val_score, reader(HEADLINE), arms, "band")


def variants(encoder: Embedder, data: Data, device: str) -> dict[str, np.ndarray]:
    """Pooled features (n, d or 2d) of every row by "<pool>_<layer>"."""
    layers = {name: n for name, n in LAYERS.items() if not n or _depth(encoder) >= n}
    names = [f"{pool}_{layer}" for layer in layers for pool in POOLS]

    def every(batch: Batch) -> list[np.ndarray]:
        out = []
        for count in layers.values():
            tokens = _layer(encoder, batch, count)
            # What an encoder calls its own embedding is the mean of the last layer, whatever it does inside.
            mean = tokens.mean() if count else encoder.embed(batch)
            peak = _peak(tokens)
            out += [mean, peak, torch.cat([mean, peak], 1)]
        return [x.float().cpu().numpy() for x in out]

    return dict(zip(names, over(encoder, data, every, device=device), strict=True))


def _depth(encoder: Embedder) -> int:
    """How many blocks can be read one by one."""
    return len(encoder.transformer.blocks) if isinstance(encoder, Backbone) else 0


def _layer(encoder: Embedder, batch: Batch, count: int) -> Tokens:
    """Tokens after the last layer, or the mean over the outputs of the last ``count`` blocks."""
    if not count:
        return encoder.tokens(batch)
    assert isinstance(encoder, Backbone)
    tokens = encoder.tokenize(batch)
    return Tokens(torch.stack(encoder.hidden(tokens, last=count)).mean(0), tokens.pos, tokens.valid)


def _peak(tokens: Tokens) -> Float[Tensor, "b d"]:
    """Largest value of each dimension over the real tokens."""
    x = tokens.x if tokens.valid is None else tokens.x.masked_fill(~tokens.valid[..., None], float("-inf"))
    return x.amax(1)


def _normaliser(norm: str, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    if norm == "std":
        mean, inverse = standardiser(train)
        return lambda x: standardise(x, mean, inverse)
    if norm == "none":
        return np.asarray
    return unit
