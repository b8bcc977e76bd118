"""Vol-JEPA (NeuroVFM 2025): V-JEPA for volumes, its blocks in the plane and its tokens those of the foreground.

Source: arXiv 2511.18640 and its released code (github MLNeurosurg/neurovfm).
Kept: background tokens take no part, in the teacher neither; one block through the whole depth, 70 % of the plane and
hidden or 25 % and all that is seen, rescaled by the foreground's share; placed in the foreground; what is seen capped at
25 % of the foreground by dropping successive slices; masks that show 5 to 50 %; smooth-L1 on targets LayerNormed without
affine; EMA .994 → 1, weight decay .05, clip 1. With ``kind="ct"`` the shares are 75 %, 20 % and 20 %.
Differs: fixed lengths padded with background instead of packed sequences (foreground.ForegroundBlocks); a block is placed
for its own share of foreground (95 %, else the best of eight places), where the release asks for 95 % of all foreground
and relaxes that until a place will do; house encoder, predictor and position code (concatenated over axes, as there); the
mask token starts at zero; in short runs the EMA start is lowered (schedules.momentum).
Not verified: the paper's numbers, which need its hospital's volumes; the update of the teacher before the first step.
Published: no number on public data that was read for this file.
Tests: test_foreground.py, test_methods_video.py, test_contracts.py.
"""

from typing import Literal

import torch
from torch.nn import functional as F

from jepakit.foreground import Foreground, ForegroundBlocks, largest_foreground
from jepakit.mask_sets import SetPredictor
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import MaskedJEPA
from jepakit.processes import terms
from jepakit.recipe import narrow
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Batch, Losses, Size, gather

SHARES = {"mri": (0.7, 0.25, 0.25), "ct": (0.75, 0.2, 0.2)}  # hidden block, seen block, cap


class VolJEPA(MaskedJEPA):
    """The template with padded queries, which nothing attends to and no loss counts."""

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens, target = self.backbone.tokenize(batch), self.target(batch)
        split = self.masker(tokens, target, progress)
        context = self.backbone.encode(tokens.take(split.context))
        real = tokens.take(split.target).valid
        real = torch.ones_like(split.target, dtype=torch.bool) if real is None else real.reshape(split.target.shape)
        predicted = self.predictor(context, gather(tokens.pos, split.target), 0, real)
        weight = real[..., None].to(predicted.dtype)
        loss = self.distance(predicted * weight, gather(target, split.target) * weight)
        loss = loss * weight.numel() / terms(weight)
        return Losses(loss, {"prediction": loss.detach()})


@methods.register(
    "voljepa",
    family="jepa",
    paper="NeuroVFM 2025, arXiv 2511.18640",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999), "clip": 1.0},
    space={"recipe.cap": (0.1, 0.5, "linear")},
)
def voljepa(
    modality: Modality,
    size: Size,
    *,
    kind: Literal["mri", "ct"] = "mri",
    cap: float | None = None,
    ema: tuple[float, float] = (0.994, 1.0),
) -> VolJEPA:
    """kind: whose shares the blocks have; cap: largest seen share of the foreground (default: the kind's); ema: momentum."""
    large, small, most = SHARES[kind]
    largest = largest_foreground(modality)
    backbone = Backbone(Foreground(modality.tokenizer(size.dim)), size.dim, size.depth, size.heads)
    return VolJEPA(
        backbone=backbone,
        predictor=narrow(size, kind=SetPredictor, sets=1),
        masker=ForegroundBlocks(modality.grid, largest, large=large, small=small, cap=most if cap is None else cap),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
