"""What a comparison holds equal: sizes, inputs, masks, optimiser; and what a contestant has to offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from jepakit.types import Size, Split

# ViT-tiny/16 at 224 pixels; a predictor (MAE: decoder) with heads as wide as the encoder's.
SIDE, PATCH, CHANNELS = 224, 16, 3
GRID = (SIDE // PATCH, SIDE // PATCH)
SIZE = Size(dim=192, depth=12, heads=3, predictor_dim=128, predictor_depth=6, predictor_heads=2)
KEEP = 0.25  # visible share, of MAE and of I-JEPA's context
TEMPERATURE, HIDDEN, OUT = 0.2, 768, 64  # SimCLR
MOMENTUM = 0.996
TIMM = "vit_tiny_patch16_224"

# name → what every contestant of it does.
CONTESTS = {
    "mae": "a random quarter visible, normalised pixels of the hidden rest, decoder 128 × 6",
    "simclr": "two given views, NT-Xent at temperature .2, projector 768-64",
    "ijepa": "quarter visible, four target blocks, each predicted in a sequence of its own, EMA teacher, predictor 128 × 6",
    "ijepa-joint": "quarter visible, one target region predicted in one sequence, EMA teacher, predictor 128 × 6",
}


class Absent(Exception):
    """The package has no such method; the message says what it has instead."""


@dataclass(frozen=True)
class Inputs:
    """What one step is given. images, other: two (b, c, side, side); split: the masks that the suite's own masker draws at
    this step, for packages whose masks come with the batch (None for methods that draw theirs, or have none)."""

    images: Tensor
    other: Tensor
    split: Split | None = None

    def first(self, rows: int) -> Inputs:
        """The first ``rows`` samples."""
        split = None if self.split is None else Split(self.split.context[:rows], self.split.target[:rows])
        return Inputs(self.images[:rows], self.other[:rows], split)


@dataclass
class Contestant:
    """One package's version of a contest. ``loss`` is differentiated; ``after`` runs behind the optimiser step (EMA)."""

    package: str
    module: nn.Module
    loss: Callable[[Inputs], Tensor]
    after: Callable[[], None] = lambda: None
    optimizer: torch.optim.Optimizer = field(init=False)

    def prepare(self, device: torch.device) -> Contestant:
        """On ``device``, in training mode, with the optimiser that all have."""
        self.module.to(device).train()
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.05, fused=True)
        return self

    def step(self, inputs: Inputs, precision: torch.dtype) -> Tensor:
        """One training step; its loss, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(inputs.images.device.type, precision, enabled=precision != torch.float32):
            loss = self.loss(inputs)
        loss.backward()
        self.optimizer.step()
        self.after()
        return loss.detach()
