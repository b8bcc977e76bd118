"""Heads from tokens to the cells under them: linear, or three convolutions and a linear map, fitted by gradient steps.

A linear head is a 1 × 1 convolution of the token map that says something about each of a token's patch² cells. Features
are standardised on the training scenes. A head is fitted once per penalty; the best by validation is kept.
Tests: test_probes_bev.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmark.bev.truth import Plan
from benchmark.probes.base import standardiser
from jepakit.randomness import batch_index, mix
from jepakit.schedules import cosine

STREAM = 0x62657670  # keeps draws apart from those of pre-training
WIDTH = 32  # of the three convolutions
SCENES = 1024  # a chunk of scenes in evaluation

Loss = Callable[[Float[Tensor, "b m c"], Tensor], Tensor]  # (answers, rows of the batch) → scalar


@dataclass(frozen=True)
class Fit:
    """How a head is fitted. batch: scenes; decays: penalties that validation chooses among; conv: three convolutions
    below the linear map."""

    steps: int = 250
    batch: int = 8
    lr: float = 0.01
    decays: tuple[float, ...] = (0.01, 1.0)
    conv: bool = False


class Head(nn.Module):
    """Standardised tokens (b, n, d) → answers (b, m, c) about every cell, row-major."""

    mean: Tensor
    inverse: Tensor

    def __init__(self, x: np.ndarray, plan: Plan, columns: int, conv: bool, bias: float) -> None:
        super().__init__()
        self.grid, self.patch, self.columns = plan.grid, plan.patch, columns
        mean, inverse = standardiser(x.reshape(-1, x.shape[-1]))
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("inverse", torch.from_numpy(inverse))
        layers: list[nn.Module] = []
        width = x.shape[-1]
        for _ in range(3 if conv else 0):
            layers += [nn.Conv2d(width, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU()]
            width = WIDTH
        self.below = nn.Sequential(*layers)
        self.out = nn.Linear(width, columns * plan.patch**2)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.constant_(self.out.bias, bias)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b m c"]:
        x = (x.float() - self.mean) * self.inverse
        if len(self.below):
            x = self.below(x.mT.unflatten(2, self.grid)).flatten(2).mT
        (rows, columns), p = self.grid, self.patch
        y: Tensor = self.out(x).reshape(len(x), rows, columns, p, p, self.columns)
        return y.transpose(2, 3).flatten(1, 4)

    def answers(self, x: np.ndarray, device: str) -> np.ndarray:
        """Answers for every scene (n, m, c), float32, in evaluation mode."""
        self.eval()
        with torch.inference_mode():
            pieces = [self(torch.from_numpy(x[i : i + SCENES]).to(device)).cpu() for i in range(0, len(x), SCENES)]
        return torch.cat(pieces).numpy()


def fit(
    x: np.ndarray,
    plan: Plan,
    columns: int,
    loss: Loss,
    how: Fit,
    decay: float,
    seed: int,
    device: str,
    bias: float = 0.0,
) -> Head:
    """One head under one penalty: AdamW, a cosine to zero, batches as a function of the seed."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(mix(seed, STREAM))
        head = Head(x, plan, columns, how.conv, bias)
    head.to(device).train()
    tokens = torch.from_numpy(x).to(device)
    weights: list[Any] = [p for p in head.parameters() if p.ndim > 1]
    others: list[Any] = [p for p in head.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}], lr=how.lr
    )
    schedule = cosine(how.lr, 0.0)
    for step in range(how.steps):
        rows = batch_index(mix(seed, STREAM), step, len(x), how.batch).to(device)
        for group in optimizer.param_groups:
            group["lr"] = schedule(step / how.steps)
        optimizer.zero_grad(set_to_none=True)
        loss(head(tokens[rows]), rows).backward()
        optimizer.step()
    return head


def best(
    x: np.ndarray, val: np.ndarray, plan: Plan, columns: int, loss: Loss, judge: Callable[[np.ndarray], float], how: Fit,
    seed: int, device: str, bias: float = 0.0,
) -> Head:  # fmt: skip
    """The head whose answers on ``val`` are judged best; the first of equals."""
    found: Sequence[Head] = [fit(x, plan, columns, loss, how, decay, seed, device, bias) for decay in how.decays]
    if len(found) == 1:
        return found[0]
    return found[int(np.argmax([np.nan_to_num(judge(head.answers(val, device)), nan=-1.0) for head in found]))]
