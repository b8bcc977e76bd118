"""Loops: the suite's training loop, a bare loop over the same objective, and a reference kernel, timed in turns.

All three run in one process and take turns round by round, so that what slows the machine slows all of them: ratios of one
round are compared, milliseconds are only shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmark import cost
from benchmark.cell import Cell
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.pretrain import Fit, build, decay_groups, fit, hardware
from jepakit.randomness import batch_index, reseed

SECONDS = 0.5  # about as long as one loop of one round takes
FEWEST, MOST = 4, 60  # steps of a loop
SIDE = {"cpu": 512, "cuda": 8192, "mps": 2048}  # of the square matrices of the reference kernel
PRODUCTS = 8


@dataclass(frozen=True)
class Where:
    """What the loops run on. precision: as Lightning names it."""

    device: str
    precision: str

    @classmethod
    def chosen(cls, device: str) -> Where:
        """``device`` with the precision that ``fit`` takes there."""
        auto, precision, _ = hardware()
        return cls(auto, precision) if device in ("auto", auto) else cls(device, "32-true")

    @property
    def dtype(self) -> torch.dtype:
        """What matrix products are computed in."""
        return torch.bfloat16 if self.precision.startswith("bf16") else torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """What surrounds a forward pass."""
        return torch.autocast(self.device, self.dtype) if self.dtype == torch.bfloat16 else nullcontext()

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Turn:
    """One round of one row, milliseconds: of the kernel, of a bare step in all and by part, of a step of the suite."""

    reference: float
    bare: float
    parts: dict[str, float]
    suite: Fit


def kernel(where: Where) -> Callable[[], float]:
    """A function that takes the milliseconds of PRODUCTS products of square matrices: the work that all ratios refer to."""
    side = SIDE.get(where.device, SIDE["cpu"])
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(where.device, where.dtype) for _ in range(2))

    def run() -> float:
        where.wait()
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(a, b)
        where.wait()
        return 1e3 * (time.perf_counter() - began)

    run()
    return run


def peak_gflops(milliseconds: float, where: Where) -> float:
    """GFLOP/s of the kernel: what this machine reaches in plain matrix products."""
    return 2 * SIDE.get(where.device, SIDE["cpu"]) ** 3 * PRODUCTS / 1e6 / milliseconds


def bare(cell: Cell, modality: Modality, where: Where) -> tuple[float, dict[str, float]]:
    """Median milliseconds of a step of a plain loop, and of its parts (empty on a GPU: a part ends before its work does)."""
    objective: Objective = build(cell.method, modality, cell.size, 0, dict(cell.settings)).to(where.device).train()
    training = cell.training
    data = objective.select(modality.data("train")).to(where.device)
    decayed, kept = decay_groups(objective)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": training.weight_decay[0]}, {"params": kept, "weight_decay": 0.0}],
        lr=training.lr, betas=training.betas, eps=training.eps, fused=True,
    )  # fmt: skip
    marks = np.zeros((training.steps, 5))
    for step in range(training.steps):
        reseed(0, step, torch.device(where.device))
        marks[step, 0] = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        batch = modality.crop(data.batch(batch_index(0, step, len(data), training.batch_size)))
        marks[step, 1] = time.perf_counter()
        with where.autocast():
            loss = objective(batch, step / training.steps).total
        marks[step, 2] = time.perf_counter()
        loss.backward()
        marks[step, 3] = time.perf_counter()
        if training.clip is not None:
            torch.nn.utils.clip_grad_norm_(objective.parameters(), training.clip)
        optimizer.step()
        objective.after_step(step / training.steps)
        where.wait()
        marks[step, 4] = time.perf_counter()
    whole = 1e3 * float(np.median(np.diff(marks[:, 0])))
    if where.device != "cpu":
        return whole, {}
    parts = 1e3 * np.median(np.diff(marks, axis=1), axis=0)
    return whole, dict(zip(("data", "forward", "backward", "update"), map(float, parts), strict=True))


def suite(cell: Cell, modality: Modality, where: Where) -> Fit:
    """The suite's own loop over the same steps; its ``step_ms`` are those between two starts of a step."""
    objective = build(cell.method, modality, cell.size, 0, dict(cell.settings))
    return fit(objective, modality, cell.training, seed=0, device=where.device, precision=where.precision)


def steps_for(cell: Cell, modality: Modality, where: Where) -> Cell:
    """The cell with as many steps as a loop of about SECONDS takes, found by a short loop that warms up as well."""
    short = replace(cell, training=replace(cell.training, steps=FEWEST))
    each = bare(short, modality, where)[0]
    return replace(cell, training=replace(cell.training, steps=int(np.clip(1e3 * SECONDS / each, FEWEST, MOST))))


def turns(
    cell: Cell, modality: Modality, where: Where, rounds: int, reference: Callable[[], float]
) -> tuple[list[Turn], float]:
    """``rounds`` rounds, each loop first in every other one, and the peak memory in MiB of a loop of the suite: of the
    device on a GPU, else of the process, which holds the data set and the libraries."""
    found, peak = [], 0.0
    for turn in range(rounds):
        kernels = [reference()]
        plain = bare(cell, modality, where) if turn % 2 else None
        cost.reset_peak_rss()
        ours = suite(cell, modality, where)
        peak = max(peak, ours.peak_device_mib or cost.peak_rss_mib())
        kernels.append(reference())
        whole, parts = plain or bare(cell, modality, where)
        found.append(Turn(float(np.mean(kernels)), whole, parts, ours))
    return found, peak
