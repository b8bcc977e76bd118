"""Grids: the small data that every method is tried on, and how a method is built there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmark.contracts.toys.chips import Chips
from benchmark.contracts.toys.plots import Plots
from benchmark.contracts.toys.waves import Bodies, Waves
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.pretrain import build
from jepakit.registry import datasets, methods
from jepakit.types import Batch, Size, UsageError

GRIDS: dict[str, Callable[[], Modality]] = {
    "1d": lambda: Waves(grid=(40,)),
    "2d": Chips,  # images stored as intensities: every method that wants images runs on them
    "3d": lambda: Bodies(grid=(2, 6, 6)),  # of some rows tokens are background
    "cells": Plots,  # says which tokens are empty; only for methods that need it
    "table": lambda: _table()(None),  # numbers and categories; only for methods that need them
}
NEEDS = {"cells": "occupied", "table": "table"}
SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


def _table() -> type[Any]:
    return datasets["tabular/made_linear"].make


def grids(name: str) -> list[str]:
    """The grids that a method owes an answer on."""
    return [grid for grid in GRIDS if NEEDS.get(grid) in (None, methods[name].info.get("needs"))]


def made(name: str, grid: str, seed: int = 0) -> Objective:
    """The method on the small data of a grid, in training mode."""
    return build(name, GRIDS[grid](), SIZE, seed).train()


def some(grid: str, rows: int = 8) -> Batch:
    """The first rows of train, as training hands them over."""
    modality = GRIDS[grid]()
    return modality.crop(modality.data("train").batch(torch.arange(rows)))


def refusal(name: str, grid: str) -> str | None:
    """Why the method does not run on the grid, or None when it does."""
    return _refusal(methods[name].make, name, grid)


@functools.cache
def _refusal(make: object, name: str, grid: str) -> str | None:  # ``make``: a file may be mended and loaded again
    try:
        objective = made(name, grid)
        if objective.trains:
            objective(some(grid), 0.0)
    except UsageError as error:
        return str(error)
    return None


def starts(objective: Objective) -> list[float]:
    """The progress at which each stage begins."""
    return [sum(objective.stages[:i], 0.0) for i in range(len(objective.stages))]


def seeded(objective: Objective, batch: Batch, progress: float, seed: int = 0) -> Tensor:
    """The loss under one fixed draw."""
    torch.manual_seed(seed)
    return objective(batch, progress).total
