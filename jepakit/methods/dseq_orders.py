"""DSeq-JEPA with its regions in another order: reversed, at random, or as they lie; what the order by saliency is worth.

Source: the released code (github SkyShunsuke/DSeq-JEPA, MIT) as read for ``dseq``, whose parts are used.
Kept: everything that ``dseq`` says: the same regions, found by the same saliency, the background last, the same sizes of
context and target at every position of the sequence.
Differs: in which order the regions before the background are predicted. reversed: least salient first; random: drawn anew
for every sample and step; raster: by the mean index of their tokens, as one reads.
Tests: test_saliency.py, test_methods.py.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from jepakit.methods.dseq import DSeqJEPA, dseq
from jepakit.modality import Modality
from jepakit.registry import methods
from jepakit.saliency import Regions
from jepakit.types import Size

Order = Literal["reversed", "random", "raster"]


class Ordered(Regions):
    """The regions of ``Regions`` in one of three other orders, then the background."""

    def __init__(self, grid: tuple[int, ...], count: int, share: float, order: Order) -> None:
        super().__init__(grid, count, share)
        self.order = order

    def forward(self, saliency: Float[Tensor, "b n"]) -> list[Int[Tensor, "b _"]]:
        *ranked, background = super().forward(saliency)
        regions = torch.stack(ranked, 1)
        if self.order == "random":
            place = torch.rand(regions.shape[:2], device=regions.device)
        elif self.order == "raster":
            place = regions.float().mean(2)
        else:
            place = torch.arange(self.count, 0, -1, device=regions.device).expand(len(regions), -1)
        order = place.argsort(dim=1, stable=True)
        return [*torch.gather(regions, 1, order[..., None].expand_as(regions)).unbind(1), background]


@methods.register(
    "dseq-order",
    family="jepa",
    paper="control of DSeq-JEPA 2025, github SkyShunsuke/DSeq-JEPA",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999)},
    space={"recipe.keep": (0.125, 0.5, "log")},
)
def dseq_order(
    modality: Modality,
    size: Size,
    *,
    order: Order = "random",
    regions: int = 4,
    share: float = 0.15,
    keep: float = 0.25,
    ema: tuple[float, float] = (0.996, 1.0),
) -> DSeqJEPA:
    """order: of the regions before the background; the others as in ``dseq``."""
    objective = dseq(modality, size, regions=regions, share=share, keep=keep, ema=ema)
    objective.regions = Ordered(modality.grid, regions, share, order)
    return objective
