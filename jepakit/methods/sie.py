"""SIE (Garrido et al. 2023): one half of the feature ignores the transform between two views, the other half follows it.

Source: arXiv 2302.10283 and its released code (github facebookresearch/SIE).
Kept: the feature is split in halves, each with a projector of its own; squared error between the invariant halves of two
views (weight 10) and between the second view's equivariant half and the first's, mapped by a linear predictor whose weights
a linear hypernetwork makes from the relative action (4.5); VICReg's hinge (10) and covariance (1) on both halves together,
and the hinge on the predicted half; no teacher, no stop-gradient.
Differs: house encoder by default (released: ResNet-18, ``recipe.backbone=resnet18``); projectors 4·half, 4·half, ``out``
(released: 1024 each); the hypernetwork has a bias and starts as the identity, since the modality's identity action is zero
(a quaternion's is not); the relative action is the difference of the views' parameters; learning rate and run length are
the board's.
Not verified: betas and weight decay.
Published: 3DIEBench, ResNet-18: accuracy 77.5, rotation R² .58 in seq-JEPA's table.
Tests: test_methods_b.py, test_methods.py.
"""

from typing import Literal

import torch
from torch.nn import functional as F

from jepakit.losses import vicreg_covariance, vicreg_variance
from jepakit.modality import Modality
from jepakit.nn import Embedder, Projector
from jepakit.objective import Objective
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.relative import Hypernetwork, Slice, acted, need_actions
from jepakit.types import Batch, Losses, Size

# Of the invariant error, the equivariant error, the hinges and each view's covariance.
INVARIANT, EQUIVARIANT, VARIANCE, COVARIANCE = 10.0, 4.5, 10.0, 1.0


class SIE(Objective):
    """Encoder, two projectors, hypernetwork."""

    def __init__(self, modality: Modality, backbone: Embedder, actions: int, out: int, tap: str) -> None:
        super().__init__()
        self.modality, self.backbone, self.tap = modality, backbone, tap
        self.middle = backbone.dim // 2  # invariant dimensions first
        rest = backbone.dim - self.middle
        self.invariant = Projector(self.middle, 4 * self.middle, 4 * self.middle, out)
        self.equivariant = Projector(rest, 4 * rest, 4 * rest, out)
        self.predictor = Hypernetwork(actions, out)

    def forward(self, batch: Batch, progress: float) -> Losses:
        (first, second), moves = acted(self.modality, batch, 2)
        feature = self.backbone.embed(Batch(torch.cat([first.x, second.x])))
        still, moved = self.invariant(feature[:, : self.middle]), self.equivariant(feature[:, self.middle :])
        both = torch.cat([still, moved], -1).float().unflatten(0, (2, -1))
        predicted = self.predictor(moved[: len(batch)], moves[:, 0]).float()
        parts = {
            "invariance": F.mse_loss(*still.float().chunk(2)),
            "equivariance": F.mse_loss(predicted, moved[len(batch) :].float()),
            "variance": vicreg_variance(both) + vicreg_variance(predicted) / 2,
            "covariance": 2 * vicreg_covariance(both),
        }
        weights = (INVARIANT, EQUIVARIANT, VARIANCE, COVARIANCE)
        total = torch.stack([weight * part for weight, part in zip(weights, parts.values(), strict=True)]).sum()
        return Losses(total, {name: value.detach() for name, value in parts.items()})

    def encoder(self) -> Embedder:
        if self.tap == "all":
            return self.backbone
        first, last = (0, self.middle) if self.tap == "invariant" else (self.middle, self.backbone.dim)
        return Slice(self.backbone, first, last)


@methods.register(
    "sie",
    family="jepa",
    paper="Garrido et al. 2023, arXiv 2302.10283",
    augmentation="modality-specific",
    training={"weight_decay": (0.0, 0.0), "betas": (0.9, 0.999)},
)
def sie(
    modality: Modality,
    size: Size,
    *,
    out: int = 64,
    tap: Literal["all", "invariant", "equivariant"] = "all",
    backbone: str = "vit",
) -> SIE:
    """out: output width of each projector; tap: which part of the feature is probed; backbone: the house vit or one of
    timm."""
    actions = need_actions(modality, "sie")
    return SIE(modality, embedder(modality, size, backbone), actions, out, tap)
