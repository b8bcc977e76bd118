"""The suite's own contestants: registered methods, unchanged, on a modality of 224-pixel images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchmark.peers import contest
from benchmark.peers.contest import Contestant, Inputs
from jepakit.modality import grid_positions
from jepakit.objective import MaskedJEPA, Objective
from jepakit.pretrain import build
from jepakit.types import Batch, Card, Data, DataError, Part, Split, Tokens
from modalities.image.base import ImageModality
from modalities.image.views import Policy

# One region as large as four disjoint blocks; the context block leaves it a quarter of the grid.
SETTINGS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "mae": ("mae", {}),
    "simclr": ("simclr", {"temperature": contest.TEMPERATURE, "out": contest.OUT}),
    "ijepa": ("ijepa", {"keep": contest.KEEP}),
    "ijepa-joint": ("ijepa", {"keep": contest.KEEP, "targets": 1, "target_scale": (0.65, 0.70)}),
}


class Synthetic(ImageModality):
    """Images that are given: no file, no crop, and views that are handed out in turn, because only steps are measured."""

    dataset: ClassVar[str] = "synthetic"
    card: ClassVar[Card] = Card("random pixels", "Apache-2.0", "benchmark/peers/ours.py", "this repository", "image")
    side: ClassVar[int] = contest.SIDE
    patch: ClassVar[int] = contest.PATCH
    policy: ClassVar[Policy] = Policy()

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        self.given = itertools.cycle([torch.empty(0)])

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        raise DataError("the synthetic images have no files; hand batches to the objective")

    def give(self, *views: torch.Tensor) -> None:
        """What ``views`` returns from now on, one after the other."""
        self.given = itertools.cycle(views)

    def views(self, batch: Batch) -> Batch:
        return batch.with_x(next(self.given))


def build_ours(name: str) -> tuple[Contestant, Objective]:
    """The contestant, and its objective, whose masker draws the masks of all."""
    modality = Synthetic()
    method, settings = SETTINGS[name]
    objective = build(method, modality, contest.SIZE, 0, settings)

    def loss(inputs: Inputs) -> torch.Tensor:
        modality.give(inputs.images, inputs.other)
        return objective(Batch(inputs.images), 0.0).total

    return Contestant("jepakit", objective, loss, lambda: objective.after_step(0.0)), objective


def masks(objective: Objective, rows: int, device: torch.device) -> Split | None:
    """The masks that the next step draws from the same generators; None for objectives without."""
    if not isinstance(objective, MaskedJEPA):
        return None
    pos = grid_positions(contest.GRID).to(device).expand(rows, -1, -1)
    nothing = torch.empty(rows, pos.shape[1], 1, device=device)
    return objective.masker(Tokens(nothing, pos), nothing, 0.0)
