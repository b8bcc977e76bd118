"""FLOPs of a row by torch's counter: encoding one sample, and one training step per sample with all that the step does.

Counted are matrix products, convolutions and attention, two operations per multiply-add, forward and backward, in every
pass of teachers, students and predictors and over all views; element-wise work, FFTs and the optimiser are not. Counts
are a pure function of the row: they come from a copy of the objective on the CPU, in float32, whatever the cell itself
runs on, and are the same for every seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark.atomic import write_bytes
from benchmark.cell import Cell, hash_of
from benchmark.values import literal
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.randomness import batch_index, mix, reseed
from jepakit.types import Batch

# Maskers draw the number of visible tokens once per batch, so a step's cost is a random number: its mean over DRAWS
# (1 % standard error for the house masks), or over SAME where these do not differ. Terms that grow with the square of the
# batch (contrastive logits) are counted at ROWS samples: 0.1 % less for simclr at a batch of 64.
ROWS, DRAWS, SAME = 4, 32, 8
SEED = 0x666C6F70


@dataclass(frozen=True)
class Flops:
    """GFLOP per sample: of one pass of the encoder, and of one training step (0 for rows that take none)."""

    gflop_encode: float
    gflop_step: float

    def total(self, cell: Cell) -> float:
        """PFLOP of the whole pre-training of ``cell``."""
        plan = cell.training
        return self.gflop_step * plan.batch_size * plan.accumulate * plan.steps / 1e6


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """A counter of everything that runs inside the block.

    torch counts no fused attention of a CPU (and the recomputation of a GPU's twice), nor the fused inference path of
    nn.MultiheadAttention: both are taken apart into the matrix products they stand for.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside, every generator of the CPU goes on as if nothing had happened."""
    plain, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - third-party code may draw from it
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numbers)  # noqa: NPY002


def measure(cell: Cell, modality: Modality) -> Flops:
    """Count a row on a few rows of its training part, with an objective of its own; no training state is touched.

    ``modality`` as the cell trains on it. Raises what the objective raises.
    """
    with undisturbed():
        objective = pretrain.build(cell.method, modality, cell.size, SEED, dict(cell.settings)).train()
        step = _step(cell, objective, modality) if objective.trains else 0.0
        return Flops(_encode(objective, modality), step)


def _step(cell: Cell, objective: Objective, modality: Modality) -> float:
    """Mean over the stages, weighted by their shares of the steps, each seen in its middle."""
    data, rows = modality.data("train"), min(ROWS, cell.training.batch_size)
    total, begin = 0.0, 0.0
    for stage, share in enumerate(objective.stages):
        found: list[int] = []
        while len(found) < (SAME if len(set(found)) < 2 else DRAWS):
            draw = len(found)
            reseed(mix(SEED, stage), draw)
            batch = modality.crop(data.batch(batch_index(SEED, draw, len(data), rows)))
            objective.zero_grad(set_to_none=True)
            with counting() as counter:
                objective(batch, begin + share / 2).total.backward()
            found.append(counter.get_total_flops())
        total += share * float(np.mean(found)) / (rows * 1e9)
        begin += share
    return total


def _encode(objective: Objective, modality: Modality) -> float:
    data = modality.data("train")
    few = modality.windows(data.take(np.arange(min(ROWS, len(data)))))
    batch = few.batch(torch.arange(min(ROWS, len(few))))
    # Without gradients, also because torch's module tracker fails on views of parameters in inference mode.
    encoder = objective.encoder().eval().requires_grad_(False)
    with torch.inference_mode(), counting() as counter:
        encoder.embed(Batch(batch.x, {}, batch.extra))
    return counter.get_total_flops() / (len(batch) * 1e9)


def of(cell: Cell, modality: Modality, results: Path, *, remember: bool = True) -> Flops:
    """``measure``, remembered in ``results/.cache/flops`` under all that can change a count."""
    path = results / ".cache" / "flops" / f"{row_key(cell)}.json"
    try:
        return Flops(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = measure(cell, modality)
    if remember:
        write_bytes(path, json.dumps(asdict(found), sort_keys=True).encode())
    return found


def row_key(cell: Cell, **more: Any) -> str:
    """Hash of a row whatever its seed: method, settings, sizes, batch, data, code and library versions."""
    plain = {k: v for k, v in cell.pretraining().items() if k not in ("seed", "training")}
    batch = min(ROWS, cell.training.batch_size)
    return hash_of(literal({**plain, "batch": batch, "torch": torch.__version__, "draws": DRAWS, **more}))
