"""VISReg (2026): LeJEPA with a sliced Wasserstein regulariser, whose gradient does not vanish when features collapse.

Source: arXiv 2606.02572.
Kept: on 256 fresh random directions the mean squared, (std − 1)² and the mean squared distance of the sorted standardised
projections to the normal quantiles √2·erfinv(2(i − ½)/N − 1), summed; (1 − λ)·invariance + λ·regulariser, λ = .02.
Differs: everything that LeJEPA's file says; learning rate and run length are the board's.
Not verified: biased variance and √(var + 1e-4) inside the standard deviation (they are not stated), and that all three terms
carry weight 1; no released code was read.
Published: Imagenette, ViT-S/16, 200 epochs, best online linear 90.2 (stable-pretraining; LeJEPA there: 87.1).
Tests: test_methods_views.py, test_distributed.py, test_methods.py.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.losses import Sketch, joint
from jepakit.methods.lejepa import LeJEPA
from jepakit.modality import Modality
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.types import Size


class VISReg(Sketch):
    """Mean, scale and shape of the batch on random directions against N(0, 1)."""

    eps = 1e-4

    def statistic(self, y: Float[Tensor, "*v n s"]) -> Float[Tensor, "*v s"]:
        """Sum of the three terms of each column over the joint batch."""
        y = joint(y)
        n = y.shape[-2]
        centre = y.mean(-2)
        scale = (y.var(-2, correction=0) + self.eps).sqrt()
        place = (torch.arange(n, device=y.device) + 0.5) / n
        quantile = math.sqrt(2) * torch.erfinv(2 * place - 1)
        ordered = ((y - centre[..., None, :]) / scale[..., None, :]).sort(-2).values
        return centre.square() + (scale - 1).square() + (ordered - quantile[:, None]).square().mean(-2)


@methods.register(
    "visreg",
    family="jepa",
    paper="VISReg 2026, arXiv 2606.02572",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.weight": (0.005, 0.1, "log")},
)
def visreg(
    modality: Modality,
    size: Size,
    *,
    views: int = 2,
    local: int = 0,
    weight: float = 0.02,
    slices: int = 256,
    out: int = 64,
    backbone: str = "vit",
) -> LeJEPA:
    """views, local: global views and small crops per sample; weight: λ of the paper; slices: random directions a step;
    out: projector output width; backbone: the house vit or one of timm."""
    return LeJEPA(modality, embedder(modality, size, backbone), VISReg(slices), views, local, weight, out)
